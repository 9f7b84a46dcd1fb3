"""docs/sealing.md, and --seal of every verb that has it. Run as a script (PYTHONPATH=src), it writes the page anew."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from speciate.cli.main import main
from speciate.cli.sealing import write_sealed
from speciate.errors import UserError
from speciate.planning.seal import verify_seal
from speciate.storage import canonical_json

PAGE = Path(__file__).parents[2] / "docs" / "sealing.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])[+-]*\d[\d.]*(?:e[+-]?\d+)?")
BLOCK = re.compile(r"```(python|console)\n(.*?)```", re.DOTALL)
CODES = [0, 0, 3, 0, 2, 2]  # of the page's commands


def called(*words: str) -> tuple[int, str]:
    """Exit code, and what a terminal shows."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(list(words))
    return code, said.getvalue()


def made() -> tuple[list[int], list[tuple[str, str]], str]:
    """The page carried out from top to bottom: exit codes, console blocks as they are and would be, printed words."""
    names: dict[str, Any] = {}
    codes, found, printed = [], [], io.StringIO()
    for kind, block in BLOCK.findall(TEXT):
        if kind == "python":
            with redirect_stdout(printed):
                exec(block, names)
            continue
        told = ""
        for line in block.splitlines():
            if line.startswith("$ speciate "):
                code, said = called(*shlex.split(line)[2:])
                codes.append(code)
                told += f"{line}\n{said}"
        found.append((block, told))
    return codes, found, printed.getvalue()


def words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    return [float(one.rstrip(".").lstrip("+")) for one in NUMBER.findall(text)]


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes, found, printed = made()
    assert codes == CODES
    for shown, now in found:
        assert words(shown) == words(now)
        assert numbers(shown) == pytest.approx(numbers(now), rel=0.03, abs=3e-4)
    assert printed.startswith("2 of 3 inside")


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
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        codes, anew, printed = made()
    print(codes, printed)
    for block, text in anew:
        TEXT = TEXT.replace(f"```console\n{block}```", f"```console\n{text}```")
    PAGE.write_text(TEXT, encoding="utf-8")
