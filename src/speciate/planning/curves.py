"""Curve fits of one model size: every run's change of loss against tokens, and how noise moves the fit.

All runs of a size are fitted together because they may share the one nonlinear parameter s ("bend").
At fixed s the laws are linear, so s is searched on a grid and the rest projected out.
Rows are weighted (t / t_end)^power. Measurements are log-spaced, so the unweighted fit spends most
of its freedom on the first warm-up steps while decisions are made at the end; backtests choose ``power``.
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
POWERS = (0.0, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Shape:
    """What is fitted: a law, whether each run has its own s or all share it (or s is fixed), and the weights."""

    law: Law
    bend: Literal["own", "shared", "fixed"]
    power: float
    value: float = 0.0  # of s when fixed

    @property
    def turns(self) -> bool:
        """Whether the curve can rise and then fall."""
        return self.law.name == MIXTURE_GENERAL.name

    def describe(self) -> str:
        """For a status line."""
        kind = {"own": "s by run", "shared": "s shared by a size", "fixed": f"s = {self.value:g}"}[self.bend]
        return f"{self.law.name}, {kind}, weights (t/t_end)^{self.power:g}"


GENERAL_SHAPES = tuple(
    Shape(law, bend, power)  # type: ignore[arg-type]
    for power in POWERS
    for law, bend in (
        (MIXTURE_GENERAL, "own"),
        (MIXTURE_GENERAL, "shared"),
        (MIXTURE_DOMAIN, "shared"),
        (MIXTURE_DOMAIN, "fixed"),
    )
)
DOMAIN_SHAPES = tuple(Shape(MIXTURE_DOMAIN, bend, power) for power in POWERS for bend in ("own", "shared", "fixed"))


@dataclass(frozen=True)
class GroupFit:
    """Fitted curves of R runs; tokens are divided by ``scale``."""

    shape: Shape
    scale: float
    bends: Array  # (R,)
    linear: tuple[Array, ...]  # R of (L,)

    def curve(self, run: int, tokens: Array) -> Array:
        """Fitted change of loss of one run, nats/token: tokens (G,) -> (G,)."""
        return basis_at(self.shape.law, self.bends[run], tokens / self.scale) @ self.linear[run]

    def curves(self, tokens: Array) -> Array:
        """All runs: tokens (G,) -> (R, G), or (R, 1) each run's own -> (R, 1)."""
        bases = basis_at(self.shape.law, self.bends, tokens / self.scale)
        return np.asarray(np.einsum("rgl,rl->rg", bases, np.stack(self.linear)), dtype=float)


def fit_group(shape: Shape, times: Sequence[Array], values: Sequence[Array], scale: float) -> GroupFit:
    """Weighted least squares of every run's curve: times R of (n,) tokens, values R of (n,) nats/token."""
    scaled = [time / scale for time in times]
    weights = [row_weights(shape, time) for time in times]
    fixed = shape.bend == "fixed"
    bends = np.full(len(times), shape.value) if fixed else _search(shape, scaled, values, weights)
    linear = []
    for s, time, value, weight in zip(bends, scaled, values, weights, strict=True):
        root = np.sqrt(weight)
        solved = np.linalg.lstsq(basis_at(shape.law, s, time) * root[:, None], value * root, rcond=None)[0]
        linear.append(np.asarray(solved, dtype=float))
    return GroupFit(shape, scale, bends, tuple(linear))


def row_weights(shape: Shape, time: Array) -> Array:
    """Weights of a run's rows, 1 at its end."""
    return np.asarray((time / time[-1]) ** shape.power, dtype=float)


def basis_at(law: Law, s: float | Array, time: Array) -> Array:
    """(..., n, L) terms of a law at scaled tokens, whatever unit the law itself carries."""
    tokens = time * law.inputs[0].scale
    return np.asarray(law.basis(np.asarray(s, dtype=float)[..., None], {"tokens": tokens}), dtype=float)


def _search(shape: Shape, times: Sequence[Array], values: Sequence[Array], weights: Sequence[Array]) -> Array:
    """Bends (R,) of least squared error: a grid, then twice a finer one around its best."""
    runs = range(len(times))
    if shape.bend == "shared":
        grid = BENDS
        for step in (0.05, 0.01, 0.002):
            total = np.zeros(len(grid))
            for members in same_times(times):
                total += profile_errors(shape, grid, times, values, weights, members).sum(axis=0)
            best = grid[int(np.argmin(total))]
            grid = _around(best, step)
        return np.full(len(times), best)
    bends = np.zeros(len(times))
    for members in same_times(times):
        bends[members] = BENDS[np.argmin(profile_errors(shape, BENDS, times, values, weights, members), axis=1)]
    for step in (0.05, 0.01):
        for run in runs:
            grid = _around(bends[run], step)
            bends[run] = grid[int(np.argmin(profile_errors(shape, grid, times, values, weights, [run])[0]))]
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


def profile_errors(
    shape: Shape,
    grid: Array,
    times: Sequence[Array],
    values: Sequence[Array],
    weights: Sequence[Array],
    members: list[int],
) -> Array:
    """Squared errors (members, S) with the linear parameters projected out."""
    root = np.sqrt(weights[members[0]])
    directions, _ = np.linalg.qr(basis_at(shape.law, grid, times[members[0]]) * root[:, None])  # (S, n, L)
    target = np.stack([values[run] for run in members]) * root  # (m, n)
    explained = np.square(np.einsum("snl,mn->msl", directions, target)).sum(axis=-1)
    return np.asarray(np.maximum(np.square(target).sum(axis=1)[:, None] - explained, 0.0))
