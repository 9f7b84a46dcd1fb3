"""The verb plan split and docs/plan_split.md. Run as a script (PYTHONPATH=src), this file writes the page's outputs."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
import typer

from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plan_split import split
from speciate.errors import UserError
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

PAGE = Path(__file__).parents[2] / "docs" / "plan_split.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])[+-]*\d[\d.]*(?:e[+-]?\d+)?")
CODES = [DONE, DONE, NOT_DECIDABLE]  # of the page's commands

app = typer.Typer()
app.command()(split)


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = typer.main.get_command(app).main(list(arguments), "speciate plan split", standalone_mode=False)
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
        code, said = called(*shlex.split(line.removeprefix("$ speciate plan split ")))
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
        exec(blocks("python")[2], {"pd": pd})
    assert "tokens" in said.getvalue() and "by size" in said.getvalue()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})
    return "runs.csv"


def test_json_and_the_seal(table: str) -> None:
    options = ("--tokens", "3e11", "--domains", "16", "--bootstrap", "200", "--seal", "plan.json")
    code, said = called(table, *options, "--json")
    found = json.loads(said)
    assert code == DONE and found["decided"] and found["params"] == 1.3e9
    sealed = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    verify_seal(sealed)
    assert {**sealed["decision"], "cost": found["cost"]} == found and sealed["request"]["tokens"] == 3e11
    assert sealed["fitted_row_digests"] == sorted(row_digests(read_table(table)))
    code, said = called(table, *options[:6])
    assert code == DONE and len([line for line in said.splitlines() if not line.startswith("Note")]) == 5


def test_options_that_cannot_be_read_are_told_at_once(table: str) -> None:
    with pytest.raises(UserError) as told:
        called(table, "--tokens", "1e11", "--domains", "4,many", "--weights", "law=x,code")
    assert [problem.where for problem in told.value.problems] == ["--domains", "--weights", "--weights"]
    with pytest.raises(UserError, match="number of domains is not given"):
        called(table, "--tokens", "1e11")
    with pytest.raises(UserError, match="seed_tokens"):
        called(
            "other.csv" if Path("other.csv").write_text("params,tokens,loss\n1e8,1e9,3\n") else "", "--tokens", "1e11"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        anew = made()
    for (_, text), block in zip(anew, blocks("console"), strict=True):
        TEXT = TEXT.replace(f"```console\n{block}```", f"```console\n{text}```")
    PAGE.write_text(TEXT, encoding="utf-8")
