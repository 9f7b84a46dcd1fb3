"""speciate import: the table is written, said where it came from, and can be fitted; nothing half-written otherwise."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from speciate.cli.main import main
from speciate.runs.table import read_table

SIZES, STEPS = (1e8, 2e8, 4e8, 1e9), (1000, 4000, 16000)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Trainer states that follow a known law, at 524,288 tokens a step, and a CSV of their sizes."""
    for size in SIZES:
        history = [
            {"step": step, "eval_c4_loss": 1.8 + 480 / size**0.35 + 2100 / (step * 524288) ** 0.37} for step in STEPS
        ]
        history.insert(0, {"step": 1, "eval_c4_loss": float("nan"), "loss": 9.0})
        folder = tmp_path / "runs" / f"r{size:.0e}" / "checkpoint-16000"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}), encoding="utf-8")
    rows = "".join(f"r{size:.0e},{size:.0f}\n" for size in SIZES)
    (tmp_path / "sizes.csv").write_text(f"run,size\n{rows}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_logs_become_a_table_that_can_be_fitted(name: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = runs / "new" / name
    words = ["import", str(runs / "runs"), str(runs / "sizes.csv"), "--out", str(out)]
    words += [
        "--columns",
        "params=size,loss@c4=eval_c4_loss",
        "--set",
        "tokens_per_step=524288",
        "--set",
        "train_on=web",
    ]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["runs"], found["table"]) == (12, 4, str(out))
    assert found["columns"]["loss@c4"] == "eval_c4_loss" and found["columns"]["tokens"] == "the step x 524288"
    assert found["diverged"] == {f"r{size:.0e}": 1 for size in SIZES} and found["unused"] == ["loss"]
    assert set(read_table(out)["params"]) == set(SIZES)
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "12 rows of 4 runs" in printed and "not finite: r1e+08 1" in printed and "from eval_c4_loss" in printed
    assert main(["fit", "chinchilla", str(out), "--bootstrap", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["alpha"]["value"] == pytest.approx(0.35, abs=1e-3)


def test_everything_that_is_wrong_at_once(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "import",
        str(runs / "absent"),
        "--out",
        str(runs / "table.txt"),
        "--columns",
        "parms=size,x",
        "--set",
        "seed",
    ]
    assert main([*words, "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [problem["where"] for problem in problems] == [
        "--columns", "--set", "--out", "--columns", str(runs / "absent")
    ]  # fmt: skip
    assert main([*words[:2], *words[2:]]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (runs / "table.txt").exists()


def test_metrics_are_listed_when_none_is_a_loss(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "x.csv").write_text("Name,n,my loss\na,1,2\n", encoding="utf-8")
    assert main(["import", str(runs / "x.csv"), "--out", str(runs / "t.csv"), "--json"]) == 2
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert "my loss" in problem["what"] and "loss@NAME=my loss" in problem["fix"]
    assert not (runs / "t.csv").exists()


def test_a_word_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["import"], ["import", "x.csv"], ["import", "x.csv", "--out", "t.csv", "--kind", "csv"]):
        assert main([*words, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["status"] == "usage error"


DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
BLOCKS = re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_worked_examples_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed, ran = "", 0
    for kind, name, text in BLOCKS:
        if kind == "bash" and "runs/" not in text:  # event files are no text to show
            assert main(shlex.split(text)[1:]) == 0, text
            printed, ran = capsys.readouterr().out, ran + 1
        elif kind == "text":
            assert printed == text
        elif name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    assert ran == 4
