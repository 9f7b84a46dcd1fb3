"""What a stage took corrects what the next one is expected to take; no model is trained here."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from speciate.errors import UserError
from speciate.runs.actuals import Actual, append_actuals, correction, read_actuals
from speciate.runs.cost import FASTEST, SLOWEST
from speciate.runs.tree import Node, RunTree, build_tree
from speciate.storage import canonical_json
from speciate.study import dryrun, timing, train
from speciate.study.config import StudyConfig
from speciate.study.layout import Layout
from speciate.study.specs import node_measured_tokens, pilot_runs

SPEED = 1000.0  # tokens per second of one process


@pytest.fixture
def config() -> StudyConfig:
    return StudyConfig()


@pytest.fixture
def tree(config: StudyConfig) -> RunTree:
    return build_tree([run.spec for run in pilot_runs(config, "", 1024)])


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Models whose speed was measured, call by call; every speed is SPEED."""
    found: list[int] = []

    def measured(specs: list[Any], processes: int, threads: int) -> dict[int, float]:
        assert all(spec.model.init_from is None for spec in specs)
        found.extend(spec.model.params for spec in specs)
        return {spec.model.params: SPEED for spec in specs}

    monkeypatch.setattr(timing, "tokens_per_second", measured)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    return found


def finish(layout: Layout, node: Node, seconds: float) -> None:
    folder = layout.runs / node.key
    folder.mkdir(parents=True)
    told = {"key": node.key, "seconds": seconds, "tokens": node.tokens, "tokens_per_second": 1.0, "eval_hash": "text"}
    (folder / "DONE").write_text(canonical_json(told), encoding="utf-8")


def test_the_first_launch_has_the_assumed_range(config: StudyConfig, tree: RunTree, layout: Layout) -> None:
    found = timing.expect(config, layout, tree, "pilots")
    assert found is not None and found.correction is None
    assert found.start == 0  # measuring took no longer than the steps it counts
    low, expected, high = found.seconds
    assert (low, high) == (FASTEST * expected, SLOWEST * expected)
    assert found.nodes.keys() == {node.key for node in tree.nodes}
    node = tree.nodes[0]
    held_out = config.evaluation.tokens_per_set * len(config.corpus.sources) / 3
    same = [n for n in tree.nodes if n.spec.model.params == node.spec.model.params]
    share = sum(len(node_measured_tokens(config, n)) for n in same) * held_out / sum(n.tokens for n in same)
    assert found.nodes[node.key] == pytest.approx(node.tokens * (1 + share) / SPEED)
    assert "of training expected" in found.told()


def test_what_was_trained_is_logged_and_corrects_the_next_launch(
    config: StudyConfig, tree: RunTree, layout: Layout
) -> None:
    first = timing.expect(config, layout, tree, "pilots")
    assert first is not None
    trunk, twig = tree.nodes[0], tree.nodes[1]
    for node in (trunk, twig):
        finish(layout, node, 2 * first.nodes[node.key])
    timing.record(config, layout, tree, first, "text")
    logged = read_actuals(layout.actuals)
    assert [run.name for run in logged] == [trunk.key, twig.key]
    assert all(run.actual_seconds == pytest.approx(2 * run.estimated_seconds) for run in logged)
    assert len({run.launch for run in logged}) == 1 and logged[0].launch.startswith("pilots ")
    second = timing.expect(config, layout, tree, "pilots")
    assert second is not None and second.correction is not None
    assert second.nodes.keys() == {node.key for node in tree.nodes} - {trunk.key, twig.key}
    learned = correction(logged)
    assert learned is not None and 1.8 < learned.factor < 2
    assert second.seconds[1] / second.seconds[0] == pytest.approx(learned.factor / learned.low)
    assert "corrected by" in second.told()
    # What is logged is the ratio to the estimate without a correction, else corrections would undo each other.
    left = next(key for key in second.nodes)
    assert second.nodes[left] == pytest.approx(first.nodes[left])


