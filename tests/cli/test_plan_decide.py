"""The verb plan decide and docs/plan_decide.md. As a script (PYTHONPATH=src:tests), it writes its outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pages import Page, verb, write_anew
from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plan_decide import decide
from speciate.errors import UserError
from speciate.planning.decide.simulate import World, simulate
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

called = verb(decide, "speciate plan decide")
PAGE = Page("docs/plan_decide.md", called, "speciate plan decide", signs=True)
CODES = [DONE, DONE, NOT_DECIDABLE]  # of the page's commands


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = PAGE.commands(0, 1)
    assert [one.codes for one in now] == [(code,) for code in CODES]
    for one in now:
        PAGE.assert_alike(one.shown, one.now, rel=0.03, abs=3e-4)
    said = PAGE.python(2)
    assert "a mixture with" in said and "P(best)" in said


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
    write_anew(PAGE, lambda: PAGE.commands(0, 1))
