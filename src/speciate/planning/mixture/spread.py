"""How large the noise is, and how little is known about that: draws of every standard deviation.

With two seeds at one ratio a standard deviation has one degree of freedom, so plugging in its
estimate would make intervals far too narrow. Every component is therefore drawn from its posterior
on a grid, under a half-Cauchy prior whose scale is the estimate itself (it only cuts the far tail).
With many degrees of freedom the draws close in on the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.curves import GroupFit, row_weights
from speciate.planning.mixture.response import respond

Array = NDArray[np.float64]
TINY = 1e-12  # nats/token: below any measured loss's rounding
GRID = 24  # points of a standard deviation's grid


@dataclass(frozen=True)
class Jitter:
    """Scatter of rows about their run's curve: sd in nats/token, its degrees of freedom, lag-1 correlation."""

    sd: float
    freedom: float
    correlation: float

    def matrices(self, rows: Sequence[int]) -> list[Array]:
        """Correlations (rows, rows) between a run's successive measurements, for every run."""
        known = {count: correlated(self.correlation, count) for count in set(rows)}
        return [known[count] for count in rows]

    def draw(self, rng: np.random.Generator, draws: int) -> Array:
        """Standard deviations (draws,): scaled inverse chi-square."""
        return np.asarray(self.sd * np.sqrt(self.freedom / rng.chisquare(self.freedom, draws)), dtype=float)


def measure_jitter(
    fits: Sequence[GroupFit], times: Sequence[Sequence[Array]], values: Sequence[Sequence[Array]]
) -> list[Jitter]:
    """Jitter of every size about its fitted curves, corrected for the parameters spent on them.

    E[e' W e] = sd^2 tr(M' W M Omega) with M = 1 - hat matrix, so the correction is exact whatever the
    weights W; the degrees of freedom are Satterthwaite's. The correlation is pooled over the sizes and
    corrected for what fitting does to white noise; it is held to [0, .8].
    """
    pieces = [_residuals(fit, time, value) for fit, time, value in zip(fits, times, values, strict=True)]
    lag, expected, total, white = 0.0, 0.0, 0.0, 0.0
    for size in pieces:
        scale = sum(float(one.weight @ one.left**2) for one in size) or 1.0
        for one in size:
            e, w = one.left, one.weight
            between = np.sqrt(w[1:] * w[:-1])
            lag += float((between * e[1:]) @ e[:-1]) / scale
            total += float(w @ e**2) / scale
            # M M' = 1 - U V' - V U' + U (V' V) U', its diagonal and the one beside it
            u, v, inner = one.there, one.rows, one.rows.T @ one.rows
            after = u @ inner
            beside = (after[1:] * u[:-1] - u[1:] * v[:-1] - v[1:] * u[:-1]).sum(axis=1)
            expected += float(between @ beside)
            white += float(w @ (1 + ((after - 2 * v) * u).sum(axis=1)))
    correlation = min(max(lag / max(total, TINY) - expected / max(white, TINY), 0.0), 0.8)
    return [_pool(size, correlation) for size in pieces]


@dataclass(frozen=True)
class _Residual:
    """One run: residuals, weights, and the two factors U, V of the hat matrix U V', so M = 1 - U V'."""

    left: Array  # (n,)
    weight: Array  # (n,)
    there: Array  # (n, L + 1)
    rows: Array  # (n, L + 1)


def _residuals(fit: GroupFit, times: Sequence[Array], values: Sequence[Array]) -> list[_Residual]:
    response, result = respond(fit, times, None, 0.0), []
    for time, value, linear, left, right in zip(times, values, fit.linear, response.left, response.right, strict=True):
        rest = value - left[:, :-1] @ linear
        result.append(_Residual(rest, row_weights(fit.shape, time), left, right.T))
    return result


def _pool(size: list[_Residual], correlation: float) -> Jitter:
    """Sd and freedom from tr A Omega and tr (A Omega)^2, A = M' W M = W + P Q' with P and Q of few columns."""
    squares, trace, fourth = 0.0, 0.0, 0.0
    omega: dict[int, Array] = {}
    for one in size:
        rows = len(one.left)
        if rows not in omega:
            omega[rows] = correlated(correlation, rows)
        weighed = one.weight[:, None] * one.there
        p = np.concatenate([one.rows, weighed], axis=1)
        q = np.concatenate([one.rows @ (one.there.T @ weighed) - weighed, -one.rows], axis=1)
        moved = omega[rows] @ p
        small = q.T @ moved
        squares += float(one.weight @ one.left**2)
        trace += float(one.weight.sum() + np.trace(small))
        fourth += float(one.weight @ omega[rows] ** 2 @ one.weight + np.sum(small * small.T))
        fourth += 2 * float(np.sum((omega[rows] @ q) * (one.weight[:, None] * moved)))
    freedom = max(trace**2 / max(fourth, TINY), 1.0)
    return Jitter(float(np.sqrt(squares / max(trace, TINY))), freedom, correlation)


