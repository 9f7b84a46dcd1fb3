"""How much domain text continued pretraining may take: the critical mixture ratio, with an honest interval.

Four kinds of error enter the interval: jitter of the measurements about their curve, differences
between seeds and between trunks, the error of extrapolating beyond the longest pilot (measured by
backtests on the pilots), and the error of the law that interpolates between the tried ratios.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.mixture import present, remedy
from speciate.planning.mixture.backtest import contend
from speciate.planning.mixture.curves import DOMAIN_SHAPES, GENERAL_SHAPES
from speciate.planning.mixture.decision import Basis, MixtureDecision, Remedy, SizeDecision
from speciate.planning.mixture.forecast import misfit_draws
from speciate.planning.mixture.horizon import CriticalPath, Question, critical_path
from speciate.planning.mixture.levels import Believed, Levels, build_levels, refit
from speciate.planning.mixture.observations import SizeCurves, observe
from speciate.planning.mixture.sizes import extrapolate_size

Array = NDArray[np.float64]
LEAST_RATIOS = 3  # parameters of the ratio law


def plan_mixture(
    table: pd.DataFrame,
    *,
    general: str = "general",
    domain: str | None = None,
    horizon_tokens: float | None = None,
    tolerance: float = 0.05,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    params: int | None = None,
    lambda_: float | None = None,
    widest: float = 0.5,
    largest: bool = False,
) -> MixtureDecision:
    """The largest domain share that keeps the general loss within ``tolerance`` at the horizon, for every size.

    ``table``: one row per measurement with columns run, params, tokens, domain_ratio, eval_on, loss and,
    where known, trunk, seed; rows with tokens = 0 are the starting model. ``general`` and ``domain`` name
    evaluation sets. ``horizon_tokens`` of the planned run (default: of the longest pilot); ``tolerance``
    in nats/token; ``lambda_`` weighs general against domain loss (default: infinite, the turning point
    of the general loss); ``params`` asks for one size, extrapolated over sizes when it was not tried, and
    ``largest`` for the largest tried one (all sizes are fitted: they share what is known of noise);
    an interval wider than ``widest`` decides nothing.

    Without a second seed at any ratio the estimate stands but has no interval: run-to-run noise cannot
    be known, ``low`` and ``high`` are None, ``decided`` stays True, and ``status`` says so.

    Source: Gu et al. 2024 (arXiv 2407.17467), definitions 1-3, section 5; the interval is ours.
    Raises UserError (a faulty table or option), NotDecidable (no run long enough to be a curve).
    """
    _check(horizon_tokens, tolerance, level, draws, params, lambda_)
    seen = observe(table, general, domain)
    rng = np.random.default_rng(seed)
    untried = params is not None and all(size.params != params for size in seen.sizes)
    common = max(size.longest for size in seen.sizes) if untried else None  # sizes compare at one horizon only
    horizons = [float(horizon_tokens or common or size.longest) for size in seen.sizes]
    reach = max(h / size.longest for h, size in zip(horizons, seen.sizes, strict=True))
    generals, shapes = build_levels(GENERAL_SHAPES, [size.general for size in seen.sizes], horizons, rng, draws)
    domains, domain_shapes = build_levels(DOMAIN_SHAPES, [size.domain for size in seen.sizes], horizons, rng, draws)
    turners = _turners(seen.sizes, generals, shapes, reach, rng)
    misfit = misfit_draws(generals, horizons, rng)
    misfit_domain = misfit_draws(domains, horizons, rng)
    models = []
    for size, own, other, turner, horizon in zip(seen.sizes, generals, domains, turners, horizons, strict=True):
        if (largest and size is not seen.sizes[-1]) or (params is not None and not untried and size.params != params):
            continue
        basis = Basis(own, other, misfit, misfit_domain, None)
        models.append(_decide(size, basis, turner, Question(horizon, tolerance, lambda_), level, seed, widest))
    if params is not None:
        models = _for_size(models, params, level, widest)
    method = _method(generals, shapes, domain_shapes) | {"lambda": lambda_, "draws": draws, "seed": seed}
    rows = table[table["eval_on"].isin([general, seen.domain])]
    return MixtureDecision(general, seen.domain, level, seed, tuple(models), method, rows)


def _method(
    generals: list[Levels], shapes: tuple[Believed, ...], domain_shapes: tuple[Believed, ...]
) -> dict[str, Any]:
    """How the answer was reached: curves and their weights, what backtests and replicates showed (nats/token)."""
    return {
        "general_curve": shapes[0].contender.shape.describe(),
        "domain_curve": domain_shapes[0].contender.shape.describe(),
        "curve_weights": {one.contender.shape.describe(): one.weight for one in shapes},
        "backtest_rmse_per_doubling": {
            "general": shapes[0].contender.score,
            "domain": domain_shapes[0].contender.score,
        },
        "jitter_sd": [float(np.hypot(level.jitter.sd, level.within)) for level in generals],
        "run_sd": None if generals[0].noise is None else float(np.median(generals[0].noise.run_sd)),
    }


def _check(
    horizon: float | None, tolerance: float, level: float, draws: int, params: int | None, weight: float | None
) -> None:
    rules = [
        (horizon is None or 0 < horizon < np.inf, "horizon", horizon, "give tokens above 0"),
        (0 <= tolerance < np.inf, "tolerance", tolerance, "give nats per token, 0 or more"),
        (0 < level < 1, "level", level, "give a share between 0 and 1, such as 0.9"),
        (draws >= 100, "draws", draws, "give at least 100"),
        (params is None or 1 <= params < 1e18, "params", params, "give a count of 1 or more, such as 7e9"),
        (weight is None or 0 < weight < np.inf, "lambda", weight, "give a number above 0, or leave it out"),
    ]
    problems = [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]
    if problems:
        raise UserError(problems)


def _turners(
    sizes: tuple[SizeCurves, ...],
    generals: list[Levels],
    shapes: tuple[Believed, ...],
    reach: float,
    rng: np.random.Generator,
) -> list[Levels | None]:
    """The rise-and-fall law with the same noise, where a curve that is believed in cannot turn."""
    if all(one.contender.shape.turns for one in shapes):
        return [None] * len(sizes)
    turning = [one.contender.shape for one in shapes if one.contender.shape.turns]
    if not turning:
        can = [shape for shape in GENERAL_SHAPES if shape.turns and shape.bend == "shared"]
        turning = [contend(can, [size.general for size in sizes], reach)[0].shape]
    return [refit(levels, turning[0], rng) for levels in generals]


def _decide(
    size: SizeCurves, basis: Basis, turner: Levels | None, question: Question, level: float, seed: int, widest: float
) -> SizeDecision:
    levels = basis.general
    path = critical_path(levels, basis.domain, turner, basis.misfit_general, question)
    draws = None if path.draws is None else path.draws[:, -1]
    value = float(np.clip(min(path.tolerated[-1], path.turned[-1]), 0, 1))
    binding = "tolerance" if path.tolerated[-1] <= path.turned[-1] else "turning point"
    low = high = None
    if draws is not None:
        low, high = (float(q) for q in np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]))
        low, high = min(low, value), max(high, value)
    open_, fix = _undecided(size, basis, path, value, low, high, question, level, widest)
    outside = not levels.ratios[0] <= value <= levels.ratios[-1]
    extrapolated = bool(_beyond(question, levels) or question.horizon < levels.first or outside)
    if open_ is not None:
        status, decided = open_, False
    else:
        status, decided = _status(value, low, high, binding, level, question, levels), True
        if low is None:
            fix = remedy.second_seed(size.params, levels, value)
    enough = len(levels.ratios) >= LEAST_RATIOS
    return SizeDecision(
        params=size.params,
        critical_ratio=value if decided else None,
        low=low if decided else None,
        high=high if decided else None,
        horizon_tokens=question.horizon,
        tolerance=question.tolerance,
        binding=binding if decided else None,
        extrapolated=extrapolated,
        ratios=present.verdicts(basis, path, question),
        law=present.law(path) if enough else None,
        status=status,
        decided=decided,
        remedy=fix,
        start_loss=present.starts(basis),
        curves=present.curves(basis, question, level, seed),
        critical_curve=present.critical_curve(path, level) if enough else None,
        beyond=question.horizon / levels.longest,
        basis=Basis(basis.general, basis.domain, basis.misfit_general, basis.misfit_domain, draws),
    )


def _undecided(
    size: SizeCurves,
    basis: Basis,
    path: CriticalPath,
    value: float,
    low: float | None,
    high: float | None,
    question: Question,
    level: float,
    widest: float,
) -> tuple[str | None, Remedy | None]:
    """Why these rows cannot decide, and what would; (None, None) when they can."""
    levels, params = basis.general, size.params
    tried = ", ".join(f"{ratio:g}" for ratio in levels.ratios)
    if len(levels.ratios) < LEAST_RATIOS:
        return f"not decidable: {len(levels.ratios)} ratios were tried ({tried}), 3 are needed", remedy.between(
            params, levels
        )
    if path.feasible[-1] and levels.ratios[-1] < 1:
        which = (
            f"every tried ratio ({tried})"
            if path.feasible.all()
            else f"the largest tried ratio ({levels.ratios[-1]:g})"
        )
        reason = f"not decidable: {which} is feasible, so the critical one lies above"
        return reason, remedy.another_ratio(params, levels, upwards=True)
    if not path.feasible.any():
        reason = f"not decidable: no tried ratio ({tried}) is feasible, so the critical one lies below if there is one"
        return reason, remedy.another_ratio(params, levels, upwards=False)
    if path.turned[-1] < path.tolerated[-1] and _beyond(question, levels) and levels.turning_belief < 0.5:
        reason = (
            f"not decidable: the turning point would bind ({value:.1%}), but it lies beyond the longest pilot, "
            "and the pilots' ends are better predicted by a curve that does not turn"
        )
        return reason, remedy.longer(params, levels, value, question.horizon)
    if low is not None and high is not None and high - low > widest:
        reason = f"not decidable: the {level:.0%} interval, {low:.2f} to {high:.2f}, is wider than {widest:g}"
        return reason, remedy.sharpen(params, levels, basis.misfit_general, value, question.horizon)
    return None, None


def _status(
    value: float, low: float | None, high: float | None, binding: str, level: float, question: Question, levels: Levels
) -> str:
    what = f"critical ratio {value:.1%}, {binding} binds"
    if low is None or high is None:
        return (
            f"{what}; its interval is unknown: no ratio was run with a second seed, so run-to-run noise cannot be known"
        )
    text = f"{what}, {level:.0%} interval {low:.1%} to {high:.1%}"
    if _beyond(question, levels):
        text += f"; extrapolated {question.horizon / levels.longest:.3g}x beyond the longest pilot"
    return text


def _beyond(question: Question, levels: Levels) -> bool:
    """Whether the horizon is past the longest pilot, by more than the rounding of whole steps."""
    return question.horizon > 1.01 * levels.longest


def _for_size(models: list[SizeDecision], params: int, level: float, widest: float) -> list[SizeDecision]:
    same = [model for model in models if model.params == params]
    if same:
        return same
    decided = [model for model in models if model.decided]
    if len(decided) < 2:
        raise NotDecidable(
            f"{len(decided)} of {len(models)} sizes are decided, two are needed to extrapolate to {params:,} params",
            next(
                (m.remedy.to_json()["text"] for m in models if m.remedy is not None), "run the pilots at another size"
            ),
        )
    return [extrapolate_size(decided, params, level, widest)]
