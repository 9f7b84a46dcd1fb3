"""The verb plan split and docs/plan_split.md. As a script (PYTHONPATH=src:tests), it writes the page's outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pages import Page, verb, write_anew
from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plan_split import split
from speciate.errors import UserError
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

called = verb(split, "speciate plan split")
PAGE = Page("docs/plan_split.md", called, "speciate plan split", signs=True)
CODES = [DONE, DONE, NOT_DECIDABLE]  # of the page's commands


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = PAGE.commands(0, 1)
    assert [one.codes for one in now] == [(code,) for code in CODES]
    for one in now:
        PAGE.assert_alike(one.shown, one.now, rel=0.03, abs=3e-4)
    said = PAGE.python(2, names={"pd": pd})
    assert "tokens" in said and "by size" in said


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    PAGE.python(0)
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
    write_anew(PAGE, lambda: PAGE.commands(0, 1))
