"""The stages of a split study that only think: fit the laws, decide and seal, compare with what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from speciate.errors import NotDecidable
from speciate.fitting.fit import fit
from speciate.fitting.rivals import rivals
from speciate.laws.liew_kato import LIEW_KATO, LIEW_KATO_ONE_SIZE
from speciate.laws.split import AT_ONE_SIZE, SPLIT
from speciate.planning.compare import compare
from speciate.planning.predictions import shared
from speciate.planning.seal import FORMAT, seal
from speciate.planning.split.at import losses_at
from speciate.planning.split.backtest import Start, law_start, seen
from speciate.planning.split.decision import SplitDecision
from speciate.planning.split.fit import in_unit, unit_of
from speciate.planning.split.plan import plan_split
from speciate.planning.words import short
from speciate.runs.ledger import write_ledger
from speciate.runs.table import rows_digest
from speciate.storage import canonical_json, write_atomic
from speciate.study.layout import Layout
from speciate.study.split.config import SplitStudy
from speciate.study.split.remedy import remedy_command
from speciate.study.split.rows import MEAN
from speciate.study.split.specs import Option, SplitRun, final_options, log_grid, planned

STARTS = (1 / 8, 1 / 4, 1 / 2, 1)  # of the smallest budget: tokens from which a model may be taken to follow the law


def pilot_rows(
    config: SplitStudy, ledger: pd.DataFrame, runs: Sequence[SplitRun], earlier: float = 1.0
) -> pd.DataFrame:
    """The mean losses that a plan may see: those of the pilots (``runs``), past the warmups.

    Once a plan has been carried out the ledger holds its outcome too, and the same runs' longer lengths. Left out are
    rows within twice a warmup, and those of which D + K D' is less than the smallest budget (half of it where it is the
    only one) divided by ``earlier``: no power law describes the first steps of a model, and nobody plans for so little.
    """
    count = len({run.domain for run in runs} - {None})
    least = min(config.split.budgets) * (1.0 if len(config.split.budgets) > 1 else 0.5) / earlier
    step, largest = config.training.tokens_per_step, max(config.split.budgets)
    grid = {steps * step for steps in log_grid(largest // step, largest // step, config.evaluation.points)}
    seeds = {run.seed_tokens for run in runs if run.domain is None} | grid
    longest: dict[str, int] = {}
    for run in runs:
        if run.domain is not None:
            longest[run.mean] = max(longest.get(run.mean, 0), run.spec.phases[-1].tokens)
    rows = ledger[ledger["eval_on"] == MEAN]
    seed = (rows["tokens"] == 0) & rows["seed_tokens"].isin(sorted(seeds))
    expert = rows["tokens"] <= rows["run"].map(longest)
    expert &= rows["tokens"] >= 2 * config.split.warmup_tokens
    warm = rows["seed_tokens"] + rows["tokens"] >= 2 * config.training.warmup_tokens
    enough = rows["seed_tokens"] + count * rows["tokens"] >= least
    return rows[(seed | expert) & warm & enough]


@dataclass(frozen=True)
class LawRows:
    """What the law is fitted on: none with D + D' below those of ``start``."""

    fitted: pd.DataFrame
    start: Start


def law_rows(config: SplitStudy, ledger: pd.DataFrame, runs: Sequence[SplitRun]) -> LawRows:
    """``pilot_rows`` of models that have seen enough to follow the law, by what the pilots' own past says of that."""
    count = len({run.domain for run in runs} - {None})
    factor = config.plan.total_tokens / max(config.split.budgets)
    params = planned(config)[1].params
    past = pilot_rows(config, ledger, runs, factor)
    own = past[past["params"] == params]
    starts = [share * min(config.split.budgets) for share in STARTS]
    start = law_start(own, starts, factor, params=params, domains=count, eval_on=MEAN)
    rows = pilot_rows(config, ledger, runs)
    return LawRows(rows[seen(rows) >= start.tokens], start)


