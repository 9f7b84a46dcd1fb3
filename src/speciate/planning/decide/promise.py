"""What a decision across kinds promises to be measured: every option's domain loss, and the choice's general loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speciate.planning.decide.options import Option

if TYPE_CHECKING:
    from speciate.planning.decide.decision import DecideDecision

Array = NDArray[np.float64]


def promises(decision: DecideDecision) -> list[dict[str, Any]]:
    """One new run's losses at the decision's level: {option, chosen, feasible, ...where, output, value, low,
    high}.

    Only where the domain is measured by its loss; the general loss, as a level, of the choice alone, where that is
    continued. ``feasible`` False: nothing to hold the choice against, as it was expected to break the limit.
    """
    found: list[dict[str, Any]] = []
    for option in decision.options if decision.ledger.measure == "loss" else ():
        ends = _measured(decision, option.loss, option.draws, option.noise, len(found))
        at = _where(decision, option) | {"eval_on": decision.ledger.domain}
        chosen = option is decision.choice
        mark = {"option": option.name(), "chosen": chosen, "feasible": option.feasible(decision.question)}
        found.append({**mark, **at, "output": "loss", **ends})
        start = decision.ledger.general_start(option.params)
        if chosen and option.kind != "split" and start is not None and option.forgetting is not None:
            drawn = None if option.forgetting_draws is None else start + option.forgetting_draws
            ends = _measured(decision, start + option.forgetting, drawn, option.forgetting_noise, len(found))
            at = _where(decision, option) | {"eval_on": decision.ledger.general}
            found.append({"option": None, "chosen": False, **at, "output": "loss", **ends})
    return found


def _where(decision: DecideDecision, option: Option) -> dict[str, Any]:
    """The rows that an option is about."""
    if option.kind == "split":
        at = {"params": option.params, "seed_tokens": option.seed_tokens, "tokens": option.expert_tokens}
        return at | {"domains": option.experts}
    at = {"params": option.params, "tokens": option.tokens, "domain_ratio": option.domain_ratio}
    seen = decision.ledger.base.get(option.params)
    return at if seen is None else at | {"seed_tokens": seen}


def _measured(
    decision: DecideDecision, value: float, draws: Array | None, noise: Array | None, number: int
) -> dict[str, float | None]:
    """The interval of one run's measurement: draws of what is expected, and of how a run differs from that."""
    if draws is None or noise is None:
        return {"value": value, "low": None, "high": None}
    rng = np.random.default_rng([decision.question.seed, number])
    low, high = decision.ends(value, draws + noise * rng.standard_normal(len(draws)))
    return {"value": value, "low": low, "high": high}
