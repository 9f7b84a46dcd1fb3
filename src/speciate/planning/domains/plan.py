"""Several domains at once: the shares that minimise a weighted loss while general ability is kept.

minimise  sum_k w_k loss_k(r)   over shares r >= 0, sum r <= 1 (the rest is general text)
subject to  the general loss at the horizon at most ``tolerance`` above its start.

Losses at the horizon come from ``domains_horizon``, their law across mixtures from ``domains_law``, the search from
``domains_search``, what repeated text is worth from ``repetition``. Unlike ``plan_mixture`` this asks nothing of the
general loss's turning point, and needs no second seed: scatter about the mixing law shows the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.domains import present, verdict
from speciate.planning.domains import remedy as remedies
from speciate.planning.domains.answer import Answer, Asked, Fitted
from speciate.planning.domains.decision import DomainsDecision
from speciate.planning.domains.fit import fit_set, pooled_variance, with_draws
from speciate.planning.domains.horizon import at_horizon
from speciate.planning.domains.repeats import lasting_of, pilot_repeats
from speciate.planning.domains.rows import DomainRuns, observe_domains
from speciate.planning.domains.search import Bound, Search, best_shares, search_of
from speciate.planning.domains.simplex import simplex_grid
from speciate.planning.mixture.repetition import check_unique, effective_share, published


def plan_domains(
    table: pd.DataFrame,
    *,
    domains: Sequence[str] | None = None,
    general: str = "general",
    weights: Mapping[str, float] | None = None,
    horizon_tokens: float | None = None,
    tolerance: float = 0.05,
    tolerances: Mapping[str, float] | None = None,
    unique: Mapping[str, float] | None = None,
    params: int | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    most_regret: float = 0.01,
) -> DomainsDecision:
    """The best shares of several domains at ``horizon_tokens`` (default: the longest run's), for one size.

    ``table``: one row per measurement with columns run, params, tokens, share_NAME per domain, eval_on, loss and,
    where known, trunk, seed, unique_tokens; rows with tokens = 0 are the starting model. ``domains`` (default: every
    share_NAME) have a held-out set of their own name in eval_on; ``general`` names the general one. ``weights`` of the
    sets' losses (default: 1 for every domain that has a set; one for ``general`` is the lambda of a weighted sum).
    ``tolerance`` in nats/token of the general loss; ``tolerances`` by domain: how far its own loss may end above its
    start (below 0: how far it must fall). ``unique`` tokens of domains whose text is limited. ``params``: the size,
    default the largest. More than ``most_regret`` nats of expected regret decide nothing.

    Source: the mixing law is that of Ye et al. 2024 (arXiv 2403.16952), repetition that of Muennighoff et al. 2023
    (arXiv 2305.16264); the decision and its intervals are ours.
    Raises UserError (a faulty table or option), NotDecidable (mixtures that do not span the simplex).
    """
    runs = observe_domains(table, general, domains, params)
    problems = _check(horizon_tokens, tolerance, level, draws, most_regret)
    weighed, faults = _weighed(runs, weights)
    problems += faults + _bounded(runs, tolerances or {}) + check_unique(unique or {}, runs.domains)
    if problems:
        raise UserError(problems)
    lacking = remedies.spanning(runs)
    if lacking is not None:
        raise NotDecidable(lacking[0], lacking[1].to_json()["text"])
    horizon = float(horizon_tokens or runs.longest)
    asked = Asked(horizon, tolerance, tolerances or {}, weighed, unique or {}, level, draws, seed, most_regret)
    fitted = _fit(runs, asked, np.random.default_rng(seed))
    search = _search(fitted, asked)
    grid = simplex_grid(len(runs.domains))
    shares, value = best_shares(search, grid)
    return _decision(Answer(asked, fitted, search, shares, value, grid))


def _check(horizon: float | None, tolerance: float, level: float, draws: int, most_regret: float) -> list[Problem]:
    """Numbers that make no sense."""
    rules = [
        (horizon is None or 0 < horizon < np.inf, "horizon", horizon, "give tokens above 0"),
        (0 <= tolerance < np.inf, "tolerance", tolerance, "give nats per token, 0 or more"),
        (0 < level < 1, "level", level, "give a share between 0 and 1, such as 0.9"),
        (draws >= 100, "draws", draws, "give at least 100"),
        (most_regret > 0, "most_regret", most_regret, "give nats per token above 0"),
    ]
    return [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]


def _weighed(runs: DomainRuns, weights: Mapping[str, float] | None) -> tuple[dict[str, float], list[Problem]]:
    """Weights by set, summing to 1, and what is wrong with them."""
    asked = dict.fromkeys(runs.sets[1:], 1.0) if weights is None else dict(weights)
    problems = []
    for name, weight in asked.items():
        if name not in runs.sets:
            fix = f"evaluation sets that can be weighed are {', '.join(runs.sets)}"
            problems.append(Problem(f"{name!r} has a weight but no evaluation set", "--weights", fix))
        elif not 0 <= weight < np.inf:
            problems.append(Problem(f"the weight of {name} is {weight}", "--weights", "give 0 or more"))
    if not problems and not sum(asked.values()) > 0:
        problems.append(Problem("all weights are 0", "--weights", "weigh a domain's loss, as in law=2,code=1"))
    total = sum(asked.values()) or 1.0
    return {name: asked.get(name, 0.0) / total for name in runs.sets}, problems


def _bounded(runs: DomainRuns, tolerances: Mapping[str, float]) -> list[Problem]:
    """What is wrong with the domains' own tolerances."""
    where, problems = "--tolerances", []
    for name, most in tolerances.items():
        if name == runs.general:
            problems.append(Problem(f"{name!r} is the general set", where, "give its tolerance with --tolerance"))
        elif name not in runs.sets:
            fix = f"evaluation sets of domains are {', '.join(runs.sets[1:])}"
            problems.append(Problem(f"{name!r} has a tolerance but no evaluation set", where, fix))
        elif not np.isfinite(most):
            problems.append(Problem(f"the tolerance of {name} is {most}", where, "give nats per token"))
        elif not runs.starts[name]:
            fix = f"add the starting models' losses on {name} (rows with tokens = 0)"
            problems.append(Problem(f"{name} has a tolerance but no start to compare with", where, fix))
    return problems


def _fit(runs: DomainRuns, asked: Asked, rng: np.random.Generator) -> Fitted:
    at = {name: at_horizon(runs, name, asked.horizon) for name in runs.sets}
    repeats = pilot_repeats(runs, asked.horizon, asked.unique)
    draws = asked.draws
    lasting = lasting_of(runs, at, repeats.limits, rng, draws) if repeats.any else published(rng, draws)
    worth = effective_share(runs.shares, repeats.limits, lasting.value)
    drawn = effective_share(runs.shares, repeats.limits, lasting.draws[:, None, None]) if repeats.any else None
    fits = {name: fit_set(runs, name, at[name], runs.shares if name == runs.general else worth) for name in runs.sets}
    pooled = pooled_variance(list(fits.values()))
    laws = {
        name: with_draws(runs, fit, at[name], None if name == runs.general else drawn, pooled, rng, draws)
        for name, fit in fits.items()
    }
    return Fitted(runs, at, laws, lasting, repeats)


def _search(fitted: Fitted, asked: Asked) -> Search:
    runs = fitted.runs
    known = all(law.known for law in fitted.laws.values())
    laws = {name: law if known else law.some(slice(0, 1)) for name, law in fitted.laws.items()}
    most = {runs.general: asked.tolerance, **asked.tolerances}
    bounds = [Bound(laws[name], runs.starts[name] + nats) for name, nats in most.items()]
    others = [(laws[name], weight) for name, weight in asked.weights.items() if weight > 0]
    limits = np.array([asked.unique.get(name, np.inf) for name in runs.domains]) / asked.horizon
    return search_of(bounds, others, limits, fitted.lasting)


def _decision(answer: Answer) -> DomainsDecision:
    asked, fitted, runs, shares = answer.asked, answer.fitted, answer.runs, answer.shares
    sentence, decided = verdict.status(answer)
    intervals = {name: answer.ends(shares[:, k]) for k, name in enumerate(runs.domains)}
    intervals[runs.general] = answer.ends(1.0 - shares.sum(axis=1))
    return DomainsDecision(
        params=runs.params,
        general=runs.general,
        domains=runs.domains,
        weights=asked.weights,
        level=asked.level,
        seed=asked.seed,
        horizon_tokens=asked.horizon,
        tolerance=asked.tolerance,
        tolerances=asked.tolerances,
        shares=answer.named(answer.choice),
        intervals=intervals,
        losses=present.losses(answer),
        objective=float(answer.value[0]),
        objective_interval=answer.ends(answer.at_choice),
        binding=verdict.binding(answer),
        possible=bool(answer.search.possible[0]),
        p_possible=float(answer.search.possible[1:].mean()) if answer.sure else None,
        p_feasible=answer.p_feasible,
        regret=answer.regret,
        overshoot=answer.overshoot,
        extrapolated=verdict.extrapolated(answer),
        safe=present.cautious(answer),
        alternatives=present.alternatives(answer),
        region=present.region(answer),
        boundary=present.boundary(answer),
        repetition=present.repetition(answer),
        lasting=fitted.lasting.source if asked.unique or fitted.repeats.any else None,
        laws={name: present.law_json(law) for name, law in fitted.laws.items()},
        method=present.method(answer),
        remedy=verdict.remedy(answer),
        status=sentence,
        decided=decided,
        notes=present.notes(answer),
        rows=runs.rows,
    )