def fit_laws(config: SplitStudy, layout: Layout, rows: pd.DataFrame) -> dict[str, str]:
    """The split law on all sizes together and on each, and the comparison with its rival; each one's status.

    The rows stand beside the fits, as a table that ``speciate plan split`` reads.
    What these rows cannot carry is written down as such: the status is the reason.
    """
    write_ledger(rows.to_dict("records"), layout.fits / "rows.parquet")
    sizes, unit = sorted(rows["params"].unique()), unit_of(rows)
    jobs: dict[str, tuple[Any, pd.DataFrame]] = {"split": (in_unit(SPLIT, unit), rows)} if len(sizes) > 1 else {}
    jobs |= {f"split-{size:.0f}": (in_unit(AT_ONE_SIZE, unit), rows[rows["params"] == size]) for size in sizes}
    statuses = {}
    for name, (law, own) in jobs.items():
        path = layout.fits / f"{name}.json"
        try:
            result = fit(law, own, bootstrap=100, level=config.plan.level, seed=config.seed)
        except NotDecidable as reason:
            statuses[name] = str(reason)
            write_atomic(path, json.dumps({"law": name, "status": str(reason), "parameters": None}, indent=1))
        else:
            statuses[name] = result.status
            result.save(path)
    statuses["rivals"] = _compare_rivals(config, layout, rows, unit)
    return statuses


def _compare_rivals(config: SplitStudy, layout: Layout, rows: pd.DataFrame, unit: float) -> str:
    """The split law against that of Liew and Kato, which knows no D = 0 and no D' = 0: what to say of it."""
    several = rows["params"].nunique() > 1
    laws = (SPLIT, LIEW_KATO) if several else (AT_ONE_SIZE, LIEW_KATO_ONE_SIZE)
    own_units = [law.with_scale("seed_tokens", 1e9 * unit).with_scale("tokens", 1e9 * unit) for law in laws[1:]]
    try:
        compared = rivals([in_unit(laws[0], unit), *own_units], rows, level=config.plan.level, seed=config.seed)
    except NotDecidable as reason:
        write_atomic(layout.fits / "rivals.json", json.dumps({"status": str(reason)}, indent=1))
        return str(reason)
    told = {"status": "compared", **compared.to_json()}
    write_atomic(layout.fits / "rivals.json", json.dumps(told, indent=1, allow_nan=False))
    return "; ".join(compared.refused.values()) or compared.explain()[-1]


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
    rows, tried = law.fitted, law.start.tried
    own = rows[rows["params"] == params]
    decision, reason = None, None
    asked = {"params": params, "level": config.plan.level, "draws": config.plan.draws, "seed": config.seed}
    try:
        decision = plan_split(own, total_tokens=total, domains=count, eval_on=MEAN, **asked)  # type: ignore[arg-type]
    except NotDecidable as error:
        reason = error
    plan: dict[str, Any] = {
        "format": FORMAT,
        "kind": "split",
        "study": config.name,
        "domains": list(domains),
        "request": plan_request(config, rows),
        "decision": undecided(config, reason, params, count) if decision is None else decision.to_json(),
        "explanation": _explanation(config, decision, reason, count, overrides),
        "params": params,
        "total_tokens": total,
        "law_start": {"tokens": law.start.tokens, "error": law.start.error},
        "backtest": None,
        "options": [],
        "predictions": [],
    }
    if decision is not None and decision.decided:
        options = final_options(config, decision.seed_tokens, count)
        pairs = [(float(option.seed_tokens), float(option.expert_tokens)) for option in options]
        losses = losses_at(own, pairs, domains=count, eval_on=MEAN, beyond=law.start.error, **asked)  # type: ignore[arg-type]
        plan["backtest"] = None if tried is None else tried.to_json()
        untold = "the law could not be tried on the pilots' own past: intervals leave out what it has wrong beyond them"
        plan["explanation"].append(f"Note: {untold if tried is None else tried.told()}.")
        plan["explanation"].append(
            f"Note: the law is fitted on models that have seen {short(law.start.tokens)} tokens or more; sealed "
            f"intervals hold {law.start.error:.1%} beside its own uncertainty, the most that any start tried was off."
        )
        plan["options"] = [{**vars(option), "chosen": place == 0} for place, option in enumerate(options)]
        plan["predictions"] = [
            {
                **_keys(option, params, count),
                "chosen": place == 0,
                **shared(own, ("eval_on",)),
                "output": "loss",
                **loss,
            }
            for place, (option, loss) in enumerate(zip(options, losses, strict=True))
        ]
    sealed = seal(plan, rows)
    write_atomic(layout.plan, canonical_json(sealed))
    return sealed


