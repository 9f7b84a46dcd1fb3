"""A split study from text to specialists, small enough for a test; what it decides is not its business here."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from speciate.errors import NotDecidable, UserError
from speciate.planning.split.plan import plan_split
from speciate.runs.ledger import read_ledger
from speciate.runs.tree import RunTree, build_tree
from speciate.study.layout import Layout
from speciate.study.outcome import compare_study
from speciate.study.split import decide
from speciate.study.stages import SPLIT_STAGES, StudyResult, run_study

torch: Any = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("plotly", reason="the report needs the [report] extra")

K, TOTAL = 3, 46_080


def quiet() -> Console:
    return Console(stderr=True, quiet=True)


def choosing(choice: str | None, seed_tokens: float) -> Any:
    """``plan_split`` with another answer: too few rows decide nothing, and a test must not hang on luck."""

    def decide(table: pd.DataFrame, **asked: Any) -> Any:
        found = plan_split(table, **asked)
        return replace(found, choice=choice, seed_tokens=seed_tokens, expert_tokens=(TOTAL - seed_tokens) / K)

    return decide


@pytest.fixture(scope="module")
def finished(split_study: Path) -> Iterator[tuple[Layout, StudyResult]]:
    """The study carried out once, its plan being to split after about 40 % of the tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "plan_split", choosing("split", 18_000.0))
        yield Layout(split_study.parent), run_study(split_study, [], None, False, quiet())


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def copied(layout: Layout, folder: Path) -> Path:
    copy = folder / "copy"
    shutil.copytree(layout.root, copy)
    return copy / "study.yaml"


def test_the_whole_job_leaves_its_files(finished: tuple[Layout, StudyResult]) -> None:
    layout, result = finished
    assert result.exit_code == 0, result.status
    told = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert set(told["files"]) == {"ledger", "plan", "comparison", "specialists", "routing", "report"}
    assert len(read_ledger(layout.fits / "rows.parquet")) == len(read(layout.plan)["fitted_row_digests"])
    assert {"split-2608.json", "rivals.json"} <= {path.name for path in layout.fits.iterdir()}


def test_the_ledger_holds_seeds_experts_and_their_means(finished: tuple[Layout, StudyResult]) -> None:
    ledger = read_ledger(finished[0].ledger)
    keys = ["run", "seed_tokens", "tokens", "eval_on"]
    assert not ledger.duplicated(keys).any()
    seeds = ledger[ledger["train_on"] == "all"]
    assert (seeds["tokens"] == 0).all() and set(seeds["run"]) == {"a-t0"}
    assert set(seeds["eval_on"]) == {"birds", "code", "law", "mean"}
    experts = ledger[ledger["train_on"].isin(["birds", "code", "law"])]
    assert (experts["train_on"] == experts["eval_on"]).all(), "an expert is measured on its own domain only"
    assert (ledger["trunk"] == "a-t0").all()
    means = ledger[ledger["train_on"] == f"all/{K}"]
    assert set(means["run"]) == {"a-d0-s0", "a-d6144-s0", "a-d12288-s0", "a-d12288-s1", "a-d18432-s0", "a-d24576-s0"}
    for _, row in means.iterrows():
        own = experts[experts["run"].str.replace(r"-(birds|code|law)-", "-", regex=True) == row["run"]]
        own = own[own["tokens"] == row["tokens"]]
        assert len(own) == K and row["loss"] == pytest.approx(own["loss"].mean()), "weights are equal here"


