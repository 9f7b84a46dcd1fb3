"""Filtered domain text or everything? Each regime's own minimum, their ratio over sizes, and what is forgotten.

SGER(N) = D_g(N) / D_s(N): tokens that the general and the specialised regime need to reach their own least
perplexity on the domain's exams (Malaquias Junior et al. 2025, arXiv 2501.02068, eq. 3). A run that ends before
its minimum makes it a bound; the law over sizes respects that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from speciate.errors import Problem, UserError
from speciate.planning.specialize.budget import best_sizes, default_budgets
from speciate.planning.specialize.curves import Curve, Names, curves_of, names_in, rows_of, sizes_in
from speciate.planning.specialize.decision import SizeSger, SpecializeDecision
from speciate.planning.specialize.forgetting import forgetting
from speciate.planning.specialize.law import Bound, Ratios, SgerLaw, fit_law
from speciate.planning.specialize.minimum import (
    Differences,
    Minimum,
    differences_of,
    minimum_of,
    scatters,
    valley_of,
)
from speciate.planning.specialize.perplexity import perplexity_law
from speciate.planning.specialize.verdict import minimum_words, status_of, undecided

Minima = Mapping[tuple[float, str], Minimum]


def plan_specialize(
    table: pd.DataFrame,
    *,
    general: str = "general",
    specialized: str | None = None,
    eval_on: str | None = None,
    original: str | None = None,
    new: str | None = None,
    flops: Sequence[float] = (),
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> SpecializeDecision:
    """Which regime, at which size, after how many tokens; SGER with its law; forgetting at that checkpoint.

    ``table``: one row per measured checkpoint with columns params, train_on, tokens, eval_on, perplexity, and run
    or seed where there are several; rows with tokens = 0 are the starting model. ``general`` and ``specialized``
    name training mixtures, ``eval_on`` the domain's exam suite (default: the only one left), ``original`` and
    ``new`` general suites on which forgetting is read. ``flops``: compute budgets (default: three that the rows
    hold). Intervals hold ``level``.

    The decision speaks of the largest size with both regimes. Raises UserError (names that the table lacks,
    options), NotDecidable (no size was trained in both regimes).
    """
    _check(flops, level, draws)
    names = names_in(table, general, specialized, eval_on, original, new)
    rows = rows_of(table, names.eval_on, names)
    curves = curves_of(rows, names)
    sizes = sizes_in(curves, names)
    rng = np.random.default_rng(seed)
    minima, differ, scatter = _minima(curves, level, draws, rng)
    found = tuple(_size(params, minima, names, differ, level) for params in sizes)
    law, cautious, law_status = _laws(found, level)
    budgets = sorted(flops) or default_budgets(curves, names)
    forgotten, read = forgetting(table, names, minima, sizes, level)
    open_, remedy = undecided(found[-1], names, level)
    return SpecializeDecision(
        names=names,
        level=level,
        decided=open_ is None,
        status=open_ or status_of(found, names),
        sizes=found,
        law=law,
        law_if_censored=cautious,
        law_status=law_status,
        perplexity_laws={
            role: perplexity_law(regime, curves, minima, level, draws, seed)
            for role, regime in zip(("general", "specialized"), names.regimes, strict=True)
        },
        forgetting=forgotten,
        optimal_size=best_sizes(curves, names, budgets, differ, draws, rng),
        remedy=remedy,
        method=_method(scatter, differ) | {"draws": draws, "seed": seed},
        rows=pd.concat([rows, *read]),
    )


def _minima(
    curves: Mapping[tuple[float, str], Curve], level: float, draws: int, rng: np.random.Generator
) -> tuple[Minima, Differences, float]:
    """Every curve's minimum, how runs differ, and the typical scatter of a checkpoint's ln perplexity."""
    every = list(curves.values())
    noise = scatters(every)
    fits = [valley_of(curve, scatter) for curve, scatter in zip(every, noise, strict=True)]
    differ = differences_of(every, fits, noise)
    found = [minimum_of(curve, fitted, differ, level, draws, rng) for curve, fitted in zip(every, fits, strict=True)]
    return dict(zip(curves, found, strict=True)), differ, float(np.median(noise))


def _method(scatter: float, differ: Differences) -> dict[str, Any]:
    """How minima were found, and what noise there is (sd; None without replicates)."""
    return {
        "minimum": "least place of a cubic of ln perplexity in ln tokens, about the lowest checkpoint",
        "checkpoint_scatter": scatter,
        "run_sd": {"ln_tokens": differ.place, "ln_perplexity": differ.level, "freedom": differ.freedom}
        if differ.freedom
        else None,
    }


def _check(flops: Sequence[float], level: float, draws: int) -> None:
    rules = [
        (0 < level < 1, "level", level, "give a share between 0 and 1, such as 0.9"),
        (draws >= 100, "draws", draws, "give at least 100"),
        *((0 < budget < np.inf, "flops", budget, "give FLOPs above 0, such as 1e21") for budget in flops),
    ]
    problems = [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]
    if problems:
        raise UserError(problems)


def _size(params: float, minima: Minima, names: Names, differ: Differences, level: float) -> SizeSger:
    """Both minima of a size and their ratio."""
    g, s = minima[params, names.general], minima[params, names.specialized]
    words = "; ".join(filter(None, [minimum_words(names.general, g), minimum_words(names.specialized, s)]))
    above = g.bound == "at least" or s.bound == "at most"
    below = g.bound == "at most" or s.bound == "at least"
    chance = None
    if differ.freedom and differ.level > 0:
        error = differ.level * float(np.sqrt(1 / g.runs + 1 / s.runs))
        chance = float(stdtr(differ.freedom, float(np.log(g.best / s.best)) / error))
    if {"none", "single"} & {g.bound, s.bound} or (above and below):
        return SizeSger(params, None, None, None, "", False, g, s, chance, f"SGER is open: {words}")
    sger = g.tokens / s.tokens
    low, high = np.exp(np.quantile(g.draws - s.draws, [(1 - level) / 2, (1 + level) / 2]))
    bound: Bound = "lower" if above else "upper" if below else ""
    return SizeSger(
        params=params,
        sger=float(sger),
        low=None if below or g.low is None or s.high is None else float(min(low, sger)),
        high=None if above or g.high is None or s.low is None else float(max(high, sger)),
        bound=bound,
        near=g.near or s.near,
        general=g,
        specialized=s,
        p_specialized_better=chance,
        status=words or "both minima were seen",
    )


def _laws(sizes: Sequence[SizeSger], level: float) -> tuple[SgerLaw | None, SgerLaw | None, str]:
    """The law, the law with near-censored minima taken as bounds (None where there are none), and a sentence."""
    found = fit_law(_ratios(sizes, doubt=False), level)
    if found is None:
        return None, None, "not decidable: fewer than two sizes show both minima"
    words = [f"{found.values} sizes with values, {found.lower_bounds + found.upper_bounds} with bounds"]
    nears = sum(size.near and not size.bound for size in sizes)
    cautious = fit_law(_ratios(sizes, doubt=True), level) if nears else None
    if nears:
        words.append(f"{nears} near-censored taken as found")
        words += ["were they bounds, the exponent would be open"] if cautious is None else []
    if found.values == 2:
        words.append("two values show no scatter: the interval holds that of their minima only")
    return found, cautious, "; ".join(words)


def _ratios(sizes: Sequence[SizeSger], doubt: bool) -> Ratios:
    """The sizes' SGERs for a law; in ``doubt``, near-censored ones are bounds at the near end of their interval."""
    params, values, variance, bounds = [], [], [], []
    for size in sizes:
        g, s, value, bound = size.general, size.specialized, size.sger, size.bound
        if doubt and size.near and not bound:
            value = None if g.near and s.near else size.low if g.near else size.high
            bound = "lower" if g.near else "upper"
        if value is not None:
            params.append(size.params)
            values.append(float(np.log(value)))
            variance.append(g.sd**2 + s.sd**2)
            bounds.append(bound)
    return Ratios(np.array(params), np.array(values), np.array(variance), tuple(bounds))
