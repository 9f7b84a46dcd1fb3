"""How fitted curves answer to noise in the measurements: variances to first order, and draws in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.curves import BENDS, GroupFit, Shape, basis_at, profile_errors, row_weights, same_times

Array = NDArray[np.float64]
BEND_SD = 0.5  # prior width of s to first order: curves that do not see s must not spread without bound


def draw_bends(
    fit: GroupFit,
    times: Sequence[Array],
    values: Sequence[Array],
    noise_sd: float,
    rng: np.random.Generator,
    draws: int,
) -> Array:
    """Draws (B, R) of s from its profile likelihood, flat over the searched range.

    A noisy curve hardly sees s, and what it predicts is then anything but linear in it (a curve that
    levels off or one about to turn), so s is drawn whole instead of to first order. The weighted error
    is scaled by variance of the score over information, as row weights are not a likelihood.
    """
    runs = len(times)
    if fit.shape.bend == "fixed" or noise_sd <= 0:
        return np.tile(fit.bends, (draws, 1))
    scaled = [time / fit.scale for time in times]
    weights = [row_weights(fit.shape, time) for time in times]
    pieces = [_seen(fit, run, time, weight) for run, (time, weight) in enumerate(zip(scaled, weights, strict=True))]
    pools = [list(range(runs))] if fit.shape.bend == "shared" else [[run] for run in range(runs)]
    drawn = np.empty((draws, runs))
    for pool in pools:
        information = max(sum(pieces[run][0] for run in pool), 1e-300)
        score = sum(pieces[run][1] for run in pool)
        sd = noise_sd * float(np.sqrt(score)) / information
        near = 4 * sd < 0.2  # well determined: a fine grid around the estimate
        grid = fit.bends[pool[0]] + sd * np.linspace(-4, 4, 25) if near else BENDS
        total = np.zeros(len(grid))
        for members in same_times([scaled[run] for run in pool]):
            chosen = [pool[i] for i in members]
            total += profile_errors(fit.shape, grid, scaled, values, weights, chosen).sum(axis=0)
        log = -0.5 * (total - total.min()) / (noise_sd**2 * score / information)
        weight = np.exp(log - log.max())
        drawn[:, pool] = rng.choice(grid, size=draws, p=weight / weight.sum())[:, None]
    return drawn


def _seen(fit: GroupFit, run: int, time: Array, weight: Array) -> tuple[float, float]:
    """Information on s in one run's rows, and the variance of its score per unit noise variance."""
    root = np.sqrt(weight)
    here = basis_at(fit.shape, fit.bends[run], time) * root[:, None]
    slope = _bend_slope(fit, run, time) * root
    rest = slope - here @ np.linalg.lstsq(here, slope, rcond=None)[0]
    return float(rest @ rest), float(weight @ rest**2)


def bent_curves(
    fit: GroupFit, times: Sequence[Array], values: Sequence[Array], bends: Array, noise: Sequence[Array], tokens: Array
) -> Array:
    """Curves (B, R, G) refitted to values less noise (R of (B, n)) at given s (B, R)."""
    result = np.empty((len(bends), len(times), len(tokens)))
    known: dict[tuple[bytes, float], Array] = {}
    there = {s: basis_at(fit.shape, s, tokens / fit.scale) for s in np.unique(bends)}
    for run, time in enumerate(times):
        root = np.sqrt(row_weights(fit.shape, time))
        data = values[run] - noise[run]
        for s in np.unique(bends[:, run]):
            key = (time.tobytes(), float(s))
            if key not in known:
                here = basis_at(fit.shape, s, time / fit.scale) * root[:, None]
                known[key] = there[s] @ (np.linalg.pinv(here) * root)
            rows = bends[:, run] == s
            result[rows, run] = data[rows] @ known[key].T
    return result


