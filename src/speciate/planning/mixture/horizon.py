"""The critical ratio of one size at every token count of a grid: its estimate and its draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.critical import (
    across_ratios,
    fit_critical_law,
    fit_ratio_law,
    rising_with_ratio,
    tolerated_ratio,
    turned_ratio,
    turning_draws,
    turning_point,
)
from speciate.planning.mixture.levels import Levels

Array = NDArray[np.float64]
STEP = 1e-4  # in ln T, for slopes of fitted curves
FARTHEST = 30.0  # turning points are looked for up to this many horizons; beyond, "does not turn"
POINTS = 33  # of the grid up to the horizon
SHOWN = 12  # of them in the critical curve


@dataclass(frozen=True)
class Question:
    """What is asked of one size. ``weight`` is lambda; None is lambda -> infinity (the domain loss is left out)."""

    horizon: float
    tolerance: float
    weight: float | None


@dataclass(frozen=True)
class CriticalPath:
    """At tokens (G,): R_tolerance and R_turning (G,), unclipped; draws of their minimum (B, G) or None.

    ``turning`` (n,) are the tried ratios' turning points (infinity: never); ``law`` c, k, s of eq. 8
    in units of ``unit`` tokens, or None where fewer than three ratios turn. The horizon is last.
    """

    tokens: Array
    tolerated: Array
    turned: Array
    draws: Array | None
    turning: Array
    law: tuple[float, float, float] | None
    unit: float
    change: Array  # (n,) general change of the tried ratios at the horizon, as the ratio law has it
    feasible: NDArray[np.bool_]  # (n,) of the same
    probability: Array | None  # (n,)


def critical_path(
    general: Levels, domain: Levels, turner: Levels | None, misfit: Array | None, question: Question
) -> CriticalPath:
    """Everything definition 2 and 3 ask of one size.

    ``turner`` is the rise-and-fall law fitted where ``general`` is fitted by a curve that cannot turn.
    A ratio has then turned when either falls: that curve, because the loss is falling already at the
    pilots' end, or ``turner``, because it sees a turn coming.
    """
    grid = np.geomspace(general.first, max(question.horizon, general.first * 1.01), POINTS)
    ahead = question.horizon * np.geomspace(1, 8, 9)[1:]
    wide = np.concatenate([grid, ahead])
    turning = _turning(general, domain, turner, question)
    levels = general.means(wide)
    others = domain.means(wide) if question.weight else None
    slopes = _slopes(_weigh(levels, others, question), wide, general.longest)
    if turner is not None and not general.fit.shape.turns:
        slopes = np.minimum(slopes, _slopes(_weigh(turner.means(wide), others, question), wide, general.longest))
    unit = general.longest
    shown = np.arange(POINTS - SHOWN, POINTS)
    point = _over_time(levels[None], slopes[None], turning[None], general.ratios, wide, shown, question, unit, None)
    law = None
    if np.sum(np.isfinite(turning) & (turning > 0)) >= 3:
        c, k, s, enough = fit_critical_law(turning[None], general.ratios, unit)
        law = (float(c[0]), float(k[0]), float(s[0])) if enough[0] else None
    change = across_ratios(general.ratios, levels[:, POINTS - 1])
    feasible = (rising_with_ratio(slopes[:, POINTS - 1]) <= 0) & (change <= question.tolerance)
    draws, probability = None, None
    if general.noise is not None:
        drawn = general.mean_draws(wide)
        other_draws = domain.mean_draws(wide) if question.weight else None
        weighed = _weigh(drawn, other_draws, question)
        moved = _slopes(weighed, wide, general.longest)
        turns = turning_draws(weighed, wide, POINTS - 1)
        cannot = ~np.array([fit.shape.turns for fit in general.noise.fits])[general.noise.which]
        if turner is not None and cannot.any():
            seen = _weigh(turner.mean_draws(wide), other_draws, question)[cannot]
            falling = moved[cannot][:, :, POINTS - 1] <= 0
            to_come = turning_draws(seen, wide, POINTS - 1)
            turns[cannot] = np.where(falling, np.minimum(to_come, general.longest), to_come)
            moved[cannot] = np.minimum(moved[cannot], _slopes(seen, wide, general.longest))
        tolerated, turned = _over_time(drawn, moved, turns, general.ratios, wide, shown, question, unit, misfit)
        draws = np.clip(np.minimum(tolerated, turned), 0.0, 1.0)
        probability = (draws[:, -1:] >= general.ratios).mean(axis=0)
    return CriticalPath(wide[shown], point[0][0], point[1][0], draws, turning, law, unit, change, feasible, probability)


def _weigh(general: Array, domain: Array | None, question: Question) -> Array:
    """F / lambda = L_gen + L_dom / lambda."""
    return general if domain is None or question.weight is None else general + domain / question.weight


def _slopes(curves: Array, tokens: Array, longest: float) -> Array:
    """dF/d ln T (..., G) of curves at tokens (G,), held at or below its value at the pilots' end beyond it.

    A loss that has been seen to fall has turned: the law has one maximum. A drawn error of the extrapolation may
    lift the level of a curve, but must not make it turn a second time.
    """
    slopes = np.asarray(np.gradient(curves, np.log(tokens), axis=-1), dtype=float)
    last = int(np.searchsorted(tokens, longest, side="right")) - 1
    if 1 <= last < len(tokens) - 1:
        held = slopes[..., last - 1 : last]  # the last slope that no extrapolated value enters
        slopes[..., last:] = np.minimum(slopes[..., last:], held)
    return slopes


def _turning(general: Levels, domain: Levels, turner: Levels | None, question: Question) -> Array:
    """Turning points (n,) of the expected curves."""
    last = FARTHEST * question.horizon
    turner = None if general.fit.shape.turns else turner

    def slope(index: int, use: Levels) -> Callable[[Array], Array]:
        def value(tokens: Array) -> Array:
            curve = use.combine[index] @ use.fit.curves(tokens)
            return np.asarray(curve + domain.means(tokens)[index] / question.weight if question.weight else curve)

        return lambda log_t: (value(np.exp(log_t + STEP)) - value(np.exp(log_t - STEP))) / (2 * STEP)

    found = np.empty(len(general.ratios))
    for i in range(len(found)):
        found[i] = turning_point(slope(i, turner or general), general.first / 16, question.horizon, last)
        if turner is not None and slope(i, general)(np.log(np.array([question.horizon])))[0] <= 0:
            found[i] = _observed_peak(general, i)
        if found[i] < general.first / 8:  # before anything was measured: it falls all along
            found[i] = 0.0
    return found


def _observed_peak(general: Levels, index: int) -> float:
    """Tokens at which the runs of a ratio measured their highest loss (geometric mean); 0 if at once.

    Stands for the turning point where the rise-and-fall law describes the runs badly but they are seen to fall.
    """
    curves = [curve for curve, ratio in zip(general.curves, general.ratio_of, strict=True) if ratio == index]
    peaks = np.array([curve.tokens[np.argmax(curve.change)] for curve in curves])
    peak = float(np.exp(np.log(peaks).mean()))
    return 0.0 if peak <= general.first else peak


def _over_time(
    levels: Array,
    slopes: Array,
    turning: Array,
    ratios: Array,
    tokens: Array,
    shown: NDArray[np.int_],
    question: Question,
    unit: float,
    misfit: Array | None,
) -> tuple[Array, Array]:
    """R_tolerance and R_turning (B, G) at the shown token counts: levels, slopes (B, n, T), turning (B, n)."""
    across = np.moveaxis(levels[:, :, shown], 1, -1)  # (B, G, n)
    c, k, s = fit_ratio_law(ratios, across)
    margin: Array | float = 0.0
    if misfit is not None:
        normal = np.random.default_rng(len(misfit)).standard_normal(len(misfit))
        margin = (misfit * normal)[:, None] * np.ptp(across, axis=-1)
    tolerated = tolerated_ratio(c, k, s, question.tolerance - margin)
    law = fit_critical_law(turning, ratios, unit)
    turned = np.stack(
        [turned_ratio(law, rising_with_ratio(slopes[:, :, i]), ratios, float(tokens[i]), unit) for i in shown],
        axis=-1,
    )
    return tolerated, turned
