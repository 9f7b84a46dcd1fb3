"""The figures of a split study: which points stand at which budget, which curve goes with them, what is cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.report.palette import GROUND
from speciate.report.split.budget_figure import budget_panels
from speciate.report.split.curves import curves_of, fit_at
from speciate.report.split.evidence import SplitEvidence, read_split_evidence
from speciate.report.split.experts import experts_of
from speciate.report.split.facts import regret_fact, regret_nats
from speciate.report.split.outcomes import outcome_panels
from speciate.report.split.page import render_split
from speciate.report.split.recall_figure import recall_panels
from speciate.report.split.tree import merged, tree_panels

B = 1e9


@pytest.fixture(scope="module")
def evidence(split_study: Path) -> SplitEvidence:
    return read_split_evidence(split_study)


def test_points_are_those_of_equal_totals(evidence: SplitEvidence) -> None:
    points = evidence.points
    assert evidence.budgets == [120 * B, 240 * B, 360 * B]
    assert (points["seed_tokens"] + 4 * points["tokens"]).to_numpy() == pytest.approx(points["budget"].to_numpy())
    for (params, budget), group in points.groupby(["params", "budget"]):
        assert group["share"].min() == 0.0 and group["share"].max() == 1.0
        assert len(group) == 6
        assert group["later"].all() == (budget == 360 * B), params
    assert set(points[points["budget"] == 360 * B]["params"]) == {1.3 * B}


def test_budgets_are_found_without_settings_and_the_number_of_domains_without_a_plan(evidence: SplitEvidence) -> None:
    bare = replace(evidence, plan=None, config=None, comparison=None)
    assert bare.count == 4
    assert {120 * B, 240 * B, 360 * B} <= set(bare.budgets)
    assert bare.domains == ["code", "law", "maths", "medicine"]


def test_the_plans_own_curve_stands_at_the_planned_total_and_the_fits_at_the_pilots(evidence: SplitEvidence) -> None:
    curves = {(curve.params, curve.budget): curve.points for curve in curves_of(evidence)}
    assert len(curves) == 5
    planned = curves[1.3 * B, 360 * B]
    told = {row["seed_tokens"] / (360 * B): row["loss"] for row in evidence.decision["options"]}
    assert {x: v for x, v, *_ in planned} == pytest.approx(told)
    fit = fit_at(evidence, 1.3 * B)
    assert fit is not None
    for x, value, low, high in curves[1.3 * B, 240 * B]:
        said = fit.predict_mean(seed_tokens=x * 240 * B, tokens=(1 - x) * 60 * B)
        assert value == pytest.approx(float(said.value), rel=1e-9)
        assert low is not None and high is not None and low <= value <= high
    measured = evidence.points[(evidence.points["params"] == 1.3 * B) & (evidence.points["budget"] == 240 * B)]
    shares, values = zip(*((x, v) for x, v, *_ in curves[1.3 * B, 240 * B]), strict=True)
    assert np.abs(np.interp(measured["share"], shares, values) - measured["loss"]).max() < 0.006


def test_without_fits_the_measured_points_stand_alone(evidence: SplitEvidence) -> None:
    bare = replace(evidence, fits={}, plan=None, comparison=None)
    panels = budget_panels(bare)
    assert [panel.heading for panel in panels] == ["350M parameters", "1.3B parameters"]
    assert all(trace["mode"] == "markers" for panel in panels for trace in panel.figure["data"])


def test_the_chosen_share_and_its_interval_are_marked_on_the_planned_size_only(evidence: SplitEvidence) -> None:
    small, large = budget_panels(evidence)
    assert not small.figure["layout"].get("shapes")
    line, wash = large.figure["layout"]["shapes"]
    told = evidence.decision
    assert line["x0"] == told["seed_tokens"] / (360 * B)
    assert (wash["x0"], wash["x1"]) == (told["low"] / (360 * B), told["high"] / (360 * B))
    ticks = large.figure["layout"]["xaxis"]["ticktext"]
    assert "split<br>at once" in ticks[0] and "never<br>split" in ticks[-1]
    hollow = [trace for trace in large.figure["data"] if trace.get("marker", {}).get("color") == GROUND[0]]
    assert len(hollow) == 1 and len(hollow[0]["x"]) == 6


def test_experts_from_scratch_far_above_the_rest_are_named_at_the_edge(evidence: SplitEvidence) -> None:
    assert evidence.ledger is not None
    scratch = (evidence.ledger["seed_tokens"] == 0) & (evidence.ledger["eval_on"] == "mean")
    ledger = evidence.ledger.assign(loss=evidence.ledger["loss"] + np.where(scratch, 2.0, 0.0))
    panel = budget_panels(replace(evidence, ledger=ledger))[1]
    said = [note["text"] for note in panel.figure["layout"]["annotations"] if "↑" in note["text"]]
    worst = ledger[scratch & (ledger["params"] == 1.3 * B) & (ledger["tokens"] == 90 * B)]["loss"].iloc[0]
    assert len(said) == 3 and f"↑ {worst:.3f}" in said
    top = panel.figure["layout"]["yaxis"]["range"][1]
    assert all(max(trace["y"]) <= top for trace in panel.figure["data"] if trace["mode"] == "markers")


def test_experts_stand_beside_the_unsplit_model_of_the_same_total(evidence: SplitEvidence) -> None:
    found = experts_of(evidence)
    assert found is not None and found.chosen and len(found.losses) == 4
    assert evidence.ledger is not None
    rows = evidence.ledger[evidence.ledger["eval_on"] == "law"]
    whole = rows[(rows["tokens"] == 0) & (rows["seed_tokens"] == 360 * B) & (rows["params"] == 1.3 * B)]
    law = next(one for one in found.losses if one.domain == "law")
    assert law.unsplit == whole["loss"].iloc[0]
    assert found.seed_tokens + 4 * found.expert_tokens == pytest.approx(360 * B)
    pilots = evidence.ledger[evidence.ledger["seed_tokens"] + 4 * evidence.ledger["tokens"] < 300 * B]
    before = experts_of(replace(evidence, ledger=pilots, comparison=None))
    assert before is not None and not before.chosen and before.budget == 240 * B
    assert experts_of(replace(evidence, ledger=None)) is None


def test_predictions_are_labelled_by_share_and_the_chosen_named(evidence: SplitEvidence) -> None:
    (panel,) = outcome_panels(evidence)
    labels = panel.figure["layout"]["yaxis"]["ticktext"]
    assert labels[0] == "split at once" and labels[-1] == "never split"
    assert sum("chosen" in label for label in labels) == 1


def test_regret_is_the_files_own_and_is_read_from_what_was_tried_without_it(evidence: SplitEvidence) -> None:
    assert evidence.comparison is not None
    assert regret_nats(evidence) == evidence.comparison["regret_nats"]
    without = {name: value for name, value in evidence.comparison.items() if name != "regret_nats"}
    assert regret_nats(replace(evidence, comparison=without)) == pytest.approx(evidence.comparison["regret_nats"])
    alone = [row for row in evidence.comparison["tried"] if row["chosen"]]
    assert regret_fact(replace(evidence, comparison={"tried": alone}))[0] == "Not tried yet"


def test_the_experts_of_a_seed_are_one_branch(evidence: SplitEvidence) -> None:
    assert evidence.tree is not None
    nodes = merged(evidence.tree["nodes"])
    experts = [node for node in nodes if node["train_on"] != "all"]
    assert len(experts) == 5 and all(node["experts"] == 4 and node["seconds"] == 120.0 for node in experts)
    (panel,) = tree_panels(evidence)
    notes = [note["text"] for note in panel.figure["layout"]["annotations"]]
    assert "4 × 60B" in notes and sum("×" in text for text in notes) == 5


def test_a_continued_expert_stays_on_its_branch() -> None:
    def node(key: str, parent: str | None, domain: str, start: int, end: int, order: int = 0) -> dict[str, Any]:
        label = f"m-d0-{domain}-s{order}"
        return {"key": key, "parent": parent, "label": label, "train_on": domain, "start_tokens": start,
                "end_tokens": end, "seed_tokens": 0, "params": 9, "runs": [key]}  # fmt: skip

    nodes = [node("a", None, "x", 0, 5), node("b", "a", "x", 5, 9), node("c", None, "y", 0, 5),
             node("d", "c", "y", 5, 9), node("e", None, "x", 0, 5, 1), node("f", None, "y", 0, 5, 1)]  # fmt: skip
    found = {one["key"]: one for one in merged(nodes)}
    assert set(found) == {"a", "b", "e"}  # another order of the text is another branch
    assert found["b"]["parent"] == "a" and found["a"]["runs"] == ["a", "c"]


def test_a_ledger_without_mean_rows_has_no_points(evidence: SplitEvidence) -> None:
    assert evidence.ledger is not None
    none = replace(evidence, ledger=evidence.ledger[evidence.ledger["eval_on"] != "mean"], plan=None)
    assert none.points.empty and isinstance(none.points, pd.DataFrame)
    assert budget_panels(none) == []


def test_facts_are_drawn_at_equal_totals_where_any_were_asked(evidence: SplitEvidence) -> None:
    assert evidence.ledger is not None
    assert recall_panels(evidence) == [] and "by heart" not in render_split(evidence)
    means = evidence.ledger[evidence.ledger["eval_on"] == "mean"]
    share = (means["seed_tokens"] / (means["seed_tokens"] + 4 * means["tokens"])).to_numpy(float)
    asked = means.assign(eval_on="facts/mean", accuracy=0.6 - (share - 0.5) ** 2, chance=0.0)
    told = replace(evidence, ledger=pd.concat([evidence.ledger, asked]))
    small, large = recall_panels(told)
    assert small.heading == "350M parameters" and "60\u00a0% at 50\u00a0% of 120B" in small.label
    assert len([trace for trace in large.figure["data"] if trace["mode"] == "markers"]) == 3
    for trace in large.figure["data"]:
        for at, value in zip(trace["x"], trace["y"], strict=True):
            assert value == pytest.approx(0.6 - (at - 0.5) ** 2)
    assert "What is known by heart" in render_split(told)