def _keys(option: Option, params: int, domains: int) -> dict[str, Any]:
    """What says which rows a prediction is about."""
    of: dict[str, Any] = {"domains": domains} if option.expert_tokens else {}
    tokens = {"seed_tokens": option.seed_tokens, "tokens": option.expert_tokens}
    return {"option": named(option), "params": params, **tokens, **of}


def named(option: Option) -> str:
    """An option for a person.

    >>> named(Option(0.25, 737_280, 368_640)), named(Option(1.0, 2_949_120, 0)), named(Option(0.0, 0, 491_520))
    ('a seed of 737k tokens', 'unsplit', 'split from the start')
    """
    if not option.expert_tokens:
        return "unsplit"
    if not option.seed_tokens:
        return "split from the start"
    return f"a seed of {short(float(f'{option.seed_tokens:.3g}'))} tokens"


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
    domains: int,
    overrides: Sequence[str],
) -> list[str]:
    """The decision's five lines, the last one as a command for this study, and what to beware of."""
    if decision is None:
        assert reason is not None
        return [f"Choice: none yet: {reason.reason}.", f"Next: {reason.remedy}."]
    *lines, last = decision.explain().splitlines()
    if decision.decided:
        last = "Next: carry the plan out and check it: speciate run STUDY.yaml --until compare"
    elif decision.remedy is not None:
        last = f"Next: {remedy_command(config, decision.remedy, domains, overrides)}"
    return [*lines, last, *(f"Note: {note}." for note in decision.notes)]


def compare_plan(layout: Layout, plan: Mapping[str, Any], ledger: pd.DataFrame) -> dict[str, Any]:
    """Predicted against measured, written to comparison.json: planning's comparison, every option tried, the regret."""
    found = compare_split(plan, ledger)
    write_atomic(layout.comparison, json.dumps(found, indent=1, allow_nan=False))
    return found


def compare_split(plan: Mapping[str, Any], ledger: pd.DataFrame) -> dict[str, Any]:
    """``planning.compare``, ``tried``, and ``regret_nats``: the chosen option's loss less that of the best tried."""
    found = compare(plan, ledger)
    tried = []
    for place, (option, prediction) in enumerate(zip(plan["options"], plan["predictions"], strict=True)):
        measured = [row["measured"] for row in found["rows"] if row["prediction"] == place]
        told = {"predicted": prediction["value"], "low": prediction["low"], "high": prediction["high"]}
        tried.append({**option, **told, "measured": sum(measured) / len(measured) if measured else None})
    losses = [one["measured"] for one in tried if one["measured"] is not None]
    chosen = next((one["measured"] for one in tried if one["chosen"]), None)
    return {**found, "tried": tried, "regret_nats": None if chosen is None else chosen - min(losses)}


def outcome_words(found: Mapping[str, Any]) -> list[str]:
    """What came out, for a person: the intervals, and the choice against the other options."""
    lines = [str(found["coverage"]["verdict"])]
    tried = [one for one in found["tried"] if one["measured"] is not None]
    chosen = next((one for one in tried if one["chosen"]), None)
    if chosen is not None and len(tried) > 1:
        best = min(tried, key=lambda one: float(one["measured"]))
        said = f"the planned {_told(chosen)} came out at {chosen['measured']:.4f} nats"
        said += f" (predicted {chosen['predicted']:.4f})"
        beside = (
            f"the best of {len(tried)} options"
            if best is chosen
            else f"{found['regret_nats']:.4f} above the best of {len(tried)}, {_told(best)}"
        )
        lines.append(f"{said}: {beside}")
    return lines


def _told(one: Mapping[str, Any]) -> str:
    return named(Option(one["share"], one["seed_tokens"], one["expert_tokens"]))
