"""One model, or a seed copied into K specialists? How a total of tokens is best spent, and how sure that is.

Fits the split law (``speciate.laws.split``) and minimises it along D + K D' = total, both ends included: never split,
and split at once. Source: Seto et al. 2026 (arXiv 2603.19149), sections 5.2, 5.3 and G.2; intervals, unequal domains
and the choice of K are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from speciate.errors import Problem, UserError
from speciate.laws.law import Array
from speciate.planning.split.budget import Budget, budget_of, curve
from speciate.planning.split.decision import Ends, Expert, SplitDecision
from speciate.planning.split.domains import Unequal, unequal
from speciate.planning.split.fit import Fitted, fit_split
from speciate.planning.split.remedy import telling_run
from speciate.planning.split.rows import domains_named, of_domain, of_number
from speciate.planning.split.sizes import ends, share_by_size

NEEDED = ("params", "seed_tokens", "tokens", "loss")  # columns
NEGLIGIBLE = 5e-4  # nats/token: a gain that does not pay for keeping K models, a tenth of what two seeds differ by


def plan_split(
    table: pd.DataFrame,
    *,
    total_tokens: float,
    domains: int | Sequence[int] | None = None,
    params: float | None = None,
    weights: Mapping[str, float] | None = None,
    eval_on: str | None = None,
    where: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    beyond: float = 0.0,
) -> SplitDecision:
    """The best seed and experts for ``total_tokens`` = D + K D' at ``params`` (default: the largest size).

    ``table``: one row per measurement with params, seed_tokens D (0: from scratch), tokens D' of one domain (0: the
    seed itself), loss on that domain's held-out text, or the mean over domains; run and trunk where known.
    ``domains`` K, or several, of which the best is chosen: then ``train_on`` ends in the number of domains that an
    expert was split into, as in web/16, and rows without such an end are seeds of every K.
    With a loss for every domain (``eval_on`` names K domains) or ``weights`` (of those names; scaled to sum to 1)
    every domain is fitted by itself and experts may differ in tokens. ``beyond``: standard deviation of what the law
    has wrong of ln loss so far from the rows (``backtest``), for domains that are alike; the law alone cannot know it.

    Raises UserError (options, or what the table mixes) and NotDecidable (one size and another asked; seeds or expert
    tokens that do not vary). A gain whose interval holds 0 is no error: ``choice`` is then None.
    """
    counts = (domains,) if isinstance(domains, int) else tuple(domains or ())
    check(total_tokens, counts, params, weights, level, draws)
    named = None if eval_on is not None else domains_named(table, where, counts, weights)
    if named is not None:
        return _unequal(table, named, total_tokens, params, where, level, draws, seed)
    if not counts:
        raise UserError(Problem("the number of domains is not given", "--domains", "give it, as in --domains 16"))
    found = []
    for count in counts:
        own, notes = of_number(table, count, several=len(counts) > 1)
        fitted, asked = fit_split(own, params, eval_on, where, draws, seed)
        one = _decide(replace(fitted, notes=(*notes, *fitted.notes)), asked, total_tokens, count, level, seed, beyond)
        found.append(one)
    best = min(found, key=lambda one: one.loss)
    if len(found) == 1:
        return best
    beside = ", ".join(f"{one.domains}: {one.loss:.4f}" for one in found)
    return replace(best, by_domains=tuple(found), status=f"{best.status}; best loss by number of domains: {beside}")


def check(
    total: float,
    counts: tuple[int, ...],
    params: float | None,
    weights: Mapping[str, float] | None,
    level: float,
    draws: int,
) -> None:
    """Raise UserError, once, for options that make no sense."""
    rules = [
        (0 < total < 1e18, "tokens", total, "give the total of seed and experts, above 0"),
        (all(2 <= count <= 10_000 for count in counts), "domains", list(counts), "give whole numbers of 2 or more"),
        (len(set(counts)) == len(counts), "domains", list(counts), "give each number once"),
        (params is None or 1 <= params < 1e18, "params", params, "give a count of 1 or more, such as 7e9"),
        (0 < level < 1, "level", level, "give a share between 0 and 1, such as 0.9"),
        (draws >= 100, "draws", draws, "give at least 100"),
        (weights is None or all(0 < w < np.inf for w in weights.values()), "weights", weights, "give numbers above 0"),
        (weights is None or len(weights) > 1, "weights", weights, "name two domains or more"),
        (weights is None or not counts or counts == (len(weights),), "domains", list(counts), "as many as weights"),
    ]
    problems = [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]
    if problems:
        raise UserError(problems)


def _decide(
    fitted: Fitted, params: float, total: float, domains: int, level: float, seed: int, beyond: float
) -> SplitDecision:
    """Domains that are alike: one law for the mean of them, or for any of them."""
    budget = budget_of(fitted, params, total, domains, level, beyond, seed)
    choice, status = verdict(budget, level)
    several = "params" in fitted.weighted.x
    made = _assembled(budget, choice, status, level, fitted.rows, fitted.notes, {"params": params}, [fitted])
    return replace(
        made,
        options=tuple(curve(fitted, budget, level)),
        seed_share_by_size=share_by_size(fitted, params, total, domains, level, seed) if several else None,
        remedy=telling_run(fitted, budget, level) if choice is None else None,
    )


def _unequal(
    table: pd.DataFrame,
    named: Mapping[str, float],
    total: float,
    params: float | None,
    where: str | None,
    level: float,
    draws: int,
    seed: int,
) -> SplitDecision:
    """A fit for every domain. Runs that the domains share are drawn alike, others apart."""
    fits: list[Fitted] = []
    asked = params
    notes: list[str] = []
    for k, name in enumerate(named):
        own, more = of_domain(table, name)
        alike = fits and _same_trunks(fits[0].rows, own[own["eval_on"] == name])
        fitted, asked = fit_split(own, asked, name, where, draws, seed if alike or not fits else seed + k)
        fits.append(fitted)
        notes += [f"{name}: {note}" for note in (*more, *fitted.notes)]
    assert asked is not None
    share = np.array(list(named.values()))
    found = unequal(fits, share, asked, total, level)
    choice, status = verdict(found.budget, level)
    rows = pd.concat([one.rows for one in fits])
    made = _assembled(found.budget, choice, status, level, rows, tuple(notes), {"params": asked}, fits, found.tokens)
    remedy = None
    if choice is None:
        near = [budget_of(one, asked, total, len(fits), level) for one in fits]
        spread = [0.0 if one.gain_draws is None else float(np.std(one.gain_draws)) for one in near]
        worst = int(np.argmax(share * np.array(spread)))
        remedy = telling_run(fits[worst], near[worst], level)
    experts = _experts(named, found, [one.noise for one in fits], level)
    return replace(made, experts=experts, options=tuple(found.options), remedy=remedy)


def _same_trunks(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return "trunk" in one and set(one["trunk"].astype(str)) == set(other["trunk"].astype(str))


def _experts(named: Mapping[str, float], found: Unequal, noise: Sequence[float], level: float) -> tuple[Expert, ...]:
    tails = ((1 - level) / 2, (1 + level) / 2)

    def interval(value: float, draws: Array | None, k: int) -> Ends:
        return around(value, ends(None if draws is None else draws[:, k], tails))

    made = []
    for k, (name, weight) in enumerate(named.items()):
        value, loss, unsplit = float(found.tokens[k]), float(found.loss[k]), float(found.unsplit[k])
        low, high = interval(value, found.token_draws, k)
        losses = interval(loss, found.loss_draws, k), interval(unsplit, found.unsplit_draws, k)
        made.append(Expert(name, weight, value, low, high, loss, unsplit, *losses, noise[k]))
    return tuple(made)


def verdict(budget: Budget, level: float) -> tuple[str | None, str]:
    """ "split", "never split" or None (cannot tell), and why.

    Never split: no draw within the interval gains NEGLIGIBLE by it, or not splitting is the best estimate and splitting
    wins in at most 1 - level of the draws. Split: the interval of the plan's gain lies above 0.
    """
    gains, best = budget.gain_draws, budget.best_gain_draws
    if gains is None or best is None:
        what = "never split" if budget.never else "split"
        return what, f"{what}, by an estimate without an interval: the rows come from one run"
    low, high = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2])
    most = float(np.quantile(best, (1 + level) / 2))
    wins = float(np.mean(best > 0))
    if budget.never:
        if wins <= 1 - level:
            return "never split", f"do not split: splitting wins in {wins:.0%} of the draws"
        if most < NEGLIGIBLE:
            return "never split", f"do not split: splitting gains at most {most:.2g} nats per token"
        return None, f"cannot tell split from not splitting: splitting may gain up to {most:.2g} nats per token"
    if max(most, high) < NEGLIGIBLE:
        return "never split", f"do not split: splitting gains at most {max(most, high):.2g} nats per token"
    if low > 0:
        return "split", f"split: {level:.0%} interval of the gain {low:.2g} to {high:.2g} nats per token"
    return None, (
        f"cannot tell split from not splitting: the {level:.0%} interval of the gain, {low:.2g} to {high:.2g} nats "
        "per token, holds 0"
    )


def around(value: float, found: Ends) -> Ends:
    """An interval that holds its estimate; None for an end that is not finite."""
    low, high = found
    if low is None or high is None:
        return None, None
    low, high = min(low, value), max(high, value)
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def _assembled(
    budget: Budget,
    choice: str | None,
    status: str,
    level: float,
    rows: pd.DataFrame,
    notes: tuple[str, ...],
    asked: Mapping[str, float],
    fits: Sequence[Fitted],
    experts: Array | None = None,
) -> SplitDecision:
    """The decision without what differs between equal and unequal domains."""
    if choice == "never split" and not budget.never:  # by too little to matter
        budget = replace(budget, seed=budget.total, loss=budget.unsplit, loss_draws=budget.unsplit_draws)
    best, gains = budget.best_gain_draws, budget.gain_draws
    far = beyond(fits, {**asked, "seed_tokens": budget.seed,
                        "tokens": budget.expert if experts is None else float(np.max(experts))})  # fmt: skip
    said = "; extrapolated " + ", ".join(f"{times:.2g}x in {name}" for name, times in far.items()) if far else ""
    return SplitDecision(
        params=budget.params,
        total_tokens=budget.total,
        domains=budget.domains,
        choice=choice,
        seed_tokens=budget.seed,
        expert_tokens=budget.expert,
        loss=budget.loss,
        loss_unsplit=budget.unsplit,
        gain=budget.gain,
        splitting_point=budget.splitting_point if np.isfinite(budget.splitting_point) else None,
        intervals=intervals(budget, level),
        p_split=None if best is None or gains is None else float(np.mean((best if budget.never else gains) > 0)),
        regret=None if best is None or gains is None else float(np.mean(np.maximum(best - gains, 0.0))),
        level=level,
        extrapolated=far,
        experts=(),
        options=(),
        seed_share_by_size=None,
        remedy=None,
        status=status + said,
        notes=notes,
        rows=rows,
        noise=max(one.noise for one in fits),
    )


def intervals(budget: Budget, level: float) -> dict[str, Ends]:
    """Of every number of the plan; (None, None) without draws."""
    tails = ((1 - level) / 2, (1 + level) / 2)
    drawn = {
        "seed_tokens": (budget.seed, budget.seed_draws),
        "expert_tokens": (budget.expert, None if budget.seed_draws is None
                          else (budget.total - budget.seed_draws) / budget.domains),
        "loss": (budget.loss, budget.loss_draws),
        "loss_unsplit": (budget.unsplit, budget.unsplit_draws),
        "gain": (budget.gain, budget.best_gain_draws if budget.never else budget.gain_draws),
        "splitting_point": (budget.splitting_point, budget.splitting_draws),
    }  # fmt: skip
    return {name: around(value, ends(draws, tails)) for name, (value, draws) in drawn.items()}


def beyond(fits: Sequence[Fitted], plan: Mapping[str, float]) -> dict[str, float]:
    """By how many times each input of the plan exceeds the largest measured, where it does."""
    found = {}
    for name, value in plan.items():
        most = min(float(one.weighted.x[name].max()) if name in one.weighted.x else np.inf for one in fits)
        if value > 1.01 * most:
            found[name] = value / most
    return found
