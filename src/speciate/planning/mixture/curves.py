"""Curve fits of one model size: every run's change of loss against tokens, and how noise moves the fit.

All runs of a size are fitted together because they may share the one nonlinear parameter s ("bend").
At fixed s the laws are linear, so s is searched on a grid and the rest projected out.
Only the last part of a run is fitted, from ``start`` (a share of its length) on. Measurements are log-spaced, so
a fit of all rows spends most of its freedom on the warm-up and the jump after it, which no power law describes,
while decisions are made at the end. Backtests choose ``start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speciate.laws.law import Law
from speciate.laws.mixture_domain import MIXTURE_DOMAIN
from speciate.laws.mixture_general import MIXTURE_GENERAL

Array = NDArray[np.float64]
BENDS = np.array([s for s in np.arange(-1.5, 1.5001, 0.05) if abs(s) > 0.03])  # at s = 0 terms coincide
STARTS = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
OFFSETS = (1 / 16, 1 / 8, 1 / 4)
FEW, BATCH = 4, 32  # runs by token counts that are worth a factorisation of their own; runs fitted at once
LEAST_FITTED = 5  # rows of a run, whatever ``start`` says: one more than the general law has parameters

Bend = Literal["own", "shared", "fixed"]
_OWN_OR_SHARED: tuple[Bend, ...] = ("own", "shared")
_SHARED_OR_FIXED: tuple[Bend, ...] = ("shared", "fixed")


@dataclass(frozen=True)
class Shape:
    """What is fitted: a law, whether each run has its own s or all share it (or s is fixed), and where a fit starts."""

    law: Law
    bend: Bend
    start: float
    value: float = 0.0  # of s when fixed
    offset: float = 0.0  # tokens of domain text that the starting model seems to have seen, as a share of the pilots

    @property
    def turns(self) -> bool:
        """Whether the curve can rise and then fall."""
        return self.law.name == MIXTURE_GENERAL.name

    def describe(self) -> str:
        """For a status line."""
        kind = {"own": "s by run", "shared": "s shared by a size", "fixed": f"s = {self.value:g}"}[self.bend]
        offset = f", offset by {self.offset:.3g} of the pilots" if self.offset else ""
        return f"{self.law.name}, {kind}, from {self.start:.3g} of the run on{offset}"


# The rise-and-fall law has to see the rise; a curve that cannot turn, only the part after it.
GENERAL_SHAPES = (
    *(Shape(MIXTURE_GENERAL, bend, start) for start in STARTS[:3] for bend in _OWN_OR_SHARED),
    *(Shape(MIXTURE_DOMAIN, bend, start) for start in STARTS[2:] for bend in _SHARED_OR_FIXED),
)
# A starting model knows some of the domain already, as if it had seen T0 tokens of it (Hernandez et al. 2102.01293):
# its loss follows the power law in T + T0, which levels off sooner than one in T. Ours; backtests choose T0.
DOMAIN_SHAPES = (
    *(Shape(MIXTURE_DOMAIN, bend, start) for start in STARTS[2:] for bend in (*_OWN_OR_SHARED, _SHARED_OR_FIXED[1])),
    *(Shape(MIXTURE_DOMAIN, "shared", start, 0.0, offset) for start in STARTS[2:] for offset in OFFSETS),
)


@dataclass(frozen=True)
class GroupFit:
    """Fitted curves of R runs; tokens are divided by ``scale``."""

    shape: Shape
    scale: float
    bends: Array  # (R,)
    linear: tuple[Array, ...]  # R of (L,)

    def curve(self, run: int, tokens: Array) -> Array:
        """Fitted change of loss of one run, nats/token: tokens (G,) -> (G,)."""
        return basis_at(self.shape, self.bends[run], tokens / self.scale) @ self.linear[run]

    def curves(self, tokens: Array) -> Array:
        """All runs: tokens (G,) -> (R, G), or (R, 1) each run's own -> (R, 1)."""
        bases = basis_at(self.shape, self.bends, tokens / self.scale)
        return np.asarray(np.einsum("rgl,rl->rg", bases, np.stack(self.linear)), dtype=float)


def fit_group(shape: Shape, times: Sequence[Array], values: Sequence[Array], scale: float) -> GroupFit:
    """Weighted least squares of every run's curve: times R of (n,) tokens, values R of (n,) nats/token.

    ``scale`` is the length of the longest pilot in tokens, also when shorter runs are fitted.
    """
    scaled = [time / scale for time in times]
    fixed = shape.bend == "fixed"
    bends = np.full(len(times), shape.value) if fixed else _search(shape, scaled, values)
    linear = np.empty((len(times), len(shape.law.linear)))
    for members, time in batches(scaled):
        _, which, _, solve = solved(shape, bends[members], time)
        data = np.stack([values[run] for run in members])
        linear[members] = np.matmul(solve[which], data[:, :, None])[..., 0]
    return GroupFit(shape, scale, bends, tuple(linear))


def solved(shape: Shape, bends: Array, time: Array) -> tuple[Array, NDArray[np.int_], Array, Array]:
    """Every different s (S,) of ``bends`` (m, ...), and which of them each is; at scaled tokens, terms (S, n, L) and
    the map of rows to linear parameters (S, L, n). Where runs have a time each (m, n), S is m: none is shared."""
    if time.ndim == 1:
        grid, which = np.unique(bends, return_inverse=True)
        which = which.reshape(bends.shape)
    else:
        grid, which = bends, np.arange(len(bends))
    here = basis_at(shape, grid, time)
    root = np.sqrt(row_weights(shape, time))
    solve = np.linalg.pinv(here * root[..., None]) * root[..., None, :]
    return grid, which, here, np.asarray(solve, dtype=float)