@dataclass(frozen=True)
class Response:
    """How noise e (R of (n,)) in the rows moves the fitted curves at G token counts, to first order.

    curve_r moves by  direct_r e_r + through_r * (sum over the pool of share_q . e_q): the first part
    at fixed s, the second through s. The pool is the run itself ("own") or all runs ("shared").
    """

    direct: tuple[Array, ...]  # R of (G, n)
    through: tuple[Array, ...]  # R of (G,)
    share: tuple[Array, ...]  # R of (n,)
    pooled: bool

    def own(self, run: int) -> Array:
        """The map (G, n) of a run's own noise to its own curve."""
        return self.direct[run] + np.outer(self.through[run], self.share[run])

    def variances(self, correlations: Sequence[Array]) -> Array:
        """Variance of the curves (R, G) per unit noise variance; correlations R of (n, n)."""
        spread = [float(share @ c @ share) for share, c in zip(self.share, correlations, strict=True)]
        result = []
        for run, through in enumerate(self.through):
            own = self.own(run)
            variance = np.einsum("gi,ij,gj->g", own, correlations[run], own)
            if self.pooled:
                variance = variance + through**2 * (sum(spread) - spread[run])
            result.append(variance)
        return np.stack(result)


def respond(fit: GroupFit, times: Sequence[Array], tokens: Array, noise_sd: float) -> Response:
    """The response of a fit at ``tokens`` (G,); ``noise_sd`` sets how much the prior of s weighs."""
    direct, through, share, information = [], [], [], []
    pieces: list[tuple[Any, ...]] = []
    known: dict[tuple[bytes, float], tuple[Array, Array, Array, Array, Array]] = {}  # runs often share times and s
    for run, time in enumerate(times):
        key = (time.tobytes(), float(fit.bends[run]))
        if key not in known:
            known[key] = _terms(fit.shape, key[1], time / fit.scale, tokens / fit.scale)
        here, solve, lift, bend, bend_then = known[key]
        weight = row_weights(fit.shape, time)
        bend_here, bend_there = bend @ fit.linear[run], bend_then @ fit.linear[run]
        rest = bend_here - here @ (solve @ bend_here)  # what only s explains
        pieces.append((lift, bend_there - lift @ bend_here, weight * rest))
        information.append(float(weight @ rest**2))
    pooled = fit.shape.bend == "shared"
    prior = (noise_sd / BEND_SD) ** 2
    for (lift, moved, seen), own in zip(pieces, information, strict=True):
        total = (sum(information) if pooled else own) + prior
        direct.append(lift)
        through.append(moved)
        free = fit.shape.bend != "fixed" and total > 0
        share.append(seen / total if free else np.zeros_like(seen))
    return Response(tuple(direct), tuple(through), tuple(share), pooled)


def _terms(shape: Shape, s: float, time: Array, tokens: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Terms (n, L), rows -> parameters (L, n), rows -> curve (G, n), and the terms' derivatives by s here and there."""
    root = np.sqrt(row_weights(shape, time))
    here = basis_at(shape, s, time)
    solve: Array = np.asarray(np.linalg.pinv(here * root[:, None]) * root, dtype=float)
    lift: Array = np.asarray(basis_at(shape, s, tokens) @ solve, dtype=float)
    return here, solve, lift, bend_slopes(shape, s, time), bend_slopes(shape, s, tokens)


def _bend_slope(fit: GroupFit, run: int, time: Array) -> Array:
    """Derivative of a run's curve by its s, the linear parameters held."""
    return bend_slopes(fit.shape, fit.bends[run], time) @ fit.linear[run]


def bend_slopes(shape: Shape, s: float, time: Array) -> Array:
    """Derivative (n, L) of a shape's terms by s at scaled tokens: what it is for each linear parameter at 1."""
    columns = []
    for i in range(len(shape.law.linear)):
        theta = np.zeros(len(shape.law.parameters))
        theta[shape.law.linear[i]] = 1.0
        theta[list(shape.law.nonlinear)] = s
        _, slopes = shape.law.jacobian_scaled(theta, {"tokens": time + shape.offset})
        columns.append(slopes[..., shape.law.nonlinear[0]])
    return np.stack(columns, axis=-1)
