"""A decision across kinds for a person: its status, five lines, and the figures as plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speciate.planning.decide.judge import flops_for
from speciate.planning.decide.ledger import MEASURES
from speciate.planning.decide.options import Missing, Option
from speciate.planning.decide.question import SAFE
from speciate.planning.words import UNDECIDED, no_interval, none_yet, run_next, seal_next, short

if TYPE_CHECKING:
    from speciate.planning.decide.decision import DecideDecision

Cells = tuple[list[str], list[list[str]]]


def status(found: DecideDecision) -> str:
    """The answer in a sentence."""
    asked, leader = found.question, found.leader
    if leader is None:
        return f"{UNDECIDED}{_open(found)}"
    if found.p_best is None or found.verdict.regret is None:
        return f"{UNDECIDED}{leader.name()} leads, but nobody knows how surely; {unknown(found)}"
    how = f"best with probability {found.p_best:.2f}, expected regret {found.verdict.regret:.4f} nats"
    if not found.decided:
        bar = f"{asked.sure:g}, or a regret of {asked.bound:g}, is asked"
        return f"{UNDECIDED}{leader.name()} leads, but is {how}; {bar}"
    if found.p_best < asked.sure:
        return f"{leader.name()}: {how}; others may be better, by little"
    return f"{leader.name()}: {how}"


def _open(found: DecideDecision) -> str:
    """Why nothing is chosen, without the name of the leader."""
    asked, p_best, regret = found.question, found.p_best, found.verdict.regret
    if found.leader is None:
        closest = max(found.options, key=lambda one: (one.within(asked), -(one.forgetting or 0.0)))
        return (
            f"no option keeps the general loss within {asked.tolerance:g} nats of its start with "
            f"probability {SAFE:g}; {closest.name()} comes closest ({closest.within(asked):.0%})"
        )
    if p_best is None or regret is None:
        return "run-to-run noise is unknown"
    return (
        f"P(best) {p_best:.2f} is below {asked.sure:g}, and the expected regret {regret:.4f} nats above {asked.bound:g}"
    )


def unknown(found: DecideDecision) -> str:
    """Why there are no draws."""
    if any(one.draws is None and one.kind != "split" for one in found.options):
        return "no ratio was run with a second seed, so run-to-run noise cannot be known"
    return "all seeds and experts come from one run, so run-to-run noise cannot be known"


def explain(found: DecideDecision) -> str:
    """Five lines: choice, how sure, cost, what would change it, next command."""
    return "\n".join([_choice(found), _sure(found), _cost(found), _change(found), _next(found)])


def _choice(found: DecideDecision) -> str:
    leader = found.leader
    if leader is None:
        return none_yet(found.status)
    low, high = found.interval(leader)
    span = "" if low is None or high is None else f" ({found.question.level:.0%} {low:.4f} to {high:.4f})"
    general = "unknown" if leader.forgetting is None else f"{leader.forgetting:+.4f} nats from its start"
    unit = MEASURES[found.ledger.measure]
    plan = f"{leader.name()}, {short(leader.tokens)} tokens: {leader.loss:.4f}{span} {unit} on {found.ledger.domain}"
    plan += f", general loss {general}"
    return f"Choice: {plan}." if found.decided else none_yet(_open(found), plan)


def _sure(found: DecideDecision) -> str:
    every, best, regret = found.verdict.p_best, found.verdict.best, found.verdict.regret
    if every is None:
        return no_interval(found.question.level, unknown(found))
    if best is None or regret is None:
        return f"How sure: every option breaks the limit in more than {1 - SAFE:.0%} of the draws."
    flops = found.verdict.regret_flops
    worth = "more than any compute makes good" if flops is None else f"worth {flops:.2g} FLOPs"
    told = f"best in {every[best]:.0%} of the draws; expected regret {regret:.4f} nats, {worth}"
    return f"How sure: {told}{_runner_up(found)}."


def _runner_up(found: DecideDecision) -> str:
    leader, second = found.leader, found.runner_up
    if leader is None or second is None:
        return ""
    nats = second.loss - leader.loss
    flops = flops_for(second, nats)
    more = "no compute closes that" if flops is None else f"{flops:.2g} more FLOPs would close that"
    return f"; next is {second.name()}, {nats:.4f} nats behind ({more})"


def _cost(found: DecideDecision) -> str:
    how = "sunk, beside the budget" if found.question.pilots_sunk else "charged"
    parts = [f"pilots {found.ledger.pilot_flops:.3g} FLOPs ({how})"]
    if found.leader is not None:
        parts.append(f"final run {found.leader.flops:.3g} (6 N D)")
        if found.question.serve_tokens:
            parts.append(f"serving {found.serve_flops(found.leader):.3g} (2 N a token)")
    return f"Cost: {', '.join(parts)}; the budget is {found.question.flops:.3g} FLOPs."


def _change(found: DecideDecision) -> str:
    told = []
    leader, free = found.leader, found.unlimited
    if free is not None and free is not leader and found.question.tolerance is not None:
        lost = "" if free.forgetting is None else f", general loss {free.forgetting:+.4f}"
        gain = "" if leader is None else f" ({free.loss - leader.loss:+.4f} nats{lost})"
        told.append(f"no limit of {found.question.tolerance:g} nats on forgetting: then {free.name()}{gain}")
    if leader is not None and leader.beyond > 1.01:
        told.append(f"a longer pilot of the choice: its final run is {leader.beyond:.2g}x the longest")
    absent = [one for one in found.missing if all(other.kind != one.kind for other in found.options)]
    kinds = list(dict.fromkeys(one.kind for one in absent))
    if kinds:
        told.append(f"runs that let {' and '.join(kinds)} be considered (below)")
    return f"What would change it: {'; '.join(told) or 'another budget'}."


def _next(found: DecideDecision) -> str:
    if found.decided:
        return seal_next("decide")
    if found.leader is None:
        return run_next("pilots with less domain text; or allow more forgetting (--tolerance)")
    if found.p_best is None:
        return run_next("the pilots of one ratio with another seed")
    kind = "split" if found.leader.kind == "split" else "mixture"
    return run_next(f"the one that tells most, by speciate plan next TABLE --for {kind} ...")


def options_table(found: DecideDecision) -> Cells:
    """Headers and cells: every option by its loss, those that are likely to break the limit last."""
    every, asked = found.verdict.p_best, found.question
    order = sorted(
        range(len(found.options)), key=lambda i: (not found.options[i].feasible(asked), found.options[i].loss)
    )
    headers = ["option", "tokens", "loss", "low", "high", "forgets", "within limit", "P(best)"]
    return headers, [_cells(found, found.options[i], None if every is None else every[i]) for i in order]


def _cells(found: DecideDecision, option: Option, p_best: float | None) -> list[str]:
    low, high = found.interval(option)
    within = "no limit" if found.question.tolerance is None else f"{option.within(found.question):.0%}"
    ends = ["-" if end is None else f"{end:.4f}" for end in (low, high)]
    forgets = "-" if option.forgetting is None else f"{option.forgetting:+.4f}"
    sure = "-" if p_best is None else f"{p_best:.0%}"
    return [option.name(), short(option.tokens), f"{option.loss:.4f}", *ends, forgets, within, sure]


def not_considered(missing: Sequence[Missing]) -> list[tuple[str, str, str]]:
    """What, why, and what would let it be, for every reason: kinds and sizes that share one are told together."""
    whole: dict[tuple[str, str], list[Missing]] = {}
    for one in missing:
        whole.setdefault((one.reason, one.remedy), []).append(one)
    found = []
    for (reason, remedy), those in whole.items():
        kinds = ", ".join(dict.fromkeys(one.kind for one in those))
        sizes = ", ".join(dict.fromkeys(short(one.params) for one in those if one.params is not None))
        found.append((f"{kinds} at {sizes} params" if sizes else kinds, reason, remedy))
    return found
