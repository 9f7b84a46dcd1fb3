"""What the page of a split study says in words. Plain text, not escaped."""

from __future__ import annotations

from typing import Any

from speciate.report.numbers import MISSING, count_text, nats_text, number_of, percent_text, tokens_text
from speciate.report.sentences import as_sentence
from speciate.report.split.evidence import SplitEvidence

MINUS = "\N{MINUS SIGN}"


def decision_sentence(evidence: SplitEvidence) -> str:
    """The decision with its interval, or plainly that there is none; the first thing on the page."""
    told = evidence.decision
    if not told:
        return _no_plan_sentence(evidence)
    size, total = f"a {count_text(told['params'])}-parameter model", tokens_text(told["total_tokens"])
    experts = number_of(int(told["domains"]), "expert")
    if evidence.choice is None:
        return (
            f"Not decidable yet: these runs do not show whether {size} with {total} to spend should be "
            f"split into {experts}."
        )
    if evidence.choice == "never split":
        return f"Do not split: train one model of {count_text(told['params'])} parameters on all {total}."
    low, high = told.get("low"), told.get("high")
    interval = ""
    if low is not None and high is not None:
        ends = f"{count_text(low)} to {count_text(high)}" if count_text(low) != count_text(high) else count_text(low)
        interval = f" ({percent_text(evidence.level)} interval {ends})"
    each = f"{experts} of {tokens_text(told['expert_tokens'])} each"
    if told["seed_tokens"] <= 0:
        return f"Split at once{interval}: train {each} from scratch, with no seed in common."
    after = f"{count_text(told['seed_tokens'])} of {total}"
    return f"Split after {after}{interval}: copy {size} into {each}."


def _no_plan_sentence(evidence: SplitEvidence) -> str:
    if evidence.ledger is None or evidence.ledger.empty:
        return "No decision yet: nothing has been measured in this study."
    runs = number_of(int(evidence.ledger["run"].nunique()), "run")
    rows = number_of(len(evidence.ledger), "measurement")
    return f"No decision yet: {rows} of {runs} are in, and nothing has been planned from them."


def meaning_sentences(evidence: SplitEvidence) -> list[str]:
    """What the decision is compared with, what splitting gains, and how far beyond the pilots it is."""
    told = evidence.decision
    if not told:
        return []
    total = tokens_text(told["total_tokens"])
    said = [
        "All options cost the same training: a seed trained on every domain, and one copy of it for each domain, "
        f"trained on that domain only, {total} in all. The loss is the mean over the domains' held-out text."
    ]
    if told.get("expert_tokens") and told.get("loss") is not None:
        predicted = "Predicted loss" if evidence.choice else "Best estimate of the loss of splitting"
        said.append(
            f"{predicted}: {nats_text(told['loss'])} nats per token, against {nats_text(told['loss_unsplit'])} "
            "of one model trained on all of it."
        )
    elif told.get("loss_unsplit") is not None:
        loss = f"{nats_text(told['loss_unsplit'])} nats per token"
        said.append(
            f"Predicted loss of that model: {loss}." if evidence.choice else
            f"The best estimate is not to split: {loss} with one model."
        )  # fmt: skip
    far = {name: times for name, times in (told.get("extrapolated") or {}).items() if times}
    if far:
        names = {"params": "size", "seed_tokens": "tokens of the seed", "tokens": "tokens of an expert"}
        reach = ", ".join(f"{times:.2g}x in {names.get(name, name)}" for name, times in far.items())
        said.append(f"Partly extrapolated beyond the pilot runs: {reach}.")
    return said


def splitting_point_sentence(evidence: SplitEvidence) -> str:
    """From which seed on splitting pays at all (5.2 of Seto et al.)."""
    told = evidence.decision
    point = told.get("splitting_point")
    if point is None:
        return "By the fitted law splitting pays at no seed."
    ends = (told.get("intervals") or {}).get("splitting_point") or {}
    low, high = ends.get("low"), ends.get("high")
    interval = ""
    if low is not None and high is not None:
        interval = f" ({percent_text(evidence.level)} interval {count_text(low)} to {count_text(high)})"
    elif low is not None:
        interval = f" ({percent_text(evidence.level)} interval {count_text(low)} or more)"
    if point <= 0 or count_text(point) == "0":
        return f"By the fitted law splitting pays from the first token on{interval}."
    return f"By the fitted law splitting starts to pay once the seed has seen {tokens_text(point)}{interval}."


