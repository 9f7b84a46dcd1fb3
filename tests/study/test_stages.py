from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from speciate.errors import UserError
from speciate.runs.ledger import read_ledger
from speciate.study.layout import Layout
from speciate.study.stages import STAGES, StudyResult, run_study

pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("plotly", reason="the report needs the [report] extra")


def quiet() -> Console:
    return Console(stderr=True, quiet=True)


@pytest.fixture(scope="module")
def finished(study: Path) -> tuple[Path, StudyResult]:
    """The tiny study carried out once, from text to report."""
    return study, run_study(study, [], None, False, quiet())


def test_the_whole_job_leaves_its_files_and_decides(finished: tuple[Path, StudyResult]) -> None:
    path, result = finished
    assert result.exit_code == 0, result.status
    layout = Layout(path.parent)
    for file in (layout.ledger, layout.plan, layout.comparison, layout.report, layout.tree, layout.cost, layout.config):
        assert file.is_file(), file
    json.dumps(result.to_json(), allow_nan=False)
    assert set(result.to_json()["files"]) == {"ledger", "plan", "comparison", "report"}


def test_the_plan_was_sealed_on_pilots_alone_and_then_carried_out(finished: tuple[Path, StudyResult]) -> None:
    layout = Layout(finished[0].parent)
    plan = json.loads(layout.plan.read_text(encoding="utf-8"))
    ledger = read_ledger(layout.ledger)
    continued = ledger[ledger["train_on"] != "general"]
    longest = continued.groupby("run")["tokens"].max()
    assert (longest == 24576).sum() == 1 + 2, "the planned ratio and a neighbour on either side reach the horizon"
    assert (longest == 20480).sum() == 6 - 2
    assert {row["tokens"] for row in plan["predictions"]} == {24576.0}
    pilots = ledger[(ledger["tokens"] <= 20480) | (ledger["train_on"] == "general")]
    planned = pilots["domain_ratio"].sub(plan["planned_ratio"]).abs() < 1e-9
    assert len(plan["fitted_row_digests"]) == len(pilots[~planned]), "no row of a final run was seen"


def test_every_run_starts_from_its_trunk_and_rows_are_measured_once(finished: tuple[Path, StudyResult]) -> None:
    ledger = read_ledger(Layout(finished[0].parent).ledger)
    assert not ledger.duplicated(["run", "tokens", "eval_on"]).any()
    starts = ledger[(ledger["tokens"] == 0) & (ledger["eval_on"] == "general")]
    assert starts["loss"].nunique() == 1
    trunk = ledger[(ledger["train_on"] == "general") & (ledger["eval_on"] == "general")]
    assert trunk["loss"].iloc[trunk["tokens"].argmax()] == starts["loss"].iloc[0]
    assert set(ledger["eval_on"]) == {"general", "prose", "code"}
    assert ledger["eval_hash"].nunique() == ledger["tokenizer"].nunique() == 1


