"""The figures: what is measured, what is drawn, and where."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.report.axes import is_wide, log_ticks, nice_ticks, spread
from speciate.report.critical_figure import critical_panels
from speciate.report.evidence import Evidence, changes, read_evidence
from speciate.report.loss_figure import loss_panels
from speciate.report.palette import GROUND, RATIO_STOPS_DARK, RATIO_STOPS_LIGHT, ratio_colours
from speciate.report.prediction_figure import prediction_panels
from speciate.report.tree_figure import lay_out, node_ratios, tree_panels


@pytest.fixture(scope="module")
def evidence(study: Path) -> Evidence:
    return read_evidence(study)


def test_changes_are_against_the_starting_model_of_the_same_run(evidence: Evidence) -> None:
    rows = changes(evidence, "general")
    assert (rows["tokens"] > 0).all()
    assert len(rows["run"].unique()) == 10  # the first stage is not part of it
    row = rows[(rows["run"] == "36224-0.6-s0") & (rows["tokens"] == 2_400_000)]
    assert row["change"].iloc[0] == pytest.approx(0.139, abs=0.01)


def test_a_run_without_a_start_has_no_change(evidence: Evidence) -> None:
    assert evidence.ledger is not None
    later = evidence.ledger[evidence.ledger["tokens"] > 0]
    assert changes(replace(evidence, ledger=later), "general").empty
    of_trunk = evidence.ledger[(evidence.ledger["tokens"] > 0) | (evidence.ledger["domain_ratio"] == 0.1)]
    runs = set(changes(replace(evidence, ledger=of_trunk), "general")["run"])
    assert "36224-0.6-s0" in runs and "36224-0.25-s1" not in runs  # the trunk's start counts, another seed's does not


def test_fitted_losses_are_drawn_as_changes(evidence: Evidence) -> None:
    panel = loss_panels(evidence, "general")[0]
    lines = [trace for trace in panel.figure["data"] if trace["mode"] == "lines" and "text" in trace]
    assert len(lines) == 4
    assert "+.139 nats" in lines[-1]["text"][-1]
    assert "60\N{NO-BREAK SPACE}% +.139" in panel.label


def test_turning_points_are_ringed_and_outcomes_hollow(evidence: Evidence) -> None:
    marks = [trace["marker"] for trace in loss_panels(evidence, "general")[0].figure["data"] if "marker" in trace]
    assert sum(marker["symbol"] == "circle-open" for marker in marks) == 3  # 60 % does not turn down in view
    assert sum(marker["color"] == GROUND[0] for marker in marks) == 3  # the three ratios carried to the horizon


def test_panels_without_curves_show_measurements_only(evidence: Evidence) -> None:
    bare = replace(evidence, plan={"general": "general", "domain": "code_python"}, comparison=None)
    assert len(loss_panels(bare, "domain")) == 2
    assert critical_panels(bare) == [] and prediction_panels(bare) == []


def test_predictions_say_inside_or_outside_in_words(evidence: Evidence) -> None:
    panels = prediction_panels(evidence)
    assert [panel.heading for panel in panels] == ["General loss", "Domain loss"]
    said = [note["text"] for panel in panels for note in panel.figure["layout"]["annotations"]]
    assert sum("inside" in text for text in said) == 20 and sum("outside" in text for text in said) == 4


def test_a_prediction_without_an_interval_is_drawn(evidence: Evidence) -> None:
    row = {"params": 36_224, "domain_ratio": 0.4, "tokens": 1e6, "eval_on": "general", "predicted": 3.0, "low": None,
           "high": None, "measured": 3.01, "inside": None}  # fmt: skip
    (panel,) = prediction_panels(replace(evidence, comparison={"rows": [row]}))
    assert panel.figure["layout"]["annotations"][0]["text"] == "no interval"


def test_the_tree_takes_a_lane_for_each_leaf(evidence: Evidence) -> None:
    assert evidence.tree is not None
    nodes = evidence.tree["nodes"]
    places = lay_out(nodes, node_ratios(evidence))
    assert places["trunk 36224 seed 0"].lanes == 4 and places["trunk 36224 seed 1"].lanes == 1
    assert places["36224-0.6-s0 horizon"].end == 4_400_000
    lanes = [place.first_lane for key, place in places.items() if key.endswith("horizon")]
    assert len(set(lanes)) == len(lanes)
    ratios = node_ratios(evidence)
    assert ratios["36224-0.6-s0 pilot"] == 0.6
    unsaid = [node | {"domain_ratio": None} for node in nodes]
    assert node_ratios(replace(evidence, tree={"nodes": unsaid})) == ratios  # the ledger knows its runs
    assert not any(key.startswith("trunk") for key in ratios)
    assert len(tree_panels(evidence)[0].figure["data"]) == len(nodes)


def test_names_in_figures_are_escaped(evidence: Evidence) -> None:
    assert evidence.tree is not None and evidence.ledger is not None
    nodes = [node | {"label": "<b>x</b>"} for node in evidence.tree["nodes"]]
    (panel,) = tree_panels(replace(evidence, tree={"nodes": nodes}))
    assert all("&lt;b&gt;x" in trace["text"] for trace in panel.figure["data"])
    ledger = evidence.ledger.assign(run="<i>" + evidence.ledger["run"])
    drawn = str(loss_panels(replace(evidence, ledger=ledger), "general")[0].figure)
    assert "&lt;i&gt;" in drawn and "<i>" not in drawn


def test_ratio_colours_are_readable_and_distinct() -> None:
    for stops, ground in ((RATIO_STOPS_LIGHT, GROUND[0]), (RATIO_STOPS_DARK, GROUND[1])):
        assert min(contrast(stop, ground) for stop in stops) >= 4.5
    for count in (1, 2, 4, 7, 9):
        assert len(set(ratio_colours(count))) == count
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for pair in ratio_colours(count) for colour in pair)
    assert ratio_colours(0) == []


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours."""
    channels = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in (one, other)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((high + 0.05) / (low + 0.05))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.floats(0.01, 0.5))
def test_labels_keep_their_distance_and_order(values: list[float], gap: float) -> None:
    places = spread(values, gap)
    order = sorted(range(len(values)), key=lambda i: values[i])
    apart = np.diff([places[i] for i in order])
    assert (apart >= gap - 1e-9).all()
    assert abs(np.mean(places) - np.mean(values)) < 1e-9


@given(st.floats(-10, 10), st.floats(1e-4, 100), st.integers(3, 8))
def test_ticks_lie_within_and_are_few(low: float, width: float, most: int) -> None:
    ticks = nice_ticks(low, low + width, most)
    assert 1 <= len(ticks) <= most + 1
    assert min(ticks) >= low - 1e-6 and max(ticks) <= low + width + 1e-6


def test_log_ticks_and_when_to_use_them() -> None:
    assert log_ticks(1e6, 2e10) == [1e6, 1e7, 1e8, 1e9, 1e10]
    assert is_wide([2e4, 2.4e6]) and not is_wide([1e6, 2e6]) and not is_wide([0.0])
