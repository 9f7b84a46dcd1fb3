"""The verb, and docs/plan_accuracy.md. Run as a script (PYTHONPATH=src), this file writes the outputs there anew."""

from __future__ import annotations

import io
import json
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from speciate.cli.plan_accuracy import accuracy
from speciate.errors import UserError
from speciate.planning.seal import verify_seal

PAGE = Path(__file__).parents[2] / "docs" / "plan_accuracy.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)?")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def verb(*arguments: str) -> tuple[int, str]:
    """Exit code and stdout of plan accuracy."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(accuracy)
    said = io.StringIO()
    with redirect_stdout(said):
        code = typer.main.get_command(app).main(args=list(arguments), standalone_mode=False)
    return code, said.getvalue()


def run(block: str) -> list[str]:
    """The block's commands, each followed by what it prints now."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            code, said = verb(*shlex.split(line)[4:])
            assert code == 0, line
            found += [line, *said.rstrip("\n").split("\n")]
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_page_shows_what_is_printed() -> None:
    for block in blocks("console"):
        shown, now = block.splitlines(), run(block)
        assert [NUMBER.sub("#", line).split() for line in shown] == [NUMBER.sub("#", line).split() for line in now]
        for line, other in zip(shown, now, strict=True):
            assert numbers(line) == pytest.approx(numbers(other), rel=0.05), line
    truth = 0.25 + 0.75 * np.exp(-0.35 / 4**0.35 - 0.5 / 80**0.3)
    assert f"The truth there is {truth:.3f}." in TEXT


def numbers(line: str) -> list[float]:
    return [float(one.rstrip(".")) for one in NUMBER.findall(line)]


def test_json_and_seal(here: Path) -> None:
    code, said = verb("exam.csv", "--params", "4e9", "--tokens", "80e9", "--json", "--seal", "plan.json")
    found = json.loads(said)
    assert code == 0 and found["decided"] and found["low"] < found["accuracy"] < found["high"]
    sealed = json.loads((here / "plan.json").read_text(encoding="utf-8"))
    verify_seal(sealed)
    assert {**sealed["decision"], "cost": found["cost"]} == found and len(sealed["fitted_row_digests"]) == 20
    assert sealed["request"]["params"] == 4e9 and sealed["kind"] == "accuracy"


def test_what_is_not_decided_exits_with_3(here: Path) -> None:
    code, said = verb("exam.csv", "--params", "4e12", "--tokens", "8e13", "--json")
    found = json.loads(said)
    assert code == 3 and not found["decided"] and "times beyond the rows" in found["status"]


def test_a_table_without_chance_is_told_what_to_add(here: Path) -> None:
    pd.read_csv(here / "exam.csv").drop(columns="chance").rename(columns={"params": "N"}).to_csv("bad.csv", index=False)
    with pytest.raises(UserError, match="accuracy of guessing"):
        verb("bad.csv", "--columns", "params=N", "--params", "4e9", "--tokens", "8e10")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        exec(blocks("python")[0], {})
        anew = {block: "\n".join(run(block)) + "\n" for block in blocks("console")}
    for block, text in anew.items():
        TEXT = TEXT.replace(block, text)
    PAGE.write_text(TEXT, encoding="utf-8")
