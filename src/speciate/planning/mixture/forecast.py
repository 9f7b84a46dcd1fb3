"""What a run at some ratio and token count will measure: draws of its loss, for curves, seals and comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.mixture.critical import fit_ratio_law, ratio_law
from speciate.planning.mixture.levels import Levels
from speciate.planning.mixture.spread import draw_misfit

Array = NDArray[np.float64]
MISFIT_PRIOR = 0.02  # of the range of losses, RMS: small models .02, general losses of the CMR paper's Table 4 .016


@dataclass(frozen=True)
class Forecast:
    """Losses (nats/token) at G token counts: value (G,), and the interval's ends or None."""

    value: Array
    low: Array | None
    high: Array | None


def misfit_draws(levels: list[Levels], tokens: list[float], rng: np.random.Generator) -> Array | None:
    """Draws (B,) of the ratio law's own error relative to the range of losses at a size, pooled over sizes."""
    excess, noise, freedom, count = 0.0, 0.0, 0, 0
    for level, at in zip(levels, tokens, strict=True):
        if level.noise is None:
            return None
        count = len(level.noise.run_sd)
        if len(level.ratios) < 4:
            continue
        spare = len(level.ratios) - 3
        point = level.means(np.array([at]))[:, 0]
        drawn = level.mean_draws(np.array([at]))[:, :, 0]
        span = max(float(np.ptp(point)), 1e-9)
        own = _squared_error(level.ratios, point[None])[0]
        with_noise = float(np.mean(_squared_error(level.ratios, drawn)))
        excess += own / span**2
        noise += max(with_noise - own, 0.0) / span**2
        freedom += spare
    return draw_misfit(excess, noise, freedom, MISFIT_PRIOR, rng, count) if count else None


def _squared_error(ratios: Array, losses: Array) -> Array:
    c, k, s = fit_ratio_law(ratios, losses)
    fitted = ratio_law(c[:, None], k[:, None], s[:, None], ratios[None, :])
    return np.asarray(np.square(losses - fitted).sum(axis=1))


def forecast(
    levels: Levels,
    misfit: Array | None,
    ratio: float,
    tokens: Array,
    level: float,
    seed: int,
    *,
    trunk: str | None = None,
    continues: str | None = None,
) -> Forecast:
    """The loss a single run will measure at ``tokens`` (G,), with its own seed's effect and jitter.

    ``trunk`` names the starting model (default: any of those tried, at random). ``continues`` names a
    pilot that is carried on: its own past then counts instead of a new seed. A ratio between those
    tried is read off the ratio law, whose own error widens the interval.
    """
    names = [curve.run for curve in levels.curves]
    if continues is not None and continues not in names:
        raise UserError(Problem(f"no pilot is called {continues!r}", "continues", f"name one of {', '.join(names)}"))
    if trunk is not None and trunk not in levels.trunks:
        raise UserError(Problem(f"no trunk is called {trunk!r}", "trunk", f"name one of {', '.join(levels.trunks)}"))
    if continues is not None:
        run = names.index(continues)
        start = levels.curves[run].start
        point = levels.fit.curve(run, tokens)
        drawn = levels.run_draws(tokens, [run])[:, 0] if levels.noise is not None else None
        fresh = 0.0
    else:
        start, chosen = _start(levels, trunk)
        point = _at_ratio(levels.ratios, levels.means(tokens, trunk)[None], None, ratio)[0]
        drawn = None
        if levels.noise is not None:
            drawn = _at_ratio(levels.ratios, _any_trunk(levels, tokens, chosen, start), misfit, ratio)
        fresh = 1.0
    return _band(levels, start + point, None if drawn is None else start + drawn, fresh, tokens, level, seed)


def forecast_tried(levels: Levels, tokens: Array, level: float, seed: int) -> list[Forecast]:
    """``forecast`` of new runs from any trunk at every tried ratio, sharing one set of draws."""
    start, chosen = _start(levels, None)
    points = start + levels.means(tokens)
    drawn = None if levels.noise is None else start + _any_trunk(levels, tokens, chosen, start)
    return [
        _band(levels, point, None if drawn is None else drawn[:, i], 1.0, tokens, level, seed)
        for i, point in enumerate(points)
    ]


def _band(
    levels: Levels, value: Array, drawn: Array | None, fresh: float, tokens: Array, level: float, seed: int
) -> Forecast:
    """Interval of a single measurement: draws (B, G) plus a new run's effect (times ``fresh``) and jitter."""
    if drawn is None or levels.noise is None:
        return Forecast(value, None, None)
    rng = np.random.default_rng(seed)
    own = fresh * levels.noise.run_sd[:, None] * rng.standard_normal((len(drawn), 1)) * levels.growth(tokens)
    jitter = levels.noise.jitter_sd[:, None] * rng.standard_normal(drawn.shape)
    low, high = np.quantile(drawn + own + jitter, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Forecast(value, np.minimum(low, value), np.maximum(high, value))


def _start(levels: Levels, trunk: str | None) -> tuple[float, dict[str, float]]:
    """Mean loss of the chosen starting models, and each one's."""
    starts = {curve.trunk: curve.start for curve in levels.curves}
    chosen = {trunk: starts[trunk]} if trunk is not None else starts
    return float(np.mean(list(chosen.values()))), chosen


def _any_trunk(levels: Levels, tokens: Array, chosen: dict[str, float], start: float) -> Array:
    """Draws (B, n, G) of the change against ``start``; draws take the chosen trunks in turn."""
    assert levels.noise is not None, "no replicates, no draws"
    drawn = np.empty((len(levels.noise.which), len(levels.ratios), len(tokens)))
    for turn, (name, own) in enumerate(chosen.items()):
        mine = slice(turn, None, len(chosen))
        drawn[mine] = levels.mean_draws(tokens, name, mine) + (own - start)
    return drawn


def _at_ratio(ratios: Array, losses: Array, misfit: Array | None, ratio: float) -> Array:
    """Losses (B, n, G) at the tried ratios -> (B, G) at any one."""
    tried = np.flatnonzero(np.abs(ratios - ratio) < 1e-9)
    if len(tried):
        return np.asarray(losses[:, tried[0]])
    across = np.moveaxis(losses, 1, -1)  # (B, G, n)
    c, k, s = fit_ratio_law(ratios, across)
    value = ratio_law(c, k, s, ratio)
    if misfit is None:
        return value
    normal = np.random.default_rng(len(misfit)).standard_normal(len(misfit))  # one draw for all tokens: errors persist
    return np.asarray(value + (misfit * normal)[:, None] * np.ptp(across, axis=-1))
