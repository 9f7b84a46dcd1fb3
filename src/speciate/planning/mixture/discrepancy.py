"""The error of the laws themselves beyond the pilots: how large, and which shape of curve is to be believed how much.

Backtest errors hold the law's own error plus jitter carried through the fit; the latter's variance is
known and enters the likelihood. The law's error has a part common to all ratios of a size, some of that
common to all sizes of the study, and a part of each ratio. How much is common is integrated out and may be
all: a curve that is wrong is wrong alike for every run, so twelve errors can be one observation, and
a shape that was right once is then neither proved right nor believed alone. The error may shrink or grow with the
tokens a curve has been fitted to: sd = sd_end 2^(trend * depth), where ``depth`` is how many doublings of the run
the backtest had hidden; neither is taken for granted (trend 0 is the middle of the prior). What is integrated out is
also what a shape is believed by: the density of the hidden ends under it (Dawid's prequential
principle), so shapes that predict alike share the draws, and their disagreement widens the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.backtest import Backtest
from speciate.planning.mixture.response import respond
from speciate.planning.mixture.spread import TINY, Jitter, log_half_cauchy, widths

Array = NDArray[np.float64]
# Of the variance, what all ratios of a size have in common. All of it must be among them: short of that, errors that
# are alike but for jitter would be explained by an sd far below them (the part of each ratio is tied to it).
SHARES = np.array([0.3, 0.6, 0.9, 1.0])
ACROSS = np.array([0.0, 0.5, 1.0])  # of that, what all sizes have in common
TRENDS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # -1: doubles with every doubling of the tokens seen; 1: halves
TREND_SD = 0.5
GRID = 24


@dataclass(frozen=True)
class LawError:
    """Draws (B,) of the sd of a law's error (nats/token per doubling), of the share of its variance that the ratios
    of a size have in common, and of the share of that which sizes have in common."""

    sd: Array
    share: Array
    across: Array


@dataclass(frozen=True)
class Discrepancy:
    """Posterior of the sd of a law's error (nats/token per doubling, at the runs' ends) on a grid."""

    grid: Array  # (S,)
    log: Array  # (S, shares, across, trends), unnormalised

    @property
    def evidence(self) -> float:
        """Log density of the backtests' hidden ends, the grid summed out."""
        peak = float(self.log.max())
        return peak + float(np.log(np.exp(self.log - peak).sum()))

    def draw(self, rng: np.random.Generator, draws: int) -> LawError:
        """Draws from the posterior."""
        weight = np.exp(self.log - self.log.max()).ravel()
        picked = rng.choice(len(weight), size=draws, p=weight / weight.sum())
        rows, share, across, _ = np.unravel_index(picked, self.log.shape)
        return LawError(self.grid[rows], SHARES[share], ACROSS[across])


def measure(
    tests: Sequence[Sequence[Backtest]], jitters: Sequence[Jitter], ratios: Sequence[Array], unit: float
) -> Discrepancy:
    """Posterior from every size's backtests under one shape; ``unit`` is the best shape's RMS error per doubling.

    The same half-Cauchy prior of scale ``unit``/2 for every shape, so that they can be compared.
    """
    grid = max(unit, TINY) * np.concatenate([[1e-3], np.geomspace(0.05, 6, GRID - 1)])
    prior = log_half_cauchy(grid, max(unit, TINY) / 2) + np.log(widths(grid))
    trend = -0.5 * (TRENDS / TREND_SD) ** 2
    log = (prior - np.log(np.exp(prior).sum()))[:, None, None, None] - np.log(len(SHARES) * len(ACROSS))
    log = log + (trend - np.log(np.exp(trend).sum()))
    log = np.broadcast_to(log, (GRID, len(SHARES), len(ACROSS), len(TRENDS)))
    for cut in range(max(map(len, tests))):
        there = [i for i, size in enumerate(tests) if len(size) > cut]
        log = log + _likelihood([_by_ratio(tests[i][cut], jitters[i], ratios[i]) for i in there], grid)
    return Discrepancy(grid, log)


def _by_ratio(test: Backtest, jitter: Jitter, ratio: Array) -> tuple[Array, Array, Array, Array]:
    """Errors, variances from jitter, doublings and depths (n,) of a size's ratios: runs of one count by their mean."""
    groups = np.equal.outer(np.unique(ratio), ratio).astype(float)
    groups /= groups.sum(axis=1, keepdims=True)
    known = groups**2 @ carried(test, jitter) + TINY**2
    return groups @ test.errors, known, groups @ test.doublings, groups @ test.depth


def _likelihood(sizes: Sequence[tuple[Array, Array, Array, Array]], grid: Array) -> Array:
    """Log density (S, shares, across, trends) of the errors of one cut at all sizes.

    The covariance is diagonal plus rank one for what a size's ratios share plus rank one for what all sizes
    share, so determinant and inverse follow in two steps (Sherman and Morrison).
    """
    errors, known, doublings, depth = (np.concatenate(parts) for parts in zip(*sizes, strict=True))
    first = np.cumsum([0, *(len(size[0]) for size in sizes[:-1])])
    square = grid[:, None, None, None] ** 2
    share, across = SHARES[:, None, None], ACROSS[:, None]
    scale = doublings * 2.0 ** (TRENDS[:, None] * depth)  # (trends, N)
    own = known + (square * (1 - share))[..., None] * scale**2  # (S, shares, 1, trends, N)
    log = np.log(own).sum(axis=-1)
    left = (errors**2 / own).sum(axis=-1)
    within = np.add.reduceat(scale**2 / own, first, axis=-1)
    seen = np.add.reduceat(scale * errors / own, first, axis=-1)
    common = (square * share * (1 - across))[..., None]
    grown = 1 + common * within
    log = log + np.log(grown).sum(axis=-1)
    left = left - (common * seen**2 / grown).sum(axis=-1)
    everywhere = square * share * across
    total, seen_all = (within / grown).sum(axis=-1), (seen / grown).sum(axis=-1)
    log = log + np.log1p(everywhere * total)
    left = left - everywhere * seen_all**2 / (1 + everywhere * total)
    return np.asarray(-0.5 * (log + left), dtype=float)


def carried(test: Backtest, jitter: Jitter) -> Array:
    """Variance (R,) of a backtest error from jitter alone: through the fit, and of the measured end."""
    ends, where = np.unique(test.ends, return_inverse=True)
    response = respond(test.fit, test.times, ends, jitter.sd)
    variances = response.variances(jitter.matrices([len(time) for time in test.times]))
    return np.asarray(jitter.sd**2 * (1 + variances[np.arange(len(where)), where]), dtype=float)
