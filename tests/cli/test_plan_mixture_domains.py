"""plan mixture and docs/plan_mixture.md. Run as a script (PYTHONPATH=src), this file writes the page's outputs."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
import typer

from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plans import mixture
from speciate.errors import NotDecidable, UserError
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

PAGE = Path(__file__).parents[2] / "docs" / "plan_mixture.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])[+-]*\d[\d.,]*(?:e[+-]?\d+)?")
DOMAINS = ("--domains", "law,code", "--bootstrap", "100")

app = typer.Typer()
app.command()(mixture)


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()):
        code = typer.main.get_command(app).main(list(arguments), "speciate plan mixture", standalone_mode=False)
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
        code, said = called(*shlex.split(line.removeprefix("$ speciate plan mixture ")))
        found.append((code, f"{line}\n{said}"))
    return found


def words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    found = re.findall(r"(?<![\w.])-?\d[\d.,]*(?:e[+-]?\d+)?", text)
    return [float(one.replace(",", "").rstrip(".")) for one in found]


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = made()
    assert [code for code, _ in now] == [DONE] * 5
    for (_, text), block in zip(now, blocks("console"), strict=True):
        assert words(text) == words(block)
        assert numbers(text) == pytest.approx(numbers(block), rel=0.03, abs=0.002)
    said = io.StringIO()
    with redirect_stdout(said):
        exec(blocks("python")[2], {})
    assert "'law'" in said.getvalue() and "the tolerance" in said.getvalue()


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python")[:2]:
        exec(block, names)


def test_json_and_the_seal(tables: None) -> None:
    code, said = called("two.csv", *DOMAINS, "--seal", "plan.json", "--json")
    found = json.loads(said)
    assert code == DONE and found["kind"] == "mixture-domains" and found["decided"]
    sealed = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    verify_seal(sealed)
    assert {**sealed["decision"], "cost": found["cost"]} == found and sealed["request"]["domains"] == ["law", "code"]
    assert set(sealed["fitted_row_digests"]) <= set(row_digests(read_table("two.csv")))
    chosen = [one for one in sealed["predictions"] if one["chosen"]]
    assert {one["eval_on"] for one in chosen} == {"general", "law", "code"}
    options = ("--bootstrap", "100", "--unique", "code=2e4", "--lambda", "100", "--seal", "one.json", "--json")
    code, said = called("one.csv", *options)
    found = json.loads(said)
    verify_seal(json.loads(Path("one.json").read_text(encoding="utf-8")))
    assert found["method"]["lambda"] == 100 and code == DONE
    again = found["repetition"]["models"]
    assert [one["params"] for one in again] == [35_552, 141_760] and all(one["epochs"] > 5 for one in again)


def test_options_that_do_not_fit_are_told_at_once(tables: None) -> None:
    with pytest.raises(UserError) as told:
        called("two.csv", *DOMAINS, "--weights", "law=x,code", "--unique", "5e3", "--lambda", "3", "--domain", "law")
    wanted = ["--weights", "--weights", "--unique", "--domain", "--lambda"]
    assert [problem.where for problem in told.value.problems] == wanted
    with pytest.raises(UserError) as told:
        called("one.csv", "--weights", "law=1", "--tolerances", "law=0", "--unique", "law=1,code=2")
    assert [problem.where for problem in told.value.problems] == ["--unique", "--weights", "--tolerances"]
    with pytest.raises(UserError, match="no domain is called 'law'"):
        called("one.csv", "--unique", "law=1e4", "--bootstrap", "100")
    with pytest.raises(UserError, match="share_med"):
        called("two.csv", "--domains", "law,med")


def test_one_of_several_domains_and_a_number_alone(tables: None) -> None:
    code, said = called("one.csv", "--domains", "code", "--unique", "20000", "--bootstrap", "100", "--json")
    found = json.loads(said)
    assert code == DONE and found["repetition"]["domains"][0]["domain"] == "code"


def test_odd_tables_end_in_a_sentence(tables: None) -> None:
    whole = pd.read_csv("two.csv")
    odd = {
        "empty": whole.iloc[:0],
        "one row": whole.iloc[:1],
        "no shares": whole.drop(columns=["share_law", "share_code"]),
        "only general": whole[whole["eval_on"] == "general"],
        "no start": whole[whole["tokens"] > 0],
        "text": whole.assign(loss="much"),
        "one mixture": whole[whole["run"] == "run1"],
        "few": whole[whole["run"].isin(["run0", "run1", "run3"])],
    }
    for name, table in odd.items():
        table.to_csv("odd.csv", index=False)
        with pytest.raises((UserError, NotDecidable)) as told:
            called("odd.csv", *DOMAINS)
        assert str(told.value), name


def test_a_question_that_cannot_be_met_is_exit_code_3(tables: None) -> None:
    code, said = called("two.csv", *DOMAINS, "--tolerances", "law=-0.9", "--json")
    found = json.loads(said)
    assert code == NOT_DECIDABLE and not found["possible"] and "no mixture keeps" in found["status"]
    code, said = called("two.csv", *DOMAINS, "--tolerances", "law=-0.9")
    assert code == NOT_DECIDABLE and said.startswith("Choice: none yet")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        anew = made()
    for (_, text), block in zip(anew, blocks("console"), strict=True):
        TEXT = TEXT.replace(f"```console\n{block}```", f"```console\n{text}```")
    PAGE.write_text(TEXT, encoding="utf-8")
