"""How fitted curves answer to noise in the measurements: variances to first order, and draws in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.curves import (
    BENDS,
    GroupFit,
    Shape,
    basis_at,
    batches,
    profile_errors,
    row_weights,
    same_times,
    solved,
)

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
    levels off or one about to turn), so s is drawn whole instead of to first order.
    """
    runs = len(times)
    if fit.shape.bend == "fixed" or noise_sd <= 0:
        return np.tile(fit.bends, (draws, 1))
    scaled = [time / fit.scale for time in times]
    seen = _information(fit, scaled)
    if fit.shape.bend == "shared":
        grid = _bends_about(fit.bends[0], seen.sum(), noise_sd)
        total = np.zeros(len(grid))
        for members, time in batches(scaled):
            total += profile_errors(fit.shape, grid, time, np.stack([values[run] for run in members])).sum(axis=0)
        return np.tile(_pick_bend(grid, total, noise_sd, rng, draws)[:, None], runs)
    grids = [_bends_about(fit.bends[run], seen[run], noise_sd) for run in range(runs)]
    totals = list(grids)
    for size in {len(grid) for grid in grids}:
        alike = [run for run in range(runs) if len(grids[run]) == size]
        for members, time in batches([scaled[run] for run in alike]):
            chosen = [alike[i] for i in members]
            own = np.stack([grids[run] for run in chosen])
            errors = profile_errors(fit.shape, own, time, np.stack([values[run] for run in chosen]))
            for run, error in zip(chosen, errors, strict=True):
                totals[run] = error
    return np.stack([_pick_bend(g, t, noise_sd, rng, draws) for g, t in zip(grids, totals, strict=True)], axis=1)


def _bends_about(bend: float, information: float, noise_sd: float) -> Array:
    """Values of s to draw from: a fine grid around an estimate that is well determined, else all that are searched."""
    sd = noise_sd / float(np.sqrt(max(information, 1e-300)))
    return np.asarray(bend + sd * np.linspace(-4, 4, 25), dtype=float) if 4 * sd < 0.2 else BENDS


def _pick_bend(grid: Array, errors: Array, noise_sd: float, rng: np.random.Generator, draws: int) -> Array:
    log = -0.5 * (errors - errors.min()) / noise_sd**2
    weight = np.exp(log - log.max())
    return rng.choice(grid, size=draws, p=weight / weight.sum())


def _information(fit: GroupFit, times: Sequence[Array]) -> Array:
    """Information (R,) on s in every run's rows per unit noise variance: what of the curve's slope by s only s
    explains. Times are scaled."""
    found = np.empty(len(times))
    for members, time in batches(times):
        grid, which, here, solve = solved(fit.shape, fit.bends[members], time)
        linear = np.stack([fit.linear[run] for run in members])[:, :, None]
        slope = np.matmul(bend_slopes(fit.shape, grid, time)[which], linear)
        rest = (slope - here[which] @ (solve[which] @ slope))[..., 0]
        found[members] = (rest**2 * row_weights(fit.shape, time)).sum(axis=1)
    return found


def refit_linear(
    fit: GroupFit, times: Sequence[Array], values: Sequence[Array], bends: Array, noise: Sequence[Array]
) -> Array:
    """Linear parameters (B, R, L) refitted to values less noise (R of (B, n)) at given s (B, R)."""
    linear = np.empty((*bends.shape, len(fit.shape.law.linear)))
    for members in same_times(times):
        time = times[members[0]]
        _, which, _, solve = solved(fit.shape, bends[:, members], time / fit.scale)
        for run, chosen in zip(members, which.T, strict=True):
            data = values[run] - noise[run]
            linear[:, run] = np.matmul(solve[chosen], data[:, :, None])[..., 0]
    return linear


