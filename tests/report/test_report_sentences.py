"""What is said in words, at the edges of what the files may hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from speciate.report.evidence import Evidence, read_evidence
from speciate.report.sentences import (
    certainty_fact,
    cost_fact,
    decision_sentence,
    meaning_sentences,
    next_steps,
    outcome_fact,
    regret_sentence,
    remedy_sentence,
    savings_sentence,
    undecided_reasons,
)

EMPTY = Evidence("s", None, None, None, None, None)


def planned(*models: dict[str, Any], **more: Any) -> Evidence:
    return replace(EMPTY, plan={"decision": {"models": list(models)}, "domain": "code"}, **more)


def model(params: int, ratio: float | None, **more: Any) -> dict[str, Any]:
    return {"params": params, "critical_ratio": ratio, "low": None, "high": None, "status": "not decidable: why"} | more


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_without_an_interval_the_sentence_has_none() -> None:
    evidence = planned(model(36_000, 0.4, horizon_tokens=2e6))
    said = plain(decision_sentence(evidence))
    assert said == "Up to 40 % code text lets a 36k-parameter model keep its general ability over 2M tokens of " \
                   "continued training."  # fmt: skip
    assert certainty_fact(evidence)[0] == "No interval"
    assert "second seed" in " ".join(next_steps(evidence))


def test_the_largest_decided_size_is_spoken_of_and_the_undecided_named() -> None:
    evidence = planned(model(142_000, None), model(36_000, 0.4))
    assert "36k-parameter" in decision_sentence(evidence)
    assert undecided_reasons(evidence) == ["142k parameters: why."]
    assert "Not decidable from these runs: 142k parameters." in meaning_sentences(evidence)


def test_the_planned_size_is_spoken_of_even_when_undecided() -> None:
    evidence = planned(model(142_000, None), model(36_000, 0.4))
    assert evidence.plan is not None
    said = decision_sentence(replace(evidence, plan=evidence.plan | {"params": 142_000}))
    assert said.startswith("Not decidable yet: these runs do not show how much code text a 142k-parameter model")


def test_the_plan_for_a_size_that_was_not_trained() -> None:
    extrapolated = model(7_000_000, 0.5, low=0.4, high=0.6, extrapolated=True, ratios=[],
                         status="critical ratio 50.0% from the sizes 36k, 142k")  # fmt: skip
    evidence = planned(extrapolated)
    assert "7M-parameter" in decision_sentence(evidence)
    assert "from the sizes" in certainty_fact(evidence)[1]
    assert any(sentence.startswith("Partly extrapolated") for sentence in meaning_sentences(evidence))


def test_an_outcome_outside_the_expected_range_did_not_hold() -> None:
    coverage = {"inside": 10, "rows": 24, "low": 19, "high": 24}
    evidence = planned(model(36_000, 0.4, low=0.3, high=0.5), comparison={"coverage": coverage, "rows": [{}] * 24})
    assert outcome_fact(evidence)[0] == "✕ It did not hold"
    assert "too narrow" in " ".join(next_steps(evidence))
    assert outcome_fact(EMPTY)[0] == "Not checked yet"


def test_regret_says_whether_the_tolerance_was_kept_and_what_was_better() -> None:
    kept = {"params": 36_000, "chosen_ratio": 0.4, "chosen_feasible": True, "general_change": 0.041, "tolerance": 0.05}

    def said(**changes: object) -> str:
        regret = [kept | {"best_ratio": 0.5, "loss_difference": 0.0123} | changes]
        return plain(regret_sentence(planned(model(36_000, 0.4), comparison={"regret": regret})))

    assert said() == (
        "On general text the planned share (40 %) ended +.041 nats from its start, within the .050 allowed. "
        "Of the shares that stayed within it, 50 % ended with domain loss .012 nats per token lower."
    )
    assert said(best_ratio=0.4, loss_difference=0.0).endswith("it was the best.")
    broken = said(chosen_feasible=False, general_change=0.061, loss_difference=None)
    assert broken.endswith(
        "+.061 nats from its start, .011 above the .050 allowed: it kept less general ability than planned."
    )
    assert regret_sentence(planned(comparison={"regret": []})) == ""


def test_losses_measured_against_a_plan_without_intervals_are_not_called_unmeasured() -> None:
    comparison = {"coverage": {"rows": 0, "inside": None}, "rows": [{}] * 6}
    evidence = planned(model(36_000, 0.4), comparison=comparison)
    assert outcome_fact(evidence)[0] == "Measured"
    assert "train the planned" not in " ".join(next_steps(evidence))


def test_misses_within_what_was_expected_hold_in_part() -> None:
    coverage = {"inside": 4, "rows": 6, "low": 2, "high": 6}
    evidence = planned(model(36_000, 0.4, low=0.3, high=0.5), comparison={"coverage": coverage})
    assert outcome_fact(evidence)[0] == "In part: 4 of 6"


def test_an_interval_that_reaches_zero_is_not_recommended_as_safe() -> None:
    steps = " ".join(next_steps(planned(model(36_000, 0.2, low=0.0, high=0.35))))
    assert "reaches down to none" in steps
    assert "low end" not in steps


def test_cost_and_savings_with_parts_missing() -> None:
    assert cost_fact(EMPTY)[1] == "The study recorded no cost (cost.json is absent)."
    assert cost_fact(replace(EMPTY, cost={"train_seconds": 90.0})) == ("1.5 minutes", "of training.")
    assert savings_sentence(EMPTY) == ""
    tree = {"nodes": [], "savings": {"tree_tokens": 1e6}}
    assert savings_sentence(replace(EMPTY, tree=tree)) == "Shared beginnings were trained once: 1M tokens in all."


def test_a_remedy_may_be_text_or_a_spec() -> None:
    assert remedy_sentence("another seed.") == "What would settle it: another seed."
    assert remedy_sentence({"text": "another seed", "spec": None}) == "What would settle it: another seed."
    spec = {"params": 36_000, "domain_ratio": 0.15, "tokens": 1.2e6, "seed": 1, "flops": 1e12}
    assert plain(remedy_sentence(spec)) == (
        "The cheapest run that would settle it: 36k parameters, a 15 % domain share, 1.2M tokens, seed 1 (1e12 FLOPs)."
    )


def test_a_real_study_reads_back(study: Path) -> None:
    evidence = read_evidence(study)
    assert evidence.ratios == [0.1, 0.25, 0.4, 0.6]
    assert [found["params"] for found in evidence.models] == [36_224, 141_760]
