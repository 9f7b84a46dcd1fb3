"""Turning points, feasibility and the critical mixture ratio (Gu et al. 2407.17467, definitions 2 and 3).

A ratio R is feasible at T tokens when (i) the general loss has risen by no more than the tolerance,
and (ii) F = L_dom + lambda L_gen has turned down by then (T >= T0). The critical ratio is the
largest feasible one: the lesser of R_tolerance, read off the ratio law L(R) = b + a R^s across the
tried ratios, and R_turning, read off the law R = c + k (t^s - 1)/s through the pairs (T0, R).

R_turning is held between the largest ratio that has turned by T and the next one that has not: the
law only interpolates there. When every tried ratio has turned it gives no bound at all (infinity);
small models do that, their general loss jumps at once and falls for every ratio that matters.
All functions broadcast over leading draws (..., n ratios); infinity means "never" or "no bound".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from speciate.laws.law import box_cox

Array = NDArray[np.float64]
RATIO_BENDS = np.linspace(-3, 3, 61)
CRITICAL_BENDS = np.linspace(-3, 3, 60)  # an even count leaves out 0, where the power form a t^s + b parts


def turning_point(slope: Callable[[Array], Array], first: float, horizon: float, last: float) -> float:
    """Tokens T0 where F turns down, seen from the horizon; infinity if it does not up to ``last``.

    ``slope(ln T)`` is dF/d ln T, (G,) -> (G,). If F falls at the horizon, T0 is the last root before it
    (0 if it falls all along): at finite lambda a second, spurious root often sits near the start, which
    is why eq. 7's fixed-point iteration cannot be used. If F rises there, T0 is the next root.

    >>> round(turning_point(lambda x: np.log(5e6) - x, 1e4, 1e6, 1e9))
    5000000
    """
    before = np.linspace(np.log(first), np.log(horizon), 200)
    rising = slope(before) > 0
    if not rising[-1]:
        if not rising.any():
            return 0.0
        i = int(np.flatnonzero(rising)[-1])
        return _root(slope, before[i], before[i + 1])
    after = np.linspace(np.log(horizon), np.log(last), 200)
    falling = np.flatnonzero(slope(after) <= 0)
    return _root(slope, after[falling[0] - 1], after[falling[0]]) if len(falling) else np.inf


def _root(slope: Callable[[Array], Array], low: float, high: float) -> float:
    """exp of where a slope above 0 at ``low`` comes down to 0 before ``high``, to 1e-11 of the way."""
    for _ in range(7):
        x = np.linspace(low, high, 41)
        down = int(np.argmax(slope(x)[1:] <= 0))
        low, high = float(x[down]), float(x[down + 1])
    return float(np.exp((low + high) / 2))


def turning_draws(curves: Array, tokens: Array, horizon: int) -> Array:
    """``turning_point`` of drawn curves (..., G) at log-spaced tokens (G,), horizon at that index -> (...)."""
    log_t = np.log(tokens)
    slopes = np.gradient(curves, log_t, axis=-1)
    change = (slopes[..., :-1] > 0) & (slopes[..., 1:] <= 0)  # turns down between i and i + 1
    early, late = change[..., :horizon], change[..., horizon:]
    last = horizon - 1 - np.argmax(early[..., ::-1], axis=-1)
    after = np.minimum(horizon + np.argmax(late, axis=-1), len(tokens) - 2)
    falls = slopes[..., horizon] <= 0
    i = np.where(falls, last, after)
    here = np.take_along_axis(slopes, i[..., None], -1)[..., 0]
    there = np.take_along_axis(slopes, i[..., None] + 1, -1)[..., 0]
    share = np.clip(here / np.where(here == there, 1.0, here - there), 0, 1)
    root = np.exp(log_t[i] + share * (log_t[i + 1] - log_t[i]))
    return np.where(np.where(falls, early.any(axis=-1), late.any(axis=-1)), root, np.where(falls, 0.0, np.inf))


def rising_with_ratio(slopes: Array) -> Array:
    """Isotonic regression of (..., n) over the last axis: the closest values that never decrease.

    More domain text cannot make the general loss turn earlier, so slopes at neighbouring ratios
    inform each other: without it one noisy curve would decide. Minimax formula over all runs of means.

    >>> rising_with_ratio(np.array([1.0, 0.0, 2.0]))
    array([0.5, 0.5, 2. ])
    """
    n = slopes.shape[-1]
    total = np.concatenate([np.zeros((*slopes.shape[:-1], 1)), np.cumsum(slopes, axis=-1)], axis=-1)
    result = np.empty_like(slopes)
    for i in range(n):
        means = [[(total[..., k + 1] - total[..., j]) / (k + 1 - j) for k in range(i, n)] for j in range(i + 1)]
        result[..., i] = np.max([np.min(row, axis=0) for row in means], axis=0)
    return result


def fit_ratio_law(ratios: Array, losses: Array) -> tuple[Array, Array, Array]:
    """L(R) = c + k (R^s - 1)/s through losses (..., n): c, k, s each (...), and squared errors with it.

    The paper's b + a R^s with a = k/s, b = c - k/s, in the form that does not part at s = 0.
    Least squares on a grid of s in [-3, 3] refined by a parabola; s > 0 only when 0 is among the ratios.
    """
    bends = RATIO_BENDS[RATIO_BENDS > 0] if ratios[0] == 0 else RATIO_BENDS
    log_r = np.log(np.maximum(ratios, 1e-300))
    flat = losses.reshape(-1, len(ratios))
    centred = flat - flat.mean(axis=1, keepdims=True)
    grid = box_cox(log_r, bends[:, None])  # (S, n)
    grid = grid - grid.mean(axis=1, keepdims=True)
    explained = np.square(centred @ grid.T) / np.maximum(np.square(grid).sum(axis=1), 1e-300)  # (B, S)
    best = np.clip(np.argmax(explained, axis=1), 1, len(bends) - 2)
    rows = np.arange(len(flat))
    low, mid, high = (explained[rows, best + step] for step in (-1, 0, 1))
    bend = low - 2 * mid + high
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend < 0, 0.5 * (low - high) / bend, 0.0)
    s = bends[best] + np.clip(shift, -1, 1) * (bends[1] - bends[0])
    x = box_cox(log_r, s[:, None])
    mean = x.mean(axis=1, keepdims=True)
    k = ((x - mean) * centred).sum(axis=1) / np.maximum(np.square(x - mean).sum(axis=1), 1e-300)
    c = flat.mean(axis=1) - k * mean[:, 0]
    shape = losses.shape[:-1]
    return c.reshape(shape), k.reshape(shape), s.reshape(shape)


def ratio_law(c: Array, k: Array, s: Array, ratio: float | Array) -> Array:
    """L(R): parameters (...), ratio broadcast against them."""
    log_r = np.log(np.maximum(ratio, 1e-300))
    return np.asarray(c + k * box_cox(log_r, np.asarray(s, dtype=float)), dtype=float)


def across_ratios(ratios: Array, losses: Array) -> Array:
    """Losses (n,) of the tried ratios as the ratio law through them has them; as they are when there are under three.

    The critical ratio is read off this law, so a ratio is called feasible by it too: otherwise one that is
    a hair below the critical ratio could be called infeasible by its own noise.
    """
    if len(ratios) < 3:
        return losses
    c, k, s = fit_ratio_law(ratios, losses[None])
    return np.asarray(ratio_law(c[:, None], k[:, None], s[:, None], ratios[None, :])[0])


def tolerated_ratio(c: Array, k: Array, s: Array, tolerance: float | Array) -> Array:
    """Largest R with L(R) <= tolerance, unclipped: (...) -> (...); 0 none, infinity any.

    >>> c, k, s = np.array([0.4]), np.array([0.5]), np.array([1.0])  # L = .4 + .5 (R - 1)
    >>> tolerated_ratio(c, k, s, 0.05)
    array([0.3])
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inner = (tolerance - c) / k
        bent = 1 + s * inner
        small = np.abs(s) < 1e-6
        root = np.where(small, np.exp(inner), np.exp(np.log(np.maximum(bent, 1e-300)) / np.where(small, 1.0, s)))
    root = np.where(~small & (bent <= 0), np.where(s > 0, 0.0, np.inf), root)
    return np.where(k > 0, root, np.where(c <= tolerance, np.inf, 0.0))