def undecided_reasons(evidence: SplitEvidence) -> list[str]:
    """Why nothing is decided, and the run that would help most."""
    told = evidence.decision
    if not told or evidence.choice is not None:
        return []
    reason = as_sentence(str(told.get("status") or "no reason given").removeprefix("not decidable: "))
    return [reason, *remedies(evidence)]


def remedies(evidence: SplitEvidence) -> list[str]:
    """The run to buy, as planning says it; empty where it names none."""
    remedy = evidence.decision.get("remedy")
    text = remedy.get("text") if isinstance(remedy, dict) else remedy
    if not text:
        return []
    settles = not isinstance(remedy, dict) or remedy.get("settles", True)
    start = "The cheapest run that would settle it" if settles else "The run that narrows it most for its price"
    return [f"{start}: {str(text).rstrip('.')}."]


def option_text(row: dict[str, Any]) -> str:
    """What a tried option does, by its share of the budget for the seed.

    >>> option_text({"share": 1.0}), option_text({"share": 0}), option_text({"share": 0.25})
    ('never split', 'split at once', 'a seed of 25\\xa0%')
    """
    share = float(row["share"])
    if share >= 1:
        return "never split"
    return "split at once" if share <= 0 else f"a seed of {percent_text(share)}"


def routing_sentence(evidence: SplitEvidence) -> str:
    """What routing by a prefix costs against knowing each text's domain; empty without losses."""
    routing = evidence.routing or {}
    routed, oracle, base = (routing.get(name) for name in ("routed", "oracle", "base"))
    option = routing.get("option") or {}
    said = []
    if option.get("chosen") is False and option.get("share") is not None:
        said.append(f"These specialists are not the plan but the best split tried beside it ({option_text(option)}).")
    if routed is not None and oracle is not None:
        more = f"{nats_text(routed - oracle, signed=True)} nats per token ({_percent_change(routed / oracle - 1)})"
        prefix = routing.get("prefix_tokens")
        by = f"the first {prefix} tokens" if prefix is not None else "a prefix"
        said.append(f"Choosing the expert by {by} instead of knowing the domain changes the loss by {more}.")
    right, texts = routing.get("routed_right"), routing.get("held_out_texts")
    if right is not None:
        of = f" of {texts:,} held-out texts" if isinstance(texts, int) else ""
        said.append(f"{percent_text(right)}{of} went to their own domain's expert.")
    if routed is not None and base is not None:
        better = "below" if routed < base else "above"
        said.append(f"Routed specialists end {nats_text(abs(routed - base))} nats {better} one model of equal tokens.")
    return " ".join(said)


def _percent_change(share: float) -> str:
    text = percent_text(abs(share))
    if abs(share) < 5e-4:
        return f"under {percent_text(0.001)}"
    return f"{'+' if share > 0 else MINUS}{text}"


def next_steps(evidence: SplitEvidence) -> list[str]:
    """What to do now, in order."""
    told = evidence.decision
    if not told:
        return ["Run the same command again (`speciate run study.yaml`): it continues where the study stopped."]
    if evidence.choice is None:
        again = "Add that run to study.yaml and run the same command again; nothing finished is redone."
        return [*remedies(evidence), again]
    steps = []
    coverage = (evidence.comparison or {}).get("coverage") or {}
    if not evidence.tried:
        steps.append("Run the same command again to carry the plan out and check the prediction.")
    elif coverage.get("low") is not None and coverage.get("inside", 0) < coverage["low"]:
        steps.append("The intervals were too narrow here: add a seed at one share before trusting a larger total.")
    if evidence.routing is not None:
        ask = '`speciate generate specialists "..."`'
        steps.append(f"Ask the specialists ({ask}), or serve them (`speciate serve specialists`).")
    elif evidence.choice == "split":
        seed = tokens_text(told["seed_tokens"])
        steps.append(f"Train a seed of {seed}, save it, and go on with one copy for each domain.")
    steps.append(
        "For another total nothing need be trained: "
        f"`speciate plan split ledger.parquet --eval-on mean --domains {told['domains']} --tokens TOTAL`."
    )
    return steps


def missing_text(value: float | None) -> str:
    """A loss, or a dash where there is none."""
    return MISSING if value is None else nats_text(value)
