from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from speciate.cli.main import main


@dataclass(frozen=True)
class Result:
    exit_code: int

    def to_json(self) -> dict[str, Any]:
        return {"status": "as told", "missing": None}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the verbs hand on: the stages themselves are tested in tests/study."""
    found: list[tuple[Any, ...]] = []

    def run_study(path: Path, overrides: list[str], until: str | None, dry_run: bool, console: Any) -> Result:
        found.append(("run", path, overrides, until, dry_run, console.stderr))
        console.print("a log line")
        return Result(3 if until == "plan" else 0)

    def run_demo(minutes: float, out: Path | None, seed: int, console: Any) -> Result:
        found.append(("demo", minutes, out, seed, console.stderr))
        return Result(0)

    monkeypatch.setattr("speciate.study.stages.run_study", run_study)
    monkeypatch.setattr("speciate.study.demo.run_demo", run_demo)
    return found


def test_run_hands_its_words_on(calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "a/study.yaml", "plan.level=0.8", "pilot.ratios=[0.1, 0.2]", "--dry-run"]) == 0
    assert calls == [("run", Path("a/study.yaml"), ["plan.level=0.8", "pilot.ratios=[0.1, 0.2]"], None, True, False)]
    assert "a log line" in capsys.readouterr().out


def test_run_with_json_logs_on_stderr_and_passes_the_exit_code(
    calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "study.yaml", "--until", "plan", "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"status": "as told", "missing": None}
    assert "a log line" in printed.err
    assert calls[0][-1] is True


def test_demo_hands_its_words_on(calls: list[tuple[Any, ...]]) -> None:
    assert main(["demo"]) == 0
    assert main(["demo", "--minutes", "2.5", "--out", "x", "--seed", "3"]) == 0
    assert calls == [("demo", 8.0, None, 0, False), ("demo", 2.5, Path("x"), 3, False)]


def test_report_says_where_the_page_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("speciate.report.page.write_report", lambda directory: directory / "report.html")
    assert main(["report", str(tmp_path)]) == 2
    assert "no study in this folder" in capsys.readouterr().err
    (tmp_path / "resolved.yaml").write_text("name: x\n", encoding="utf-8")
    assert main(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(tmp_path / "report.html")
    assert main(["report", str(tmp_path)]) == 0
    assert "report.html" in capsys.readouterr().out


def test_reporting_on_nothing_is_the_users_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "absent")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_stage_and_a_missing_study_are_the_users_errors(tmp_path: Path) -> None:
    assert main(["run", str(tmp_path / "absent.yaml")]) == 2
    (tmp_path / "study.yaml").write_text("name: x\n", encoding="utf-8")
    assert main(["run", str(tmp_path / "study.yaml"), "--until", "nonsense"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"], "nothing half-written"