def correlated(correlation: float, rows: int) -> Array:
    """Correlation (rows, rows) between a run's successive measurements."""
    lag = np.abs(np.subtract.outer(np.arange(rows), np.arange(rows)))
    return np.asarray(correlation**lag, dtype=float)


def draw_components(
    levels: Sequence[Array],
    known: Sequence[Array],
    ratios: Sequence[Array],
    trunks: Sequence[NDArray[np.int_]],
    rng: np.random.Generator,
    draws: int,
) -> tuple[Array, Array] | None:
    """Posterior draws of the run-to-run and trunk-to-trunk sd (draws,) each, nats/token; None without replicates.

    Per size: levels (R,) of the runs, ``known`` (R,) variances of their estimates, ratios (R,), trunk
    numbers (R,). Restricted likelihood, ratio means free, pooled over sizes: replicates are few, and
    which seed a run has should matter alike at neighbouring sizes. Trunk sd is 0 where no size has two.
    """
    spare = [len(level) - len(np.unique(ratio)) for level, ratio in zip(levels, ratios, strict=True)]
    if sum(spare) < 1:
        return None
    squares = sum(
        float(np.sum((level[ratio == r] - level[ratio == r].mean()) ** 2))
        for level, ratio in zip(levels, ratios, strict=True)
        for r in np.unique(ratio)
    )
    scale = max(float(np.sqrt(squares / sum(spare))), TINY)
    several = any(len(np.unique(trunk)) > 1 for trunk in trunks)
    size = GRID if max(map(len, levels)) <= 30 else GRID // 2
    runs = scale * np.geomspace(0.02, 8, size)
    trunk_sds = scale * np.concatenate([[1e-3], np.geomspace(0.05, 8, size // 2)]) if several else np.zeros(1)
    log = np.zeros((len(runs), len(trunk_sds)))
    for level, variance, ratio, trunk in zip(levels, known, ratios, trunks, strict=True):
        if len(level) == len(np.unique(ratio)):
            continue
        design = np.equal.outer(ratio, np.unique(ratio)).astype(float)
        together = np.equal.outer(trunk, trunk).astype(float) * (len(np.unique(trunk)) > 1)
        for i, run_sd in enumerate(runs):
            for j, trunk_sd in enumerate(trunk_sds):
                covariance = np.diag(variance + run_sd**2) + trunk_sd**2 * together
                log[i, j] += _log_restricted(level, design, covariance)
    log += (log_half_cauchy(runs, scale) + np.log(widths(runs)))[:, None]
    if several:
        log += (log_half_cauchy(trunk_sds, scale) + np.log(widths(trunk_sds)))[None, :]
    rows, columns = np.unravel_index(_pick(log.ravel(), rng, draws), log.shape)
    return runs[rows], trunk_sds[columns]


def draw_misfit(excess: float, noise: float, freedom: int, prior: float, rng: np.random.Generator, draws: int) -> Array:
    """Posterior draws (draws,) of the ratio law's own error relative to the range of losses it spans.

    ``excess``: squared residuals of the law over sizes, each relative to its range; ``noise``: what of
    it noise explains; ``freedom``: ratios less parameters, summed. Half-normal prior of sd ``prior``.
    """
    grid = prior * np.linspace(0.02, 4, 2 * GRID)
    log = -0.5 * (grid / prior) ** 2
    if freedom > 0:
        variance = grid**2 + noise / freedom + TINY
        log = log - 0.5 * freedom * np.log(variance) - 0.5 * excess / variance
    return np.asarray(grid[_pick(log, rng, draws)], dtype=float)


def _pick(log: Array, rng: np.random.Generator, draws: int) -> NDArray[np.int_]:
    weight = np.exp(log - log.max())
    return rng.choice(len(log), size=draws, p=weight / weight.sum())


def widths(grid: Array) -> Array:
    """Spacing of a grid's points: turns density into mass."""
    return np.gradient(grid) if len(grid) > 1 else np.ones(1)


def log_half_cauchy(value: Array, scale: float) -> Array:
    """Log density up to a constant: weak, and heavy in the tail."""
    return np.asarray(-np.log1p((value / scale) ** 2), dtype=float)


def _log_restricted(value: Array, design: Array, covariance: Array) -> float:
    """Restricted log-likelihood: the means of the design's groups integrated out."""
    factor = np.linalg.cholesky(covariance)
    white, columns = np.linalg.solve(factor, value), np.linalg.solve(factor, design)
    normal = np.linalg.cholesky(columns.T @ columns)
    part = np.linalg.solve(normal, columns.T @ white)
    return float(-np.log(np.diag(factor)).sum() - np.log(np.diag(normal)).sum() - 0.5 * (white @ white - part @ part))
