"""The verb, and docs/plan_accuracy.md. As a script (PYTHONPATH=src:tests), it writes the outputs there anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pages import Page, verb, write_anew
from speciate.cli.plan_accuracy import accuracy
from speciate.errors import UserError
from speciate.planning.seal import verify_seal

called = verb(accuracy, "speciate plan accuracy")
PAGE = Page("docs/plan_accuracy.md", called, "speciate plan accuracy")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    PAGE.python(0)
    return tmp_path


def test_the_page_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for one in PAGE.commands(0):
        assert one.codes and set(one.codes) == {0}
        PAGE.assert_alike(one.shown, one.now, rel=0.05)
    truth = 0.25 + 0.75 * np.exp(-0.35 / 4**0.35 - 0.5 / 80**0.3)
    assert f"The truth there is {truth:.3f}." in PAGE.text


def test_json_and_seal(here: Path) -> None:
    code, said = called("exam.csv", "--params", "4e9", "--tokens", "80e9", "--json", "--seal", "plan.json")
    found = json.loads(said)
    assert code == 0 and found["decided"] and found["low"] < found["accuracy"] < found["high"]
    sealed = json.loads((here / "plan.json").read_text(encoding="utf-8"))
    verify_seal(sealed)
    assert {**sealed["decision"], "cost": found["cost"]} == found and len(sealed["fitted_row_digests"]) == 20
    assert sealed["request"]["params"] == 4e9 and sealed["kind"] == "accuracy"


def test_what_is_not_decided_exits_with_3(here: Path) -> None:
    code, said = called("exam.csv", "--params", "4e12", "--tokens", "8e13", "--json")
    found = json.loads(said)
    assert code == 3 and not found["decided"] and "times beyond the rows" in found["status"]


def test_a_table_without_chance_is_told_what_to_add(here: Path) -> None:
    pd.read_csv(here / "exam.csv").drop(columns="chance").rename(columns={"params": "N"}).to_csv("bad.csv", index=False)
    with pytest.raises(UserError, match="accuracy of guessing"):
        called("bad.csv", "--columns", "params=N", "--params", "4e9", "--tokens", "8e10")


if __name__ == "__main__":
    write_anew(PAGE, lambda: PAGE.commands(0))