def test_the_plan_was_sealed_on_pilots_alone_and_every_option_spends_as_much(
    finished: tuple[Layout, StudyResult],
) -> None:
    plan = read(finished[0].plan)
    assert [option["share"] for option in plan["options"]] == [0.4, 0, 1]
    assert {option["seed_tokens"] + K * option["expert_tokens"] for option in plan["options"]} == {TOTAL}
    assert [option["chosen"] for option in plan["options"]] == [True, False, False]
    names = ["a seed of 18.4k tokens", "split from the start", "unsplit"]
    assert [one["option"] for one in plan["predictions"]] == names
    rows = read_ledger(finished[0].ledger)
    seed = rows[(rows["run"] == "a-t0") & (rows["eval_on"] == "mean")].iloc[-1]
    assert plan["decision"]["flops"] == pytest.approx(seed["flops"] / seed["seed_tokens"] * TOTAL)
    for one in plan["predictions"]:
        assert one["low"] < one["value"] < one["high"] and one["eval_on"] == "mean"
    ledger = read_ledger(finished[0].ledger)
    seen = ledger[(ledger["eval_on"] == "mean") & ~ledger["run"].isin(["a-d0-s0", "a-d18432-s0"])]
    seen = seen[(seen["seed_tokens"] + K * seen["tokens"] >= 15_360) & (seen["seed_tokens"] <= 30_720)]
    seen = seen[~((seen["run"] == "a-t0") & (seen["seed_tokens"] == 18_432))]
    assert len(plan["fitted_row_digests"]) == len(seen), "all but the trunk's length at the planned seed"


def test_what_came_out_is_held_against_the_options(finished: tuple[Layout, StudyResult]) -> None:
    layout, result = finished
    comparison = read(layout.comparison)
    assert comparison == result.comparison == compare_study(layout.root)
    ledger = read_ledger(layout.ledger).set_index(["run", "seed_tokens", "tokens", "eval_on"])["loss"]
    measured = [
        ledger["a-d18432-s0", 18_432, 9216, "mean"],
        ledger["a-d0-s0", 0, 15_360, "mean"],
        ledger["a-t0", TOTAL, 0, "mean"],
    ]
    assert [one["measured"] for one in comparison["tried"]] == measured
    assert comparison["regret_nats"] == measured[0] - min(measured)
    assert comparison["kind"] == "split" and comparison["regret"][0]["options"] >= 3


def test_the_specialists_are_the_planned_experts(finished: tuple[Layout, StudyResult]) -> None:
    from transformers import AutoModelForCausalLM

    from speciate.specialists.experts import Specialists

    layout, _ = finished
    routing = read(layout.routing)
    assert routing["option"]["seed_tokens"] == 18_432 and routing["prefix_tokens"] == 8
    assert {one["domain"] for one in routing["domains"]} == {"birds", "code", "law"}
    assert routing["routed_over_oracle"] == pytest.approx(routing["routed"] / routing["oracle"])
    assert sum(one["share_of_texts"] for one in routing["domains"]) == pytest.approx(1)
    specialists = Specialists.load(layout.specialists)
    assert specialists.names == ("birds", "code", "law")
    assert specialists.about["seal of the plan"] == read(layout.plan)["seal"]
    base = AutoModelForCausalLM.from_pretrained(layout.specialists / "base", local_files_only=True)
    assert sum(p.numel() for p in base.parameters()) > 2608


