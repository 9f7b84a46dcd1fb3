"""Decide and seal: from the rows of a split study's pilots to plan.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from speciate.errors import NotDecidable
from speciate.planning.predictions import shared
from speciate.planning.seal import FORMAT, seal
from speciate.planning.split.at import losses_at
from speciate.planning.split.decision import SplitDecision
from speciate.planning.split.plan import plan_split
from speciate.planning.words import short
from speciate.runs.table import rows_digest
from speciate.storage import canonical_json, write_atomic
from speciate.study.layout import Layout
from speciate.study.split.config import SplitStudy
from speciate.study.split.law_rows import LawRows
from speciate.study.split.outcome import named
from speciate.study.split.remedy import longer_pilots, remedy_command
from speciate.study.split.rows import MEAN
from speciate.study.split.specs import Option, final_options, planned

LONGER = (
    "pilots nearer to the total, as more doubt comes from what the law has wrong beyond its rows "
    "than from their scatter"
)


def plan_request(config: SplitStudy, rows: pd.DataFrame) -> dict[str, Any]:
    """What a plan depends on. A plan on disk with the same request is kept; any other question seals a new one."""
    return {"plan": config.plan.model_dump(mode="json"), "seed": config.seed, "rows": rows_digest(rows)}


def make_plan(
    config: SplitStudy,
    layout: Layout,
    law: LawRows,
    domains: Sequence[str],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Decide, predict what every option that will be carried out will measure, seal it, write plan.json.

    Where these rows cannot tell splitting from not splitting there are no options: nothing will be run.
    """
    params, total, count = planned(config)[1].params, config.plan.total_tokens, len(domains)
    own = law.fitted[law.fitted["params"] == params]
    asked: dict[str, Any] = {"params": params, "domains": count, "eval_on": MEAN, "seed": config.seed}
    asked |= {"level": config.plan.level, "draws": config.plan.draws}
    decision, reason, blamed = None, None, False
    try:
        decision = plan_split(own, total_tokens=total, beyond=law.start.error, **asked)
        decision = replace(decision, flops_per_token=flops_per_token(own))
        blamed = not decision.decided and law_is_to_blame(decision, plan_split(own, total_tokens=total, **asked))
    except NotDecidable as error:
        reason = error
    plan: dict[str, Any] = {
        "format": FORMAT,
        "kind": "split",
        "study": config.name,
        "domains": list(domains),
        "request": plan_request(config, law.fitted),
        "decision": undecided(config, reason, params, count) if decision is None else decision.to_json(),
        "explanation": _explanation(config, decision, reason, blamed, count, overrides),
        "params": params,
        "total_tokens": total,
        "law_start": {"tokens": law.start.tokens, "error": law.start.error},
        "backtest": None if law.start.tried is None else law.start.tried.to_json(),
        "options": [],
        "predictions": [],
    }
    if blamed:
        plan["decision"]["remedy"] = {"text": LONGER, "settles": False}
    if decision is not None:
        plan["explanation"] += law_notes(law)
    if decision is not None and decision.decided:
        plan |= _options(config, own, decision, law.start.error, asked)
    sealed = seal(plan, law.fitted)
    write_atomic(layout.plan, canonical_json(sealed))
    return sealed


def law_is_to_blame(decision: SplitDecision, without: SplitDecision) -> bool:
    """Whether what the law has wrong beyond its rows is what leaves the gain in doubt.

    ``without`` is the same without it: it could decide, or its gain's interval is less than half as wide squared.
    """
    if without.decided:
        return True
    (low, high), (inner_low, inner_high) = decision.intervals["gain"], without.intervals["gain"]
    if low is None or high is None or inner_low is None or inner_high is None:
        return False
    return 2 * (inner_high - inner_low) ** 2 < (high - low) ** 2


def flops_per_token(rows: pd.DataFrame) -> float | None:
    """What a seed's rows say that training on one token took; None without a seed."""
    seeds = rows[(rows["tokens"] == 0) & (rows["seed_tokens"] > 0)]
    return None if seeds.empty else float((seeds["flops"] / seeds["seed_tokens"]).iloc[0])


def law_notes(law: LawRows) -> list[str]:
    """What the pilots' own past says of the law beyond its rows."""
    tried, error = law.start.tried, law.start.error
    untold = "the law could not be tried on the pilots' own past: intervals leave out what it has wrong beyond them"
    return [
        f"Note: {untold if tried is None else tried.told()}.",
        f"Note: the law is fitted on models that have seen {short(law.start.tokens)} tokens or more; the intervals of "
        f"gains and losses hold {error:.1%} of the loss beside its own uncertainty.",
    ]


def _options(
    config: SplitStudy, own: pd.DataFrame, decision: SplitDecision, beyond: float, asked: dict[str, Any]
) -> dict[str, Any]:
    """What will be carried out, the planned option first, and what it will measure."""
    domains, params = decision.domains, int(decision.params)
    options = final_options(config, decision.seed_tokens, domains)
    pairs = [(float(option.seed_tokens), float(option.expert_tokens)) for option in options]
    losses = losses_at(own, pairs, beyond=beyond, **asked)
    said = [{"chosen": place == 0, **shared(own, ("eval_on",)), "output": "loss"} for place in range(len(options))]
    return {
        "options": [{**vars(option), "chosen": place == 0} for place, option in enumerate(options)],
        "predictions": [
            {**_keys(option, params, domains), **more, **loss}
            for option, more, loss in zip(options, said, losses, strict=True)
        ],
    }


def _keys(option: Option, params: int, domains: int) -> dict[str, Any]:
    """What says which rows a prediction is about."""
    of: dict[str, Any] = {"domains": domains} if option.expert_tokens else {}
    tokens = {"seed_tokens": option.seed_tokens, "tokens": option.expert_tokens}
    return {"option": named(option), "params": params, **tokens, **of}


def undecided(config: SplitStudy, reason: NotDecidable | None, params: int, domains: int) -> dict[str, Any]:
    """The JSON of a decision that these rows cannot carry at all."""
    assert reason is not None
    return {
        "kind": "split",
        "decided": False,
        "choice": None,
        "status": reason.reason,
        "remedy": {"text": reason.remedy},
        "params": params,
        "total_tokens": config.plan.total_tokens,
        "domains": domains,
        "level": config.plan.level,
        "notes": [],
    }


def _explanation(
    config: SplitStudy,
    decision: SplitDecision | None,
    reason: NotDecidable | None,
    blamed: bool,
    domains: int,
    overrides: Sequence[str],
) -> list[str]:
    """The decision's five lines, the last one as a command for this study, and what to beware of.

    ``blamed``: it is what the law has wrong beyond the rows, not their scatter, that leaves the gain in doubt.
    """
    if decision is None:
        assert reason is not None
        return [f"Choice: none yet: {reason.reason}.", f"Next: {reason.remedy}."]
    *lines, last = decision.explain().splitlines()
    if decision.decided:
        last = "Next: carry the plan out and check it: speciate run STUDY.yaml --until compare"
    elif blamed:
        lines[-1] = f"What would change it: {LONGER}."
        last = f"Next: {longer_pilots(config, domains, overrides)}"
    elif decision.remedy is not None:
        last = f"Next: {remedy_command(config, decision.remedy, domains, overrides)}"
    return [*lines, last, *(f"Note: {note}." for note in decision.notes)]
