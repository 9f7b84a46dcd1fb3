"""Where a curve of exam perplexity has its minimum, how sure that is, and whether the run ended before it.

The lowest checkpoint is only as good as the checkpoints are dense and quiet. The minimum is the least place of a
cubic of ln perplexity in ln tokens, through as many checkpoints around it as a cubic fits (a parabola would be
drawn to the steeper side). On simulated curves its error is a tenth to six tenths of the lowest checkpoint's.
Three errors enter the interval: scatter of the checkpoints about their curve, the spacing of the checkpoints, and
the differences between runs, which replicates (pooled over sizes and regimes) show. The error of the exam
suite's questions is the same at every checkpoint and does not move the minimum: ``stderr`` is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speciate.planning.specialize.curves import Curve

Array = NDArray[np.float64]
Bound = Literal["", "at least", "at most", "none", "single"]
KEPT = 0.9  # share of the checkpoints that stay when a cubic does not fit them
FEW = 7  # checkpoints at which, and below, the lowest itself is the middle of the next window
SHAPE = 0.03  # sd of ln tokens: no curve is so well known that its minimum is (measured on lopsided curves)
BEYOND = 1.1  # a run that ends before this many times its minimum has hardly seen it rise: near-censored
PRIOR = 4.0  # residuals that the scatter of all curves counts as, beside a curve's own
FAINT = 1e-6  # least scatter of ln perplexity, that of printed figures


@dataclass(frozen=True, eq=False)
class Minimum:
    """The minimum of one curve; tokens unless it says otherwise.

    ``tokens`` located, with ``low`` and ``high`` (None: not bounded on that side); ``checkpoint``: token count of
    least perplexity ``best``; ``last``: the run's end. ``bound``: "at least" at the last checkpoint (censored), "at
    most" at the first, "none" if training never got below the starting model, "single" of one checkpoint, else "".
    ``near``: the interval reaches the end. ``draws`` (B,) of ln tokens and ``sd`` their spread.
    """

    tokens: float
    low: float | None
    high: float | None
    checkpoint: float
    best: float
    last: float
    bound: Bound
    near: bool
    runs: int
    sd: float
    draws: Array

    @property
    def censored(self) -> bool:
        """Whether the run ended before its minimum could be seen."""
        return self.bound == "at least"


@dataclass(frozen=True, eq=False)
class Valley:
    """ln perplexity about ln tokens ``centre``: a cubic's coefficients of u, u^2, u^3 (3,), their covariance, its ends.

    The last coefficient is 0, a parabola's, where there are no more than four checkpoints.
    """

    centre: float
    coefficients: Array
    covariance: Array
    low: float
    high: float

    def lowest(self, coefficients: Array) -> Array:
        """Places (m,) of least ln perplexity within the window, in ln tokens, for coefficients (m, 3)."""
        c1, c2, c3 = np.moveaxis(coefficients, -1, 0)
        left, right = self.low - self.centre, self.high - self.centre
        inner = c2**2 - 3 * c1 * c3
        root = c2 + np.sqrt(np.maximum(inner, 0.0))
        there = np.where((inner >= 0) & (root > 0), -c1 / np.where(root > 0, root, 1.0), right)
        places = np.stack(
            [np.broadcast_to(left, there.shape), np.clip(there, left, right), np.full(there.shape, right)]
        )
        heights = places * (c1 + places * (c2 + places * c3))
        return np.asarray(self.centre + np.take_along_axis(places, heights.argmin(axis=0)[None], 0)[0])

    @property
    def place(self) -> float:
        """Of the fitted cubic."""
        return float(self.lowest(self.coefficients[None])[0])

    @property
    def variance(self) -> float:
        """Of the place, to first order, and at most that of anywhere in the window."""
        u, (_, c2, c3) = self.place - self.centre, self.coefficients
        anywhere = (self.high - self.low) ** 2 / 12
        bend = 2 * c2 + 6 * c3 * u
        if bend <= 0:
            return anywhere
        gradient = np.array([1.0, 2 * u, 3 * u**2]) / bend
        return min(float(gradient @ self.covariance @ gradient), anywhere)


@dataclass(frozen=True)
class Differences:
    """Between runs of one size and regime, pooled: sd of ln tokens of the minimum, of ln perplexity, and freedom."""

    place: float
    level: float
    freedom: int


def residuals(x: Array, y: Array) -> Array:
    """Of every four neighbours, what no parabola through them explains, with the variance of one y: (n - 3,).

    >>> residuals(np.array([0.0, 1, 2, 4]), np.array([0.0, 1, 4, 16])) < 1e-12
    array([ True])
    """
    if len(x) < 4:
        return np.zeros(0)
    four = np.lib.stride_tricks.sliding_window_view(x, 4)
    gaps = four[:, :, None] - four[:, None, :] + np.eye(4)
    weights = 1 / gaps.prod(axis=2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return np.asarray((weights * np.lib.stride_tricks.sliding_window_view(y, 4)).sum(axis=1))


def scatters(curves: Sequence[Curve]) -> list[float]:
    """Standard deviation of one checkpoint's ln perplexity about its run's curve, for every curve (median based).

    A curve of few checkpoints borrows from all. Without four checkpoints in any run nothing is known, and it is 0.
    """
    found = []
    for curve in curves:
        parts = [residuals(curve.x[np.isfinite(row)], row[np.isfinite(row)]) for row in curve.by_run]
        found.append(np.concatenate(parts) ** 2)
    every = np.concatenate(found)
    if not len(every):
        return [FAINT] * len(curves)
    typical = 0.4549  # median of a chi-square of one degree of freedom
    shared = float(np.median(every)) / typical
    own = [float(np.median(part)) / typical if len(part) else shared for part in found]
    sizes = [len(part) for part in found]
    return [float(np.sqrt((PRIOR * shared + n * v) / (PRIOR + n))) + FAINT for v, n in zip(own, sizes, strict=True)]


def valley_of(curve: Curve, scatter: float) -> Valley | None:
    """The cubic about the minimum, from the whole curve inwards until it fits; None of fewer than 3 checkpoints.

    It fits when the next two powers lower the squares by less than Akaike's 2 scatter^2 each.
    """
    x, y, weights = curve.x, curve.mean, np.sqrt(curve.counts)
    if len(x) < 3:
        return None
    first, last = 0, len(x)
    while (count := last - first) > 3:
        u = x[first:last] - x[first:last].mean()
        powers = np.stack([u**k for k in range(min(6, count))], axis=1)
        basis, _ = np.linalg.qr(powers * weights[first:last, None])
        parts = basis.T @ (y * weights)[first:last]
        more = parts[degree_of(count) + 1 :]
        if np.sum(more**2) <= 2 * scatter**2 * len(more):
            break
        middle = curve.best if count <= FEW else first + int(np.argmin(basis @ parts / weights[first:last]))
        while last - first > min(count - 1, KEPT * count):
            left, right = x[middle] - x[first], x[last - 1] - x[middle]
            if (left > right and middle - first > 1) or last - 1 - middle <= 1:
                first += 1
            else:
                last -= 1
    return fitted(x[first:last], y[first:last], curve.counts[first:last], scatter)


def degree_of(count: int) -> int:
    """Of the polynomial through so many checkpoints: a cubic leaves at least one to object.

    >>> [degree_of(count) for count in (3, 4, 5, 50)]
    [2, 2, 3, 3]
    """
    return 3 if count > 4 else 2


def fitted(x: Array, y: Array, counts: Array, scatter: float) -> Valley:
    """Through checkpoints (n,) with ``counts`` runs each."""
    u, terms = x - x.mean(), degree_of(len(x)) + 1
    design = np.stack([u**k for k in range(terms)], axis=1) * np.sqrt(counts)[:, None]
    inverse = np.linalg.pinv(design.T @ design)
    coefficients, covariance = np.zeros(4), np.zeros((4, 4))
    coefficients[:terms] = inverse @ design.T @ (y * np.sqrt(counts))
    covariance[:terms, :terms] = scatter**2 * inverse
    return Valley(float(x.mean()), coefficients[1:], covariance[1:, 1:], float(x[0]), float(x[-1]))


def differences_of(curves: Sequence[Curve], fits: Sequence[Valley | None], noise: Sequence[float]) -> Differences:
    """What replicates show beyond scatter: by moments, over all curves with two runs or more."""
    place = level = 0.0
    freedom = 0
    for curve, fit, scatter in zip(curves, fits, noise, strict=True):
        if fit is None or len(curve.runs) < 2:
            continue
        window = (curve.x >= fit.low) & (curve.x <= fit.high)
        places, levels, expected = [], [], []
        for row in curve.by_run:
            known = window & np.isfinite(row)
            if known.sum() >= 3:
                own = fitted(curve.x[known], row[known], np.ones(int(known.sum())), scatter)
                places.append(own.place)
                expected.append(own.variance)
                levels.append(float(np.mean((row - curve.mean)[known])))
        if len(places) >= 2:
            count = len(places) - 1
            place += count * (float(np.var(places, ddof=1)) - float(np.mean(expected)))
            level += count * float(np.var(levels, ddof=1))
            freedom += count
    if not freedom:
        return Differences(0.0, 0.0, 0)
    return Differences(float(np.sqrt(max(place / freedom, 0.0))), float(np.sqrt(level / freedom)), freedom)


def minimum_of(
    curve: Curve, fit: Valley | None, differ: Differences, level: float, draws: int, rng: np.random.Generator
) -> Minimum:
    """The minimum of a curve, with draws of its place."""
    x, bound = curve.x, bound_of(curve, fit)
    last = float(curve.tokens[-1])
    place = float({"at least": x[-1], "at most": x[0]}.get(bound, x[curve.best] if fit is None else fit.place))
    drawn = np.full(draws, place)
    if fit is not None:
        drawn = fit.lowest(fit.coefficients + rng.standard_normal((draws, 3)) @ _root(fit.covariance))
        after = int(np.clip(np.searchsorted(x, place), 1, len(x) - 1))
        drawn += rng.uniform(-0.5, 0.5, draws) * (x[after] - x[after - 1]) + SHAPE * rng.standard_normal(draws)
        drawn += differ.place / np.sqrt(len(curve.runs)) * rng.standard_t(max(differ.freedom, 1), draws)
        drawn = np.clip(drawn, x[0], x[-1])
    low, below, above, high = np.quantile(drawn, [(1 - level) / 2, 0.16, 0.84, (1 + level) / 2])
    near = not bound and bool(high >= x[-1] or last < BEYOND * max(np.exp(place), curve.tokens[curve.best]))
    early = not bound and bool(low <= x[0])
    spread = place - below if near or bound == "at least" else above - place if bound or early else (above - below) / 2
    return Minimum(
        tokens={"at least": last, "at most": float(curve.tokens[0])}.get(bound, float(np.exp(place))),
        low=None if early or (bound and bound != "at least") else float(np.exp(min(low, place))),
        high=None if near or (bound and bound != "at most") else float(np.exp(max(high, place))),
        checkpoint=float(curve.tokens[curve.best]),
        best=float(np.exp(curve.mean[curve.best])),
        last=last,
        bound=bound,
        near=near,
        runs=len(curve.runs),
        sd=float(max(spread, 0.0)),
        draws=drawn,
    )


def bound_of(curve: Curve, fit: Valley | None) -> Bound:
    """What can be said of the minimum where the curve does not show it."""
    if len(curve.tokens) == 1:
        return "single"
    if curve.start is not None and curve.start <= np.exp(curve.mean[curve.best]):
        return "none"
    if curve.best == len(curve.tokens) - 1 or (fit is not None and fit.place >= curve.x[-1]):
        return "at least"
    return "at most" if (curve.best == 0 if fit is None else fit.place <= curve.x[0]) else ""


def _root(covariance: Array) -> Array:
    """R with R' R = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
