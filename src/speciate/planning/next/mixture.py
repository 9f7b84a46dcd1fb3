"""What is at stake in a mixture decision, and the runs that could be bought for it.

The action is the domain share R of the planned run. Its regret in nats per token, against the critical ratio R* that
is true in a draw (the best ratio that keeps the general loss, by tolerance and turning point):

    regret(R) = max(L_dom(R) - L_dom(R*), 0) + weight max(L_gen(R) - L_gen(R*), 0)

Below R* domain loss is left on the table, above it general loss is given up beyond what the best feasible ratio gives
up: where the tolerance binds, by how much it is breached. No credit is given for domain loss that a breach buys: the
tolerance was not for sale. ``weight`` says what a nat of general loss beyond the tolerance costs in nats of domain
loss; at 1 a nat is a nat. Losses are expectations, at the horizon, of what the planned run will do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.planning.mixture.critical import fit_ratio_law, ratio_law
from speciate.planning.mixture.decision import Basis, SizeDecision
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.next.cost import Schedule
from speciate.planning.next.decision import Candidate, Stakes, Unknown
from speciate.planning.next.mixture_runs import LEAST_RATIO, Shop, floor_of, listed, new_seed, offered
from speciate.planning.next.value import best_action
from speciate.planning.words import short

Array = NDArray[np.float64]
COARSE, FINE = 34, 80  # actions over all ratios, and over where the critical ratio may be


def ratios_to_choose(basis: Basis) -> Array:
    """The actions (A,): ratios over all of (0, 1], dense where the draws have the critical one."""
    assert basis.draws is not None, "a size without replicates has no draws"
    low, high = np.clip(np.quantile(basis.draws, [0.005, 0.995]), LEAST_RATIO, 1.0)
    return np.unique(np.round(np.concatenate([np.linspace(LEAST_RATIO, 1.0, COARSE), np.linspace(low, high, FINE)]), 4))


def mixture_regret(basis: Basis, actions: Array, horizon: float, weight: float) -> Array:
    """The module's regret, (B, A): of every ratio in ``actions`` in every draw."""
    assert basis.draws is not None, "a size without replicates has no draws"
    floor = floor_of(basis.general)
    best, chosen = np.clip(basis.draws, floor, 1.0)[:, None], np.maximum(actions, floor)[None, :]
    regret = np.zeros((len(best), len(actions)))
    for levels, price in ((basis.domain, 1.0), (basis.general, weight)):
        tried = levels.mean_draws(np.array([horizon]))[:, :, 0]
        c, k, s = (part[:, None] for part in fit_ratio_law(levels.ratios, tried))
        regret += price * np.maximum(ratio_law(c, k, s, chosen) - ratio_law(c, k, s, best), 0.0)
    return regret


def mixture_stakes(
    table: pd.DataFrame,
    *,
    general: str = "general",
    domain: str | None = None,
    horizon_tokens: float | None = None,
    tolerance: float = 0.05,
    params: float | None = None,
    weight: float = 1.0,
    schedule: Schedule = "constant",
    candidates: pd.DataFrame | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Stakes | Unknown:
    """The stakes of ``plan_mixture`` for one tried size (default: the largest), and runs of that size on offer.

    ``candidates``: runs to choose from instead of the built-in grid (``mixture_runs.listed``). Unknown where the plan
    decides nothing yet, or run-to-run noise is unknown: with the run that the plan itself asks for.
    Raises UserError and NotDecidable as ``plan_mixture`` does, and UserError for a size that was not tried.
    """
    plan = plan_mixture(table, general=general, domain=domain, horizon_tokens=horizon_tokens, tolerance=tolerance,
                        draws=draws, seed=seed, widest=1.0, largest=params is None)  # fmt: skip
    model = next((one for one in plan.models if params is None or one.params == round(params)), None)
    if params is None:
        model = plan.largest
    if model is None:
        sizes = " or ".join(f"{one.params:,}" for one in plan.models)
        raise UserError(Problem(f"no run has {params:,.0f} params", "--params", f"ask for {sizes}, or leave it out"))
    basis = model.basis
    assert basis is not None, "a tried size has what it was computed from"
    shop = Shop(model.params, basis, model.horizon_tokens, schedule, _seed_tokens(table, model.params))
    if basis.draws is None or not model.decided:
        return _unknown(model, shop)
    actions = ratios_to_choose(basis)
    regret = mixture_regret(basis, actions, model.horizon_tokens, weight)
    now = best_action(regret)
    text = f"domain ratio {actions[now]:.1%} for {short(model.params)} params and {short(model.horizon_tokens)} tokens"
    decision = {"params": model.params, "horizon_tokens": model.horizon_tokens, "domain_ratio": float(actions[now]),
                "critical_ratio": model.critical_ratio}  # fmt: skip
    runs = offered(shop) if candidates is None else listed(shop, candidates)
    return Stakes("mixture", regret, decision, text, tuple(runs), ())


def _unknown(model: SizeDecision, shop: Shop) -> Unknown:
    """The run that the plan asks for, without an expectation."""
    reason = model.status if not model.decided else "run-to-run noise is unknown without a second seed at any ratio"
    ask = model.remedy
    runs: tuple[Candidate, ...] = ()
    if ask is not None:
        runs = (new_seed(shop, ask.domain_ratio, float(ask.tokens), None, False, 1, None),)
    return Unknown("mixture", reason, runs, {"params": model.params, "horizon_tokens": model.horizon_tokens,
                                             "domain_ratio": None, "critical_ratio": model.critical_ratio})  # fmt: skip


def _seed_tokens(table: pd.DataFrame, params: int) -> float | None:
    """Tokens behind this size's starting models, None where the rows do not say one number."""
    if "seed_tokens" not in table.columns:
        return None
    found = table.loc[(table["params"] == params) & (table["seed_tokens"] > 0), "seed_tokens"].unique()
    return float(found[0]) if len(found) == 1 else None
