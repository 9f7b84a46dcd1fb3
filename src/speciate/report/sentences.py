"""What the page says in words: each function turns evidence into one sentence. Plain text, not escaped."""

from __future__ import annotations

from typing import Any

from speciate.report.evidence import Evidence
from speciate.report.numbers import (
    MISSING,
    count_text,
    duration_text,
    flops_text,
    nats_short,
    nats_text,
    number_of,
    percent_text,
    range_text,
    ratio_text,
    tokens_text,
)
from speciate.report.study_files import StudyFiles

BINDING = {
    "turning point": "with more than that, the general loss has not turned down by the end",
    "tolerance": "with more than that, the general loss ends above the tolerance",
}


def domain_text(name: str) -> str:
    """What the domain's text is called in a sentence.

    >>> domain_text("domain"), domain_text("code")
    ('domain text', 'code text')
    """
    return f"{name} text"


def primary_model(evidence: Evidence) -> dict[str, Any] | None:
    """The size the headline speaks of: the planned one, else the largest that is decided, else the largest."""
    planned = [model for model in evidence.models if model["params"] == (evidence.plan or {}).get("params")]
    if planned:
        return planned[0]
    models = [model for model in evidence.models if is_decided(model)] or evidence.models
    return models[-1] if models else None


def is_decided(model: dict[str, Any]) -> bool:
    """Whether a size has a critical ratio."""
    return model.get("critical_ratio") is not None


def decision_sentence(evidence: Evidence) -> str:
    """The decision with its interval, or plainly that there is none; the first thing on the page."""
    model = primary_model(evidence)
    if model is None:
        return _no_plan_sentence(evidence)
    what = domain_text(evidence.domain)
    size, horizon = count_text(model["params"]), _horizon_text(model)
    if not is_decided(model):
        return (
            f"Not decidable yet: these runs do not show how much {what} a {size}-parameter model can take{horizon} "
            "and keep its general ability."
        )
    low, high = model.get("low"), model.get("high")
    interval = ""
    if low is not None and high is not None:
        interval = f" ({percent_text(evidence.level)} interval {range_text(low, high)})"
    return (
        f"Up to {percent_text(model['critical_ratio'])} {what}{interval} lets a {size}-parameter model "
        f"keep its general ability{horizon}."
    )


def _horizon_text(model: dict[str, Any]) -> str:
    horizon = model.get("horizon_tokens")
    return f" over {tokens_text(horizon)} of continued training" if horizon else ""


def _no_plan_sentence(evidence: Evidence) -> str:
    if evidence.ledger is None or evidence.ledger.empty:
        return "No decision yet: nothing has been measured in this study."
    runs = number_of(int(evidence.ledger["run"].nunique()), "run")
    rows = number_of(len(evidence.ledger), "measurement")
    return f"No decision yet: {rows} of {runs} are in, and nothing has been planned from them."


def meaning_sentences(evidence: Evidence) -> list[str]:
    """What "keep its general ability" means here, what limits the share, and what the headline leaves out."""
    model = primary_model(evidence)
    if model is None:
        return []
    said = []
    tolerance = model.get("tolerance")
    if tolerance is not None:
        said.append(
            "General ability is kept when the loss on general text, having risen, has turned down again by the end "
            f"and then stands at most {nats_short(tolerance)} nats per token above the starting model."
        )
    if is_decided(model) and model.get("binding"):
        binding = str(model["binding"])
        said.append(f"The limit: {BINDING.get(binding, binding)}.")
    if is_decided(model) and model.get("extrapolated"):
        said.append("Partly extrapolated: the horizon, the share or the size lies beyond what the pilot runs covered.")
    undecided = [count_text(other["params"]) for other in evidence.models if not is_decided(other)]
    if is_decided(model) and undecided:
        said.append(f"Not decidable from these runs: {', '.join(undecided)} parameters.")
    return said