def fit_critical_law(turning: Array, ratios: Array, unit: float) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """R = c + k (t^s - 1)/s, t = T0 / unit, through the pairs with 0 < T0 < infinity: turning (..., n).

    Returns c, k, s (...), and whether at least three pairs with a rising law (k > 0) support it.
    """
    flat = np.atleast_2d(turning)
    use = np.isfinite(flat) & (flat > 0)
    weight = use / np.maximum(use.sum(axis=1, keepdims=True), 1)
    log_t = np.log(np.where(use, flat, unit) / unit)
    x = box_cox(log_t[:, None, :], CRITICAL_BENDS[:, None])  # (B, S, n)
    mean = (weight[:, None, :] * x).sum(axis=-1, keepdims=True)
    centre = (weight * ratios).sum(axis=1)
    y = (ratios - centre[:, None])[:, None, :]
    across = (weight[:, None, :] * (x - mean) * y).sum(axis=-1)
    spread = np.maximum((weight[:, None, :] * (x - mean) ** 2).sum(axis=-1), 1e-300)
    best = np.argmax(across**2 / spread, axis=1)
    rows = np.arange(len(flat))
    k = across[rows, best] / spread[rows, best]
    c = centre - k * mean[rows, best, 0]
    enough = (use.sum(axis=1) >= 3) & (k > 0)
    shape = turning.shape[:-1]
    s = CRITICAL_BENDS[best]
    return c.reshape(shape), k.reshape(shape), s.reshape(shape), enough.reshape(shape)


def turned_ratio(
    law: tuple[Array, Array, Array, NDArray[np.bool_]], slopes: Array, ratios: Array, tokens: float, unit: float
) -> Array:
    """R_turning at ``tokens``: ``law`` of ``fit_critical_law``, slopes dF/d ln T (..., n) -> (...).

    ``slopes`` never decrease with the ratio (``rising_with_ratio``). Infinity where every tried ratio
    falls; 0 where none does.
    """
    turned = slopes <= 0
    first_not = np.where(turned.all(axis=-1), len(ratios), np.argmin(turned, axis=-1))
    last = np.clip(first_not - 1, 0, len(ratios) - 1)
    after = np.clip(first_not, 0, len(ratios) - 1)
    c, k, s, enough = law
    through = c + k * box_cox(np.log(np.asarray(tokens / unit)), s)
    here = np.minimum(np.take_along_axis(slopes, last[..., None], -1)[..., 0], 0.0)
    there = np.maximum(np.take_along_axis(slopes, after[..., None], -1)[..., 0], 1e-12)
    straight = ratios[last] + (ratios[after] - ratios[last]) * (-here / (there - here))
    value = np.clip(np.where(enough, through, straight), ratios[last], ratios[after])
    return np.where(first_not == 0, 0.0, np.where(first_not == len(ratios), np.inf, value))
