"""The verb plan next and docs/plan_next.md. Run as a script (PYTHONPATH=src), this file writes the page's outputs."""

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
from speciate.cli.plan_next import next_run
from speciate.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "plan_next.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])-?\d[\d.,]*(?:e[+-]?\d+)?")
CODES = [DONE, DONE, DONE, NOT_DECIDABLE, DONE]  # of the page's commands

app = typer.Typer()
app.command()(next_run)


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = typer.main.get_command(app).main(list(arguments), "speciate plan next", standalone_mode=False)
    return code, said.getvalue()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def made() -> tuple[list[tuple[int, str]], str]:
    """What every command of the page prints now, with its exit code; and what its last Python block prints."""
    names: dict[str, object] = {}
    for block in blocks("python")[:-1]:
        exec(block, names)
    found = []
    for block in blocks("console"):
        line = block.splitlines()[0]
        code, said = called(*shlex.split(line.removeprefix("$ speciate plan next ")))
        found.append((code, f"{line}\n{said}"))
    said_last = io.StringIO()
    with redirect_stdout(said_last):
        exec(blocks("python")[-1], names)
    return found, said_last.getvalue()


def words(text: str) -> list[str]:
    """Of the five lines: columns of numbers have no words that stay, and near ties may change places."""
    return NUMBER.sub("#", text.split("\n\n")[0]).split()


def numbers(text: str) -> list[float]:
    """Of choice, certainty and cost."""
    lines = [line for line in text.splitlines() if line.startswith(("Choice", "How sure", "Cost"))]
    return [float(one.rstrip(".,").replace(",", "")) for line in lines for one in NUMBER.findall(line)]


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now, last = made()
    assert [code for code, _ in now] == CODES
    for (_, text), block in zip(now, blocks("console"), strict=True):
        first, shown = text.splitlines()[1:4], block.splitlines()[1:4]  # choice, how sure, cost
        assert words("\n".join(first)) == words("\n".join(shown))
        assert numbers(text) == pytest.approx(numbers(block), rel=0.05, abs=5e-4)
        assert len(text.split("\n\n")[0].splitlines()) == 1 + 5
    ratio, truth = re.findall(r"\d\.\d+", last)
    assert float(ratio) == pytest.approx(float(truth), abs=0.02)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})
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
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        anew, printed = made()
    for (_, text), block in zip(anew, blocks("console"), strict=True):
        TEXT = TEXT.replace(f"```console\n{block}```", f"```console\n{text}```")
    PAGE.write_text(TEXT, encoding="utf-8")
    print(printed)