def undecided_reasons(evidence: Evidence) -> list[str]:
    """For each size without an answer: why, and the cheapest run that would settle it."""
    said = []
    for model in evidence.models:
        if not is_decided(model):
            reason = str(model.get("status") or "no reason given").removeprefix("not decidable: ")
            remedy = f" {remedy_sentence(model['remedy'])}" if model.get("remedy") else ""
            said.append(f"{count_text(model['params'])} parameters: {reason.rstrip('.')}.{remedy}")
    return said


def remedy_sentence(remedy: str | dict[str, Any]) -> str:
    """The cheapest run that would settle it, from its spec {params, domain_ratio, tokens, seed, flops} or its text.

    >>> remedy_sentence({"text": "a second seed shows the noise: 36224 params", "spec": {"params": 36224, "seed": 1}})
    'The cheapest run that would settle it: 36k parameters, seed 1; a second seed shows the noise.'
    """
    if isinstance(remedy, str):
        return f"What would settle it: {remedy.rstrip('.')}."
    given = remedy.get("spec")
    spec: dict[str, Any] = given if isinstance(given, dict) else remedy
    parts = []
    if spec.get("params") is not None:
        parts.append(f"{count_text(spec['params'])} parameters")
    if spec.get("domain_ratio") is not None:
        parts.append(f"a {ratio_text(spec['domain_ratio'])} domain share")
    if spec.get("tokens") is not None:
        parts.append(tokens_text(spec["tokens"]))
    if spec.get("seed") is not None:
        parts.append(f"seed {spec['seed']}")
    cost = f" ({flops_text(spec['flops'])})" if spec.get("flops") else ""
    text = str(remedy.get("text") or "")
    if not parts:
        return f"What would settle it: {text.rstrip('.')}." if text else ""
    why = text.partition(":")[0]  # what follows the colon is the spec once more
    return f"The cheapest run that would settle it: {', '.join(parts)}{cost}{f'; {why}' if why else ''}."


def certainty_fact(evidence: Evidence) -> tuple[str, str]:
    """(figure, note): how sure the decision is."""
    model = primary_model(evidence)
    if model is None or not is_decided(model):
        return "Not decided", "There is no interval to give; the reason stands above."
    low, high, level = model.get("low"), model.get("high"), percent_text(evidence.level)
    status = str(model.get("status") or "")
    if model.get("ratios"):
        status = status.partition("; ")[2]  # before it stand the ratio and the interval once more
    if low is None or high is None:
        return "No interval", as_sentence(
            status
        ) if status else "No ratio was run twice, so run-to-run noise is unknown."
    note = f"{level} interval, from what repeated runs differ by and what the laws missed in backtests."
    return range_text(low, high), f"{note} {as_sentence(status)}" if status else note


def cost_fact(evidence: StudyFiles) -> tuple[str, str]:
    """(figure, note): minutes, tokens and FLOPs of the whole study."""
    cost = evidence.cost
    if not cost:
        return MISSING, "The study recorded no cost (cost.json is absent)."
    train, wall = cost.get("train_seconds"), cost.get("wall_seconds")
    spent = [text for text in (
        tokens_text(cost["tokens"]) if cost.get("tokens") is not None else "",
        flops_text(cost["flops"]) if cost.get("flops") else "",
    ) if text]  # fmt: skip
    seconds = train if train is not None else wall
    figure = MISSING if seconds is None else duration_text(seconds)
    note = f"of training: {' and '.join(spent)}." if spent else "of training."
    if train is not None and wall is not None:
        note += f" {duration_text(wall).capitalize()} from start to finish."
    return figure, note


def outcome_fact(evidence: StudyFiles) -> tuple[str, str]:
    """(figure, note): whether what was predicted came true."""
    coverage = (evidence.comparison or {}).get("coverage") or {}
    rows = coverage.get("rows")
    measured = len((evidence.comparison or {}).get("rows") or [])
    if not rows and measured:
        return "Measured", f"{measured} losses were measured, but the plan had no intervals to hold them against."
    if not rows:
        return "Not checked yet", "No run has been measured against the plan."
    inside, low, high = coverage.get("inside", 0), coverage.get("low"), coverage.get("high")
    note = f"{inside} of {rows} measurements fell inside their sealed {percent_text(evidence.level)} intervals"
    note += f"; {low:.0f} to {high:.0f} were to be expected." if low is not None and high is not None else "."
    if inside == rows:
        return "✓ It held", note
    if low is not None and inside < low:
        return "✕ It did not hold", note
    return f"In part: {inside} of {rows}", note


