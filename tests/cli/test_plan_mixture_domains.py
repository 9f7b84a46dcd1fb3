"""plan mixture and docs/plan_mixture.md. As a script (PYTHONPATH=src:tests), it writes the page's outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pages import Page, verb, write_anew
from speciate.cli.output import DONE, NOT_DECIDABLE
from speciate.cli.plans import mixture
from speciate.errors import NotDecidable, UserError
from speciate.planning.seal import verify_seal
from speciate.runs.table import read_table, row_digests

called = verb(mixture, "speciate plan mixture")
PAGE = Page("docs/plan_mixture.md", called, "speciate plan mixture", commas=True, signs=True)
DOMAINS = ("--domains", "law,code", "--bootstrap", "100")


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = PAGE.commands(0, 1)
    assert [one.codes for one in now] == [(DONE,)] * 5
    for one in now:
        PAGE.assert_alike(one.shown, one.now, rel=0.03, abs=0.002)
    said = PAGE.python(2)
    assert "'law'" in said and "the tolerance" in said


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.python(0, 1)


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
    write_anew(PAGE, lambda: PAGE.commands(0, 1))
