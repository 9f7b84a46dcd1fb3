"""Which run to buy next: candidates by the drop in decision regret that is expected of each, per FLOP; when to stop.

Every kind of decision states its stakes (the regret of each action in each posterior draw of its own law) and its
candidates (what each would measure in each draw, and its marginal price); ``value`` does the rest, alike for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import Problem, UserError
from speciate.planning.next.cost import schedule_problems
from speciate.planning.next.decision import Candidate, NextDecision, RankedRun, Stakes, Terms, Unknown
from speciate.planning.next.mixture import mixture_stakes
from speciate.planning.next.split import split_stakes
from speciate.planning.next.value import GLANCE, Value, best_action, expected_regret, few_actions, value_of

KINDS = ("mixture", "split")
GOOD_ENOUGH = 0.001  # nats/token
LEAST_DROP = 2e-4  # nats/token: less is lost in what two runs differ by
LOOKED_AT = 40  # candidates that are looked at closely
CLEAR = 2.0  # standard errors by which a drop must stand out


def plan_next(
    table: pd.DataFrame,
    *,
    kind: str = "mixture",
    good_enough: float = GOOD_ENOUGH,
    least_drop: float = LEAST_DROP,
    most_flops: float | None = None,
    worth: float | None = None,
    schedule: str = "constant",
    draws: int = 1000,
    seed: int = 0,
    **question: Any,
) -> NextDecision:
    """The run to buy next for a decision of this ``kind``, or to stop.

    ``question``: as ``mixture_stakes`` or ``split_stakes`` take it, with ``candidates``, a table of runs to choose
    from (default: a grid of sizes, ratios, lengths and numbers of seeds). It is time to stop when the expected regret
    is at most ``good_enough`` (nats/token), or when no candidate of at most ``most_flops`` is expected to lower it
    by ``least_drop`` and by more than chance, and by as much as its FLOPs are worth: ``worth`` for .001 nats/token.
    ``schedule``: of the learning rate; under "cosine" no run can be carried on.

    Source: Raiffa and Schlaifer 1961, chapter 4 (the value of a sample); the stakes are ours.
    Raises UserError (options, table, candidates), NotDecidable (as the decision itself).
    """
    _check(kind, good_enough, least_drop, most_flops, worth, schedule, draws, question)
    terms = Terms(good_enough, least_drop, most_flops, worth)
    stakes_of = mixture_stakes if kind == "mixture" else split_stakes
    stakes = stakes_of(table, schedule=schedule, draws=draws, seed=seed, **question)  # type: ignore[arg-type]
    if isinstance(stakes, Unknown):
        runs = tuple(_ranked(one, None, 0.0) for one in stakes.candidates)
        return NextDecision(kind, runs, stakes.decision, "", None, None, terms, False, stakes.reason, (), table)
    return _decided(stakes, terms, seed, table)


def _check(
    kind: str,
    good_enough: float,
    least_drop: float,
    most_flops: float | None,
    worth: float | None,
    schedule: str,
    draws: int,
    question: dict[str, Any],
) -> None:
    weight, params = question.get("weight", 1.0), question.get("params")
    rules = [
        (0 <= good_enough < np.inf, "good-enough", good_enough, "give nats per token, 0 or more"),
        (0 <= least_drop < np.inf, "least-drop", least_drop, "give nats per token, 0 or more"),
        (most_flops is None or 0 < most_flops < np.inf, "most-flops", most_flops, "give FLOPs above 0"),
        (worth is None or 0 < worth < np.inf, "worth", worth, "give FLOPs above 0"),
        (0 < weight < np.inf, "weight", weight, "give a number above 0; 1: a nat is a nat"),
        (params is None or 1 <= params < 1e18, "params", params, "give a count of 1 or more, such as 7e9"),
        (draws >= 100, "draws", draws, "give at least 100"),
    ]
    problems = [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]
    if kind == "specialize":
        fix = "its doubt is where a run's minimum lies: speciate plan specialize names the run that would settle it"
        problems.append(Problem("specialize has no draws to weigh runs by", "--for", fix))
    elif kind not in KINDS:
        problems.append(Problem(f"there is no decision {kind!r}", "--for", f"name one of {', '.join(KINDS)}"))
    problems += schedule_problems(schedule)
    if problems:
        raise UserError(problems)


def _decided(stakes: Stakes, terms: Terms, seed: int, rows: pd.DataFrame) -> NextDecision:
    now = expected_regret(stakes.regret)
    action = best_action(stakes.regret)
    looked_at = replace(stakes, regret=few_actions(stakes.regret))
    runs = [_ranked(one, value, now) for one, value in _valued(looked_at, seed)]
    runs.sort(key=lambda run: (not _clear(run, terms), not _in_reach(run, terms), -(run.drop_per_flop or 0.0)))
    reason = why_stop(now, runs, terms)
    return NextDecision(
        kind=stakes.kind,
        runs=tuple(runs),
        decision_now=stakes.decision,
        decision_text=stakes.text,
        p_best_now=float(np.mean(stakes.regret[:, action] <= terms.good_enough)),
        regret_now=now,
        terms=terms,
        stop=reason != "",
        reason=reason,
        notes=stakes.notes,
        rows=rows,
    )


def _valued(stakes: Stakes, seed: int) -> list[tuple[Candidate, Value]]:
    """Candidates with their values; where they are many, the less promising ones are glanced at only and left out."""
    chosen: Sequence[Candidate] = [one for one in stakes.candidates if one.flops > 0]
    if len(chosen) > 1.5 * LOOKED_AT:
        chosen = _promising(stakes, chosen, seed)
    found = [(one, _value(stakes, one, None, seed)) for one in chosen]
    return [(one, _at_least_fewer(one, value, found)) for one, value in found]


def _promising(stakes: Stakes, candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """About LOOKED_AT candidates, with all their repeats: the best by drop per FLOP and the best by drop, in turn."""
    groups: dict[str, list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(repr(_run(one)), []).append(one)
    singles = [min(group, key=lambda one: one.flops) for group in groups.values()]
    drops = np.array([_value(stakes, one, GLANCE, seed).drop for one in singles])
    by_price = np.argsort(-drops / [one.flops for one in singles], kind="stable")
    by_drop = np.argsort(-drops, kind="stable")
    turns = dict.fromkeys(int(i) for pair in zip(by_price, by_drop, strict=True) for i in pair)
    sets = list(groups.values())
    found: list[Candidate] = []
    for i in turns:
        if len(found) >= LOOKED_AT:
            break
        found += sets[i]
    return found


def _run(candidate: Candidate) -> dict[str, Any]:
    """What is run, however often."""
    return {name: value for name, value in candidate.spec.items() if name != "repeats"}


def _value(stakes: Stakes, candidate: Candidate, outcomes: int | None, seed: int) -> Value:
    assert candidate.outcome is not None, "where there are stakes, every candidate has an outcome"
    if outcomes is None:
        return value_of(stakes.regret, candidate.outcome, seed=seed)
    return value_of(stakes.regret, candidate.outcome, outcomes=outcomes, seed=seed)


def _at_least_fewer(candidate: Candidate, value: Value, others: Sequence[tuple[Candidate, Value]]) -> Value:
    """Two seeds are worth no less than one of them, whatever widened noise says."""
    mine, repeats = _run(candidate), candidate.spec["repeats"]
    fewer = [value for one, value in others if one.spec["repeats"] < repeats and _run(one) == mine]
    most = max(fewer, key=lambda one: one.drop, default=value)
    if most.drop <= value.drop:
        return value
    return replace(value, drop=most.drop, error=most.error, widened=max(value.widened, most.widened))


def _ranked(candidate: Candidate, value: Value | None, now: float) -> RankedRun:
    if value is None:
        return RankedRun(candidate.spec, candidate.text, candidate.flops, None, None, None, None, False)
    drop = min(value.drop, now)
    return RankedRun(
        spec=candidate.spec,
        text=candidate.text,
        flops=candidate.flops,
        expected_regret_drop=drop,
        expected_regret_after=now - drop,
        standard_error=value.error,
        drop_per_flop=drop / candidate.flops,
        lower_bound=value.widened > 1,
    )


def _clear(run: RankedRun, terms: Terms) -> bool:
    """Whether the drop stands out from chance, and is one to speak of."""
    assert run.expected_regret_drop is not None and run.standard_error is not None
    return run.expected_regret_drop > max(CLEAR * run.standard_error, terms.least_drop)


def _in_reach(run: RankedRun, terms: Terms) -> bool:
    """Whether it may cost as much as it does."""
    assert run.expected_regret_drop is not None
    cheap = terms.most_flops is None or run.flops <= terms.most_flops
    return cheap and (terms.worth is None or run.flops <= terms.worth * run.expected_regret_drop / 1e-3)


def why_stop(now: float, runs: Sequence[RankedRun], terms: Terms) -> str:
    """Why no run should be bought; "" where one should."""
    if now <= terms.good_enough:
        return f"the expected regret, {now:.5f} nats per token, is at most {terms.good_enough:g}"
    if not runs:
        return "there is no run to choose from"
    if not any(_clear(run, terms) for run in runs):
        return f"no run on offer is expected to lower the regret by more than chance and {terms.least_drop:g}"
    if not any(_clear(run, terms) and _in_reach(run, terms) for run in runs):
        return "no run is worth its price, as --most-flops and --worth have it"
    return ""