def regret_sentence(evidence: Evidence) -> str:
    """Whether the planned ratio kept the tolerance when measured, and what a better one would have gained."""
    primary = primary_model(evidence)
    regrets = (evidence.comparison or {}).get("regret") or []
    found = next((each for each in regrets if primary and each["params"] == primary["params"]), None)
    if found is None:
        return ""
    chosen, best, lost = ratio_text(found["chosen_ratio"]), found["best_ratio"], found["loss_difference"]
    ended = f"the planned share ({chosen}) ended {nats_text(found['general_change'], signed=True)} nats from its start"
    limit = f"{nats_text(found['tolerance'])} allowed"
    if not found["chosen_feasible"]:
        excess = nats_text(found["general_change"] - found["tolerance"])
        return f"On general text {ended}, {excess} above the {limit}: it kept less general ability than planned."
    kept = f"On general text {ended}, within the {limit}."
    if best is None or lost is None or best == found["chosen_ratio"]:
        return f"{kept} Of the shares that stayed within it, it was the best."
    gained = f"{nats_text(lost)} nats per token lower"
    return f"{kept} Of the shares that stayed within it, {ratio_text(best)} ended with domain loss {gained}."


def savings_sentence(evidence: StudyFiles) -> str:
    """What merging equal prefixes saved, against both usual practices; empty without a tree."""
    savings = (evidence.tree or {}).get("savings") or {}
    if savings.get("tree_tokens") is None:
        return ""
    said = f"Shared beginnings were trained once: {tokens_text(savings['tree_tokens'])} in all"
    parts = [
        f"{percent_text(savings[f'saved_vs_{key}'])} fewer than {practice} ({tokens_text(savings[f'{key}_tokens'])})"
        for key, practice in (
            ("scratch", "training every run from scratch"),
            ("anew", "starting every continued run anew from one saved base"),
        )
        if savings.get(f"saved_vs_{key}") is not None and savings.get(f"{key}_tokens") is not None
    ]
    return f"{said}, {' and '.join(parts)}." if parts else f"{said}."


def next_steps(evidence: Evidence) -> list[str]:
    """What to do now, in order."""
    if not evidence.models:
        return ["Run the same command again (`speciate run study.yaml`): it continues where the study stopped."]
    steps = [remedy_sentence(model["remedy"]) for model in evidence.models if model.get("remedy")]
    model = primary_model(evidence)
    assert model is not None
    if not is_decided(model):
        return [*steps, "Add that run to study.yaml and run the same command again; nothing finished is redone."]
    coverage = (evidence.comparison or {}).get("coverage") or {}
    share = percent_text(model["critical_ratio"])
    if not (evidence.comparison or {}).get("rows"):
        steps.append("Run the same command again to train the planned ratio to the horizon and check the prediction.")
    elif coverage.get("low") is not None and coverage.get("inside", 0) < coverage["low"]:
        steps.append("The intervals were too narrow here: add a seed at two ratios before trusting a longer horizon.")
    low = model.get("low")
    if low is not None and low < 0.005:
        steps.append(f"Mix in {share} at most, with care: the interval reaches down to none. A second seed narrows it.")
    elif low is not None:
        safe = percent_text(low)
        steps.append(f"Mix in {share} at most; where losing general ability is costly, the interval's low end, {safe}.")
    else:
        steps.append(f"Mix in {share} at most; how sure that is, a second seed at one share would tell.")
    steps.append(
        "For another length of training or another tolerance nothing need be trained: "
        f"`speciate plan mixture ledger.parquet --domain {evidence.domain} --horizon TOKENS --tolerance NATS`."
    )
    return steps


def as_sentence(text: str) -> str:
    """A status as a sentence: capital and full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