def test_relaunching_trains_nothing_and_keeps_the_seal(
    finished: tuple[Layout, StudyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, first = finished
    files = (layout.plan, layout.specialists / "specialists.json", layout.routing)
    before = [path.stat().st_mtime_ns for path in files]

    def no_worker(*args: object, **kwargs: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(subprocess, "Popen", no_worker)
    again = run_study(layout.root / "study.yaml", [], None, False, quiet())
    after = [path.stat().st_mtime_ns for path in files]
    assert (after, again.comparison) == (before, first.comparison)


def test_a_deleted_seed_of_the_plan_is_trained_again_and_the_plan_stays(
    finished: tuple[Layout, StudyResult], tmp_path: Path
) -> None:
    study = copied(finished[0], tmp_path)
    layout, before = Layout(study.parent), read_ledger(finished[0].ledger)
    seal = read(layout.plan)["seal"]
    (seed,) = [node for node in read(layout.nodes)["nodes"] if node["end_tokens"] == 18_432 and not node["phase_index"]]
    shutil.rmtree(layout.runs / seed["key"])
    assert run_study(study, [], None, False, quiet()).exit_code == 0
    assert read(layout.plan)["seal"] == seal
    pd.testing.assert_frame_equal(read_ledger(layout.ledger), before)


@pytest.mark.parametrize("how", ["an expert", "the manifest", "routing.json"])
def test_specialists_that_are_half_gone_are_made_again(
    finished: tuple[Layout, StudyResult], tmp_path: Path, how: str
) -> None:
    study = copied(finished[0], tmp_path)
    layout, whole = Layout(study.parent), finished[0]
    if how == "an expert":
        shutil.rmtree(layout.specialists / "experts" / "law")
    elif how == "routing.json":
        layout.routing.write_text(layout.routing.read_text(encoding="utf-8")[:50], encoding="utf-8")
    else:
        (layout.specialists / "specialists.json").unlink()
        (layout.root / ".specialists.k1lled").mkdir()
    assert run_study(study, [], None, False, quiet()).exit_code == 0
    assert read(layout.specialists / "specialists.json") == read(whole.specialists / "specialists.json")
    assert read(layout.routing) == read(whole.routing)
    assert (layout.specialists / "experts" / "law" / "model.safetensors").exists()
    assert not list(layout.root.glob(".specialists.*"))


@pytest.mark.parametrize("what", ["a file within", "a file in its place"])
def test_what_is_not_a_studys_is_not_removed(finished: tuple[Layout, StudyResult], tmp_path: Path, what: str) -> None:
    study = copied(finished[0], tmp_path)
    folder = Layout(study.parent).specialists
    shutil.rmtree(folder)
    if what == "a file within":
        folder.mkdir()
    mine = folder / "mine.txt" if what == "a file within" else folder
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="move it away"):
        run_study(study, [], None, False, quiet())
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("why", ["undecided", "not decidable"])
def test_a_plan_that_cannot_decide_exits_3_and_carries_nothing_out(
    finished: tuple[Layout, StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def refuse(table: pd.DataFrame, **asked: Any) -> Any:
        raise NotDecidable("the rows say nothing", "add rows")

    monkeypatch.setattr(decide, "plan_split", choosing(None, 20_000.0) if why == "undecided" else refuse)
    study = copied(finished[0], tmp_path)
    result = run_study(study, ["plan.level=0.8"], None, False, quiet())
    assert result.exit_code == 3 and result.status.startswith("Choice: none yet")
    plan = read(study.parent / "plan.json")
    assert plan["options"] == plan["predictions"] == [] and not plan["decision"]["decided"]
    assert plan["explanation"][-1 if why == "not decidable" else 4].startswith("Next: ")
    assert not (study.parent / "comparison.json").exists()
    old = read(finished[0].plan)
    assert read(study.parent / f"plan-{old['seal'][:8]}.json") == old, "what was sealed before stays on record"


def test_where_the_laws_error_beyond_its_rows_leaves_the_doubt_longer_pilots_are_asked_for(
    finished: tuple[Layout, StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubtful(table: pd.DataFrame, **asked: Any) -> Any:
        return choosing(None if "beyond" in asked else "split", 18_000.0)(table, **asked)

    monkeypatch.setattr(decide, "plan_split", doubtful)
    study = copied(finished[0], tmp_path)
    assert run_study(study, ["plan.level=0.8"], None, False, quiet()).exit_code == 3
    plan = read(study.parent / "plan.json")
    told = plan["explanation"]
    assert told[3].startswith("What would change it: pilots nearer to the total")
    assert plan["decision"]["remedy"]["text"] in told[3] and not plan["decision"]["remedy"]["settles"]
    assert "nearer to the total" in (study.parent / "report.html").read_text(encoding="utf-8")
    assert told[4] == "Next: speciate run study.yaml 'plan.level=0.8' 'split.budgets=[15360, 30720, 36864]'"


def test_where_the_plan_is_never_to_split_the_best_split_is_kept_all_the_same(
    finished: tuple[Layout, StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "plan_split", choosing("never split", TOTAL))
    study = copied(finished[0], tmp_path)
    result = run_study(study, ["plan.level=0.8"], None, False, quiet())
    assert result.exit_code == 0
    plan = read(study.parent / "plan.json")
    assert [(one["share"], one["chosen"]) for one in plan["options"]] == [(1, True), (0, False)]
    assert read(study.parent / "routing.json")["option"]["seed_tokens"] == 0


def test_an_expert_equals_the_same_training_done_alone(finished: tuple[Layout, StudyResult], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from speciate.corpus.tokens.shards import Corpus
    from speciate.study.worker import node_stream
    from speciate.training.checkpoint import read_checkpoint
    from speciate.training.node import train_node

    layout, _ = finished
    tree = RunTree.from_json(read(layout.nodes))
    name = next(name for name in tree.runs if name.startswith("a-d12288-code-s0@"))
    *_, last = tree.path(name)
    alone = build_tree([replace(last.spec, name="alone")])
    assert len(alone.nodes) < len(tree.path(name)), "alone the trunk is one piece"
    corpus = Corpus.open(layout.corpus)
    for node in alone.nodes:
        train_node(node, node_stream(node, corpus), tmp_path, measure=lambda model, tokens: [], eval_tokens=[])
    one = read_checkpoint(layout.runs / last.key)
    other = read_checkpoint(tmp_path / alone.nodes[-1].key)
    for name in ("model.safetensors", "optimizer.safetensors"):
        first, second = (load_file(point.folder / name) for point in (one, other))
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_killed_and_relaunched_the_ledger_is_the_same(finished: tuple[Layout, StudyResult], tmp_path: Path) -> None:
    layout, _ = finished
    study = tmp_path / "study.yaml"
    shutil.copy(layout.root / "study.yaml", study)
    for name in ("birds", "code", "law", "corpus", "router"):
        shutil.copytree(layout.root / name, tmp_path / name)
    for name in ("text.json", "held_out.jsonl"):
        shutil.copy(layout.root / name, tmp_path / name)
    command = [sys.executable, "-m", "speciate", "run", str(study), "--until", "pilot"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ.copy())
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "runs").glob("*/DONE"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    done = len(list((tmp_path / "runs").glob("*/DONE")))
    assert 3 <= done < 15, "killed in the middle"
    assert run_study(study, [], "pilot", False, quiet()).exit_code == 0
    rows, whole = read_ledger(tmp_path / "ledger.parquet"), read_ledger(layout.ledger)
    keys = ["run", "seed_tokens", "tokens", "eval_on"]
    both = rows.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(rows) and (both["loss"] == both["loss_whole"]).all()


def test_stages_and_dry_run(finished: tuple[Layout, StudyResult], monkeypatch: pytest.MonkeyPatch) -> None:
    from speciate.study import dryrun

    layout, _ = finished
    study = layout.root / "study.yaml"
    with pytest.raises(UserError, match=", ".join(SPLIT_STAGES)):
        run_study(study, [], "pilots", False, quiet())
    monkeypatch.setattr(dryrun, "measured_speeds", lambda config, nodes: {2608: 1e4})
    shown = Console(record=True, width=150, file=io.StringIO())
    result = run_study(study, [], None, True, shown)
    text = shown.export_text()
    assert "all domains, to 6,144: done" in text and "birds" in text and result.status.startswith("0 of 28 nodes")


def test_a_sealed_plan_that_was_not_carried_out_hides_no_longer_pilot(split_study: Path, tmp_path: Path) -> None:
    shutil.copytree(split_study.parent, tmp_path / "copy", ignore=lambda *_: {"runs", "plan.json"})
    study = tmp_path / "copy" / "study.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "plan_split", choosing("split", 18_000.0))
        run_study(study, [], "plan", False, quiet())
    longer = ["split.budgets=[15360,61440]", "plan.total_tokens=92160"]
    run_study(study, longer, "pilot", False, quiet())
    ledger = read_ledger(tmp_path / "copy" / "ledger.parquet")
    trunk = ledger[(ledger["run"] == "a-t0") & (ledger["eval_on"] == "mean")]
    assert trunk["seed_tokens"].max() == 61_440, "the sealed plan would have ended its unsplit run at 46,080"
