"""The verb plan next and docs/plan_next.md. As a script (PYTHONPATH=src:tests), it writes the page's outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pages import Page, Played, verb, write_anew
from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plan_next import next_run
from speciate.errors import UserError

called = verb(next_run, "speciate plan next")
PAGE = Page("docs/plan_next.md", called, "speciate plan next", commas=True)
CODES = [DONE, DONE, DONE, NOT_DECIDABLE, DONE]  # of the page's commands


def made() -> tuple[list[Played], str]:
    """What every command of the page prints now; and what its last Python block prints."""
    names: dict[str, object] = {}
    PAGE.python(*range(len(PAGE.blocks("python")) - 1), names=names)
    return PAGE.play("console"), PAGE.python(-1, names=names)


def first(text: str) -> str:
    """Choice, certainty and cost: of the rest, near ties may change places."""
    lines = [line for line in text.splitlines() if line.startswith(("Choice", "How sure", "Cost"))]
    assert lines == text.splitlines()[1:4]
    return "\n".join(lines)


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now, last = made()
    assert [one.codes for one in now] == [(code,) for code in CODES]
    for one in now:
        PAGE.assert_alike(first(one.shown), first(one.now), rel=0.05, abs=5e-4)
        assert len(one.now.split("\n\n")[0].splitlines()) == 1 + 5
    ratio, truth = re.findall(r"\d\.\d+", last)
    assert float(ratio) == pytest.approx(float(truth), abs=0.02)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    PAGE.python(0)
    return "runs.csv"


def test_json_has_the_same_answer(table: str) -> None:
    options = (table, "--horizon", "2e6", "--bootstrap", "200")
    code, said = called(*options, "--json")
    found = json.loads(said)
    assert code == DONE and found["kind"] == "next" and found["for"] == "mixture" and found["decided"]
    code, text = called(*options)
    assert text.startswith(f"Choice: {found['choice']['text']}.")
    assert f"{len(found['runs']) - 8} more with --json" in text


def test_options_of_another_kind_and_files_that_are_none_are_told(table: str) -> None:
    with pytest.raises(UserError) as told:
        called(table, "--tokens", "1e11", "--domains", "16")
    assert [problem.where for problem in told.value.problems] == ["--tokens", "--domains"]
    with pytest.raises(UserError, match="--tolerance"):
        called(table, "--for", "split", "--tolerance", "0.1")
    with pytest.raises(UserError, match="seed_tokens"):
        called(table, "--for", "split", "--tokens", "1e11", "--domains", "16")
    with pytest.raises(UserError, match="lunch"):
        called(table, "--for", "lunch")
    Path("odd.csv").write_text("domain_ratio,tokens\nhalf,1e6\n", encoding="utf-8")
    with pytest.raises(UserError, match="half"):
        called(table, "--candidates", "odd.csv")
    with pytest.raises(UserError, match="none.csv"):
        called(table, "--candidates", "none.csv")


def test_candidates_may_have_the_tables_own_names_of_columns(table: str) -> None:
    rows = Path(table).read_text(encoding="utf-8").replace("domain_ratio", "share", 1)
    Path("own.csv").write_text(rows, encoding="utf-8")
    Path("list.csv").write_text("share,tokens\n0.6,2e6\n", encoding="utf-8")
    options = ("--horizon", "2e6", "--columns", "domain_ratio=share", "--bootstrap", "200", "--json")
    code, said = called("own.csv", *options, "--candidates", "list.csv")
    runs = json.loads(said)["runs"]
    assert code == DONE and [run["spec"]["domain_ratio"] for run in runs] == [0.6]


if __name__ == "__main__":
    write_anew(PAGE, lambda: made()[0])
