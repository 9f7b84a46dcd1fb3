"""docs/sealing.md, and --seal of every verb with it. As a script (PYTHONPATH=src:tests), it writes the page anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pages import Page, Played, whole, write_anew
from speciate.cli.sealing import write_sealed
from speciate.errors import UserError
from speciate.planning.seal import verify_seal
from speciate.storage import canonical_json

PAGE = Page("docs/sealing.md", whole, signs=True)
CODES = [0, 0, 3, 0, 2, 2]  # of the page's commands


def made() -> list[Played]:
    """The page carried out from top to bottom."""
    return PAGE.play("python", "console")


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = made()
    assert [code for one in found for code in one.codes] == CODES
    for one in found:
        if one.kind == "console":
            PAGE.assert_alike(one.shown, one.now, rel=0.03, abs=3e-4)
    assert "".join(one.now for one in found if one.kind == "python").startswith("2 of 3 inside")


ROWS = pd.DataFrame({"run": ["a"], "params": [1e9], "tokens": [1e9], "loss": [3.0]})


class Decided:
    """A decision that predicts one loss."""

    def __init__(self, kind: str = "decide", *, value: float = 2.7, tokens: float = 4e9, silent: bool = False) -> None:
        one = {"option": "asked", "chosen": True, "params": 1e9, "tokens": tokens, "value": value}
        self.told: dict[str, Any] = {"kind": kind, "level": 0.9, "predictions": [] if silent else [one]}

    def to_json(self) -> dict[str, Any]:
        return self.told

    def explain(self) -> str:
        return "Choice: this."


def sealed_in(file: Path, decision: Decided, rows: pd.DataFrame = ROWS, horizon: float = 4e9) -> list[str]:
    return write_sealed(file, decision, rows, {"horizon": horizon}, Path("a.csv"), as_json=False)


def test_a_sealed_plan_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "new" / "plan.json"
    (line,) = sealed_in(file, Decided())
    assert line.startswith(f"Sealed from 1 rows: {file} (1 prediction).")
    text = file.read_text(encoding="utf-8")
    plan = json.loads(text)
    verify_seal(plan)
    assert text == canonical_json(plan) + "\n" and plan["request"] == {"table": "a.csv", "horizon": 4e9}
    (line,) = sealed_in(file, Decided())
    assert line.startswith(f"Sealed already, on {plan['sealed_at']}")
    faults = [
        ("of kind decide, and this is split", Decided("split"), ROWS, 4e9),
        ("fitted on other rows", Decided(), ROWS.assign(loss=3.1), 4e9),
        ("asked otherwise \\(horizon\\)", Decided(tokens=5e9), ROWS, 5e9),
        ("the same question on the same rows", Decided(value=2.8), ROWS, 4e9),
    ]
    for what, decision, rows, horizon in faults:
        with pytest.raises(UserError, match=f"another plan was sealed here on .*{what}"):
            sealed_in(file, decision, rows, horizon)
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("content", ["", "not json", "[]", '"text"', "{}", '{"seal": 1}', "\xff", "[" * 10_000])
def test_no_other_file_is_overwritten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(UserError) as told:
        sealed_in(file, Decided())
    assert told.value.problems[0].fix.startswith(("name another file", "use the plan.json"))
    assert file.read_text(encoding="latin-1") == content
    with pytest.raises(UserError, match="there is a folder"):
        sealed_in(tmp_path, Decided())


def test_with_json_the_lines_are_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_sealed(tmp_path / "plan.json", Decided(), ROWS, {}, Path("a.csv"), as_json=True) == []
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("Sealed from 1 rows")
    assert write_sealed(None, Decided(), ROWS, {}, Path("a.csv"), as_json=False) == []


def test_what_a_plan_cannot_be_held_to_is_told_at_once(tmp_path: Path) -> None:
    assert sealed_in(tmp_path / "none.json", Decided(silent=True))[1].startswith("Note: it predicts no measurement")
    known = sealed_in(tmp_path / "known.json", Decided(tokens=1e9))
    assert known[1] == "Note: 1 prediction already measured in these rows; of those only further runs will count."


if __name__ == "__main__":
    write_anew(PAGE, made)