def test_relaunching_trains_nothing_and_keeps_the_seal(
    finished: tuple[Path, StudyResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, first = finished
    before = Layout(path.parent).plan.read_bytes()

    def no_worker(*args: object, **kwargs: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(subprocess, "Popen", no_worker)
    again = run_study(path, [], None, False, quiet())
    assert Layout(path.parent).plan.read_bytes() == before
    assert again.comparison == first.comparison


def test_another_question_seals_another_plan_and_the_old_one_stays_on_record(
    finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].parent, copy)
    old = json.loads((copy / "plan.json").read_text(encoding="utf-8"))
    run_study(copy / "study.yaml", ["plan.tolerance=0.11"], "plan", False, quiet())
    new = json.loads((copy / "plan.json").read_text(encoding="utf-8"))
    assert new["seal"] != old["seal"]
    assert json.loads((copy / f"plan-{old['seal'][:8]}.json").read_text(encoding="utf-8")) == old


def test_not_decidable_is_exit_code_3_with_a_report_and_no_final_run(
    finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].parent, copy)
    result = run_study(copy / "study.yaml", ["pilot.ratios=[0.5, 0.8]"], None, False, quiet())
    assert result.exit_code == 3
    plan = json.loads((copy / "plan.json").read_text(encoding="utf-8"))
    assert plan["planned_ratio"] is None
    assert plan["explanation"][-1].startswith("Next: speciate run study.yaml 'pilot.ratios=[")
    done = json.loads((finished[0].parent / "plan.json").read_text(encoding="utf-8"))
    assert done["explanation"][-1] == "Next: carry the plan out and check it: speciate run STUDY.yaml --until compare"
    assert plan["predictions"] == []
    assert not (copy / "comparison.json").exists()
    assert "not decidable" in (copy / "report.html").read_text(encoding="utf-8").lower()


def test_an_altered_plan_is_refused(finished: tuple[Path, StudyResult], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].parent, copy)
    plan = json.loads((copy / "plan.json").read_text(encoding="utf-8"))
    plan["predictions"][0]["value"] += 0.1
    (copy / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(UserError, match="altered"):
        run_study(copy / "study.yaml", [], None, False, quiet())


def test_an_unknown_stage_names_the_known_ones(study: Path) -> None:
    with pytest.raises(UserError, match=" ".join([", ".join(STAGES)])):
        run_study(study, [], "pilots", False, quiet())


def test_a_flipped_byte_in_a_shard_is_found_before_anything_is_trained(
    finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].parent, copy)
    shard = next((copy / "corpus").glob("code.train*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UserError, match=shard.name):
        run_study(copy / "study.yaml", [], None, False, quiet())


def test_killed_at_any_moment_the_study_ends_with_the_same_losses(
    finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    source = finished[0].parent
    copy = tmp_path / "killed"
    copy.mkdir()
    shutil.copy(source / "study.yaml", copy)
    for domain in ("prose", "code"):
        shutil.copytree(source / domain, copy / domain)
    command = [sys.executable, "-m", "speciate", "run", str(copy / "study.yaml"), "--until", "pilot"]
    rng = random.Random(0)
    for signal_number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ.copy())
        deadline = time.monotonic() + 60
        while not list((copy / "runs").glob("*/spec.json")) and time.monotonic() < deadline:
            time.sleep(0.02)  # until a node has begun
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal_number)
        process.wait(60)
    assert subprocess.run(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120).returncode == 0
    rows = read_ledger(copy / "ledger.parquet")
    whole = read_ledger(source / "ledger.parquet")
    keys = ["run", "tokens", "eval_on"]
    pilots = (whole["tokens"] <= 20480) | (whole["train_on"] == "general")
    expected = whole[whole["run"].isin(set(rows["run"])) & pilots]
    pd.testing.assert_frame_equal(
        rows.sort_values(keys).reset_index(drop=True), expected.sort_values(keys).reset_index(drop=True)
    )


def test_longer_pilots_after_a_finished_plan_go_on_from_what_is_there_and_lose_no_row(
    finished: tuple[Path, StudyResult], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0].parent, copy)
    before = read_ledger(copy / "ledger.parquet")
    longer = ["pilot.tokens=24576", "plan.horizon_tokens=28672"]
    run_study(copy / "study.yaml", longer, "pilot", False, quiet())
    after = read_ledger(copy / "ledger.parquet")
    for run in ("a-r0.500-s0", "a-r0.800-s0", "a-r0.950-s0"):
        rows = after[(after["run"] == run) & (after["eval_on"] == "general")]
        assert rows["tokens"].min() == 0
        assert rows["tokens"].max() == 24576
        assert len(rows) >= len(before[(before["run"] == run) & (before["eval_on"] == "general")])
    trained = [json.loads(path.read_text(encoding="utf-8")) for path in (copy / "runs").glob("*/spec.json")]
    fresh = [node for node in trained if node["end_tokens"] == 24576 and node["phase_index"] == 1]
    starts = sorted(node["start_tokens"] for node in fresh)
    assert starts.count(0) == 1, "only the planned ratio ever trained to 24,576 in one piece"
    assert set(starts) == {0, 20480}


def test_under_cosine_a_plan_never_sees_the_runs_that_carry_it_out(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(study, copy)
    for domain in ("prose", "code"):
        shutil.copytree(study.parent / domain, copy / domain)
    small = ["training.schedule=cosine", "trunk.tokens=20480", "pilot.tokens=10240", "plan.horizon_tokens=15360"]
    first = run_study(copy / "study.yaml", small, None, False, quiet())
    seal = (copy / "plan.json").read_bytes()
    again = run_study(copy / "study.yaml", small, None, False, quiet())
    assert (copy / "plan.json").read_bytes() == seal
    assert first.comparison == again.comparison
