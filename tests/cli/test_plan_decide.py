"""The verb plan decide and docs/plan_decide.md. Run as a script (PYTHONPATH=src), this file writes its outputs."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest
import typer

from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plan_decide import decide
from speciate.errors import UserError
from speciate.planning.decide.simulate import World, simulate
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

PAGE = Path(__file__).parents[2] / "docs" / "plan_decide.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])[+-]*\d[\d.]*(?:e[+-]?\d+)?")
CODES = [DONE, DONE, NOT_DECIDABLE]  # of the page's commands

app = typer.Typer()
app.command()(decide)


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = typer.main.get_command(app).main(list(arguments), "speciate plan decide", standalone_mode=False)
    return code, said.getvalue()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def made() -> list[tuple[int, str]]:
    """The page's tables, and what every command on it prints now, with its exit code."""
    names: dict[str, object] = {}
    for block in blocks("python")[:2]:
        exec(block, names)
    found = []
    for block in blocks("console"):
        line = block.splitlines()[0]
        code, said = called(*shlex.split(line.removeprefix("$ speciate plan decide ")))
        found.append((code, f"{line}\n{said}"))
    return found


def words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    return [float(one.rstrip(".").lstrip("+")) for one in re.findall(r"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)?", text)]


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = made()
    assert [code for code, _ in now] == CODES
    for (_, text), block in zip(now, blocks("console"), strict=True):
        assert words(text) == words(block)
        assert numbers(text) == pytest.approx(numbers(block), rel=0.03, abs=3e-4)
    said = io.StringIO()
    with redirect_stdout(said):
        exec(blocks("python")[2], {})
    assert "a mixture with" in said.getvalue() and "P(best)" in said.getvalue()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    simulate(World(sizes=(5e8,), ratios=(0.0, 0.5, 1.0), points=8), seed=1).to_csv("runs.csv", index=False)
    return "runs.csv"


def test_json_and_the_seal(table: str) -> None:
    options = ("--flops-budget", "3e19", "--pilots", "sunk", "--bootstrap", "200", "--tolerance", "none")
    code, said = called(table, *options, "--seal", "plan.json", "--json")
    found = json.loads(said)
    assert code == DONE and found["decided"] and found["choice"]["kind"] == "filtered"
    assert found["tolerance"] is None and found["cost"]["pilots"] == "sunk"
    assert [one["kind"] for one in found["not_considered"]] == ["split"]
    sealed = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    verify_seal(sealed)
    assert found["cost"].items() >= sealed["decision"]["cost"].items()
    assert {**sealed["decision"], "cost": found["cost"]} == found and sealed["request"]["flops_budget"] == 3e19
    assert {one["option"] for one in sealed["predictions"] if one["chosen"]} == {"filtered text at 500M params"}
    continued = [row for row in sealed["fitted_row_digests"] if row in row_digests(read_table(table))]
    assert continued and len(continued) == len(sealed["fitted_row_digests"])


def test_nothing_decided_is_exit_3_with_json(table: str) -> None:
    code, said = called(table, "--flops-budget", "3e19", "--pilots", "sunk", "--bootstrap", "200", "--tolerance",
                        "0.2", "--sure", "0.999", "--regret", "0", "--json")  # fmt: skip
    found = json.loads(said)
    assert code == NOT_DECIDABLE and found["choice"] is None and found["leader"] is not None
    assert found["status"].startswith("not decidable")


def test_options_that_cannot_be_read_are_told_at_once(table: str) -> None:
    with pytest.raises(UserError) as told:
        called(table, "--flops-budget", "1e20", "--tolerance", "some", "--params", "1e9,big")
    assert [problem.where for problem in told.value.problems] == ["--tolerance", "--params"]
    with pytest.raises(UserError) as told:
        called(table, "--flops-budget", "-1", "--domains", "1", "--reach", "0")
    assert len(told.value.problems) == 3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        anew = made()
    for (_, text), block in zip(anew, blocks("console"), strict=True):
        TEXT = TEXT.replace(f"```console\n{block}```", f"```console\n{text}```")
    PAGE.write_text(TEXT, encoding="utf-8")