def weighted_curves(fit: GroupFit, bends: Array, linear: Array, weights: Array, tokens: Array) -> Array:
    """Weighted sums (B, m, G) of the runs' curves: s (B, R), linear parameters (B, R, L), weights (m, R)."""
    used = np.flatnonzero(weights.any(axis=0))
    weights, bends, linear = weights[:, used], bends[:, used], linear[:, used]
    grid, which = np.unique(bends, return_inverse=True)
    which = which.reshape(bends.shape)
    there = basis_at(fit.shape, grid, tokens / fit.scale)  # (S, G, L)
    if (bends == bends[:, :1]).all():  # the runs of a draw share s: their parameters can be summed
        return np.asarray(np.matmul(weights @ linear, np.swapaxes(there, 1, 2)[which[:, 0]]), dtype=float)
    curves = np.empty((*bends.shape, len(tokens)))
    for run in range(len(used)):
        curves[:, run] = np.matmul(there[which[:, run]], linear[:, run, :, None])[..., 0]
    return np.asarray(weights @ curves, dtype=float)


@dataclass(frozen=True)
class Response:
    """How noise e (R of (n,)) in the rows moves the fitted curves at G token counts, to first order.

    curve_r moves by  left_r right_r e_r + through_r * (sum over the rest of the pool of share_q . e_q): the run's own
    rows at fixed s and through s (the last column of ``left`` and row of ``right``), and the others through s. The
    pool is the run itself ("own") or all runs ("shared").
    """

    left: tuple[Array, ...]  # R of (G, L + 1)
    right: tuple[Array, ...]  # R of (L + 1, n)
    pooled: bool

    def variances(self, correlations: Sequence[Array]) -> Array:
        """Variance of the curves (R, G) per unit noise variance; correlations R of (n, n)."""
        inner = [right @ c @ right.T for right, c in zip(self.right, correlations, strict=True)]
        spread = np.array([float(one[-1, -1]) for one in inner])
        result = np.stack([((left @ one) * left).sum(axis=1) for left, one in zip(self.left, inner, strict=True)])
        if self.pooled:
            result += np.stack([left[:, -1] for left in self.left]) ** 2 * (spread.sum() - spread)[:, None]
        return result


def respond(fit: GroupFit, times: Sequence[Array], tokens: Array | None, noise_sd: float) -> Response:
    """The response of a fit at ``tokens`` (G,) or, None, each run's own; ``noise_sd`` weighs the prior of s."""
    runs, free = len(times), fit.shape.bend != "fixed"
    left, right = [np.empty((0, 0))] * runs, [np.empty((0, 0))] * runs
    information = np.zeros(runs)
    for members, time in batches([time / fit.scale for time in times]):
        grid, which, here, solve = solved(fit.shape, fit.bends[members], time)
        ahead = time if tokens is None else tokens / fit.scale
        there = basis_at(fit.shape, grid, ahead)
        linear = np.stack([fit.linear[run] for run in members])[:, :, None]
        bend = bend_slopes(fit.shape, grid, time)[which] @ linear  # (m, n, 1)
        explained = solve[which] @ bend
        rest = (bend - here[which] @ explained)[..., 0]  # what only s explains
        moved = bend_slopes(fit.shape, grid, ahead)[which] @ linear - there[which] @ explained
        seen = row_weights(fit.shape, time) * rest
        information[members] = (seen * rest).sum(axis=1)
        for i, run in enumerate(members):
            left[run] = np.concatenate([there[which[i]], moved[i]], axis=1)
            right[run] = np.concatenate([solve[which[i]], seen[i, None]])
    pooled = fit.shape.bend == "shared"
    total = (np.full(runs, information.sum()) if pooled else information) + (noise_sd / BEND_SD) ** 2
    for run in range(runs):
        right[run][-1] *= 1 / total[run] if free and total[run] > 0 else 0.0
    return Response(tuple(left), tuple(right), pooled)


def bend_slopes(shape: Shape, s: Array, time: Array) -> Array:
    """Derivatives (S, n, L) of a shape's terms by s (S,) at scaled tokens (n,) or (S, n)."""
    columns = []
    for i in range(len(shape.law.linear)):
        theta = np.zeros((len(s), len(shape.law.parameters)))
        theta[:, shape.law.linear[i]] = 1.0
        theta[:, shape.law.nonlinear] = s[:, None]
        _, slopes = shape.law.jacobian_scaled(theta, {"tokens": time + shape.offset})
        columns.append(slopes[..., shape.law.nonlinear[0]])
    return np.stack(columns, axis=-1)