def test_nodes_that_did_not_finish_or_were_measured_on_other_text_are_not_logged(
    config: StudyConfig, tree: RunTree, layout: Layout
) -> None:
    expected = timing.expect(config, layout, tree, "pilots")
    assert expected is not None
    timing.record(config, layout, tree, expected, "text")
    finish(layout, tree.nodes[0], 100.0)
    finish(layout, tree.nodes[1], 0.0)  # a clock that was set back
    timing.record(config, layout, tree, expected, "another text")
    assert not layout.actuals.exists()
    timing.record(config, layout, tree, expected, "text")
    assert [run.name for run in read_actuals(layout.actuals)] == [tree.nodes[0].key]


def test_little_work_is_not_worth_measuring(
    config: StudyConfig, tree: RunTree, layout: Layout, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "WORTH_MEASURING", math.inf)
    assert timing.expect(config, layout, tree, "pilots") is None
    assert asked == []


def test_the_start_of_the_workers_is_expected_but_not_corrected(
    config: StudyConfig, tree: RunTree, layout: Layout, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 200.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    append_actuals(layout.actuals, [Actual("node", "pilots", "here", "a", 100.0, 300.0)])
    found = timing.expect(config, layout, tree, "pilots")
    assert found is not None and found.correction is not None
    assert found.start == 100 - 1.5 * len(asked)
    low, expected, high = (seconds - found.start for seconds in found.seconds)
    assert expected / low == pytest.approx(found.correction.factor / found.correction.low)
    assert high / expected == pytest.approx(found.correction.high / found.correction.factor)


def test_only_sizes_that_are_left_are_measured(
    config: StudyConfig, tree: RunTree, layout: Layout, asked: list[int]
) -> None:
    sizes = sorted({node.spec.model.params for node in tree.nodes})
    assert len(sizes) > 1
    for node in tree.nodes:
        if node.spec.model.params != sizes[-1]:
            finish(layout, node, 1.0)
    assert timing.expect(config, layout, tree, "pilots") is not None
    assert asked == [sizes[-1]]


def test_more_processes_than_cores_share_them(
    config: StudyConfig, tree: RunTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    found = timing.measured_speeds(config, tree.nodes)
    assert set(found.values()) == {SPEED / min(config.compute.processes, len(tree.nodes))}


def test_training_writes_what_it_took_even_when_it_is_interrupted(
    config: StudyConfig, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = pytest.importorskip("speciate.training.executor", reason="training needs the [train] extra")

    def interrupted(tree: RunTree, *args: object, **options: object) -> None:
        finish(layout, tree.nodes[0], 500.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "run_nodes", interrupted)
    monkeypatch.setattr(train, "study_eval_hash", lambda config, corpus: "text")
    corpus: Any = SimpleNamespace(digest="", vocab_size=1024)
    with pytest.raises(KeyboardInterrupt):
        train.train_pilots(config, layout, corpus, Console(quiet=True))
    logged = read_actuals(layout.actuals)
    assert [run.actual_seconds for run in logged] == [500.0]


def test_a_damaged_log_is_told_before_anything_is_trained(
    config: StudyConfig, tree: RunTree, layout: Layout, asked: list[int]
) -> None:
    layout.actuals.write_text("{\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1: is no JSON"):
        timing.expect(config, layout, tree, "pilots")
    assert asked == []


def test_a_dry_run_uses_the_log(config: StudyConfig, layout: Layout) -> None:
    console = Console(quiet=True)
    before = dryrun.dry_run_study(config, layout, console)
    assert "corrected" not in before
    append_actuals(layout.actuals, [Actual("node", "pilots", "here", "a", 100.0, 300.0)])
    after = dryrun.dry_run_study(config, layout, console)
    assert "corrected by 2.8" in after and "from what 1 run in 1 launch took" in after
    assert before.split(", about ")[0] == after.split(", about ")[0] and before not in after