def row_weights(shape: Shape, time: Array) -> Array:
    """Weights (..., n) of a run's rows: 1 from ``shape.start`` of its length on (its last five in any case), else 0.

    >>> row_weights(Shape(MIXTURE_DOMAIN, "own", 0.25), np.array([1.0, 2.0, 3.0, 4.0, 8.0, 12.0, 16.0]))
    array([0., 0., 1., 1., 1., 1., 1.])
    """
    last = np.arange(time.shape[-1]) >= time.shape[-1] - LEAST_FITTED
    return np.where(last | (time >= shape.start * time[..., -1:] * (1 - 1e-9)), 1.0, 0.0)


def basis_at(shape: Shape, s: float | Array, time: Array) -> Array:
    """(..., n, L) terms of a shape's law at scaled tokens, whatever unit the law itself carries."""
    tokens = (time + shape.offset) * shape.law.inputs[0].scale
    return np.asarray(shape.law.basis(np.asarray(s, dtype=float)[..., None], {"tokens": tokens}), dtype=float)


def _search(shape: Shape, times: Sequence[Array], values: Sequence[Array]) -> Array:
    """Bends (R,) of least squared error: a grid, then twice a finer one around its best."""
    groups = batches(times)
    data = [np.stack([values[run] for run in members]) for members, _ in groups]
    if shape.bend == "shared":
        grid = BENDS
        for step in (0.05, 0.01, 0.002):
            total = np.zeros(len(grid))
            for (_, time), own in zip(groups, data, strict=True):
                total += profile_errors(shape, grid, time, own).sum(axis=0)
            best = grid[int(np.argmin(total))]
            grid = _around(best, step)
        return np.full(len(times), best)
    bends = np.zeros(len(times))
    for (members, time), own in zip(groups, data, strict=True):
        found = BENDS[np.argmin(profile_errors(shape, BENDS, time, own), axis=1)]
        for step in (0.05, 0.01):
            grid = np.stack([_around(bend, step) for bend in found])
            found = grid[np.arange(len(found)), np.argmin(profile_errors(shape, grid, time, own), axis=1)]
        bends[members] = found
    return bends


def _around(centre: float, step: float) -> Array:
    grid = centre + step * np.linspace(-1, 1, 11)
    return np.where(np.abs(grid) < 0.02, 0.02, grid)


def same_times(times: Sequence[Array]) -> list[list[int]]:
    """Runs that were measured at the same token counts share one factorisation."""
    groups: dict[bytes, list[int]] = {}
    for run, time in enumerate(times):
        groups.setdefault(time.tobytes(), []).append(run)
    return list(groups.values())


def batches(times: Sequence[Array]) -> list[tuple[list[int], Array]]:
    """Runs that can be fitted at once: of the same token counts (n,), or else of the same number of them (m, n)."""
    found: list[tuple[list[int], Array]] = []
    lengths: dict[int, list[list[int]]] = {}
    for members in same_times(times):
        lengths.setdefault(len(times[members[0]]), []).append(members)
    for groups in lengths.values():
        together = sorted(run for members in groups for run in members)
        if FEW * len(groups) <= len(together) or len(groups) == 1:
            found += [(members, times[members[0]]) for members in groups]
            continue
        for first in range(0, len(together), BATCH):
            some = together[first : first + BATCH]
            found.append((some, np.stack([times[run] for run in some])))
    return found


def profile_errors(shape: Shape, grid: Array, time: Array, values: Array) -> Array:
    """Squared errors (m, S) with the linear parameters projected out: values (m, n) of a batch's runs at ``time``.

    s of ``grid`` (S,), or each run's own (m, S).
    """
    root = np.sqrt(row_weights(shape, time))
    target = values * root
    if time.ndim == 2:  # (m, S, n, L)
        terms = basis_at(shape, grid if grid.ndim == 2 else grid[None], time[:, None]) * root[:, None, :, None]
    else:
        terms = basis_at(shape, grid, time) * root[:, None]
    directions = orthonormal(terms)
    if directions.ndim == 3:  # (S, n, L), the same for all
        explained = np.square(target @ directions).sum(axis=-1).T
    else:
        explained = np.square(target[:, None, None] @ directions)[:, :, 0].sum(axis=-1)
    return np.asarray(np.maximum(np.square(target).sum(axis=1)[:, None] - explained, 0.0))


def orthonormal(columns: Array) -> Array:
    """Orthonormal columns that span those of (..., n, L): Gram and Schmidt, twice, which is enough (Giraud et al.)."""
    found: list[Array] = []
    for i in range(columns.shape[-1]):
        column = columns[..., i] / np.maximum(np.linalg.norm(columns[..., i], axis=-1, keepdims=True), 1e-300)
        for _ in range(2):
            for other in found:
                column = column - (column * other).sum(axis=-1, keepdims=True) * other
        found.append(column / np.maximum(np.linalg.norm(column, axis=-1, keepdims=True), 1e-300))
    return np.stack(found, axis=-1)
