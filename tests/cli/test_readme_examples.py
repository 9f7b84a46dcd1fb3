"""The README's console examples, run. As a script (PYTHONPATH=src), this file writes their outputs there."""

from __future__ import annotations

import io
import re
import runpy
import shlex
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from speciate.cli.main import main
from speciate.cli.output import DONE

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ (speciate .*)\n((?:.*\n)*?)```")
EXAMPLES = BLOCK.findall(README.read_text(encoding="utf-8"))
NUMBER = re.compile(r"(?<![\w.])-?\d[\d.,]*(?:e[+-]?\d+)?")
LINES = ("Choice: ", "How sure: ", "Cost: ", "What would change it: ", "Next: ")


def five_lines(command: str) -> str:
    """What a command of the README prints, without what comes beneath its five lines."""
    said = io.StringIO()
    with chdir(ROOT), redirect_stdout(said):
        assert main(shlex.split(command)[1:]) == DONE
    lines = said.getvalue().splitlines()[: len(LINES)]
    assert [line.startswith(start) for line, start in zip(lines, LINES, strict=True)] == [True] * len(LINES)
    return "\n".join(lines)


def numbers(text: str) -> list[float]:
    return [float(one.rstrip(".,").replace(",", "")) for one in NUMBER.findall(text)]


def test_every_decision_has_an_example() -> None:
    told = {command.split()[2] for command, _ in EXAMPLES}
    assert told == {"mixture", "split", "specialize", "accuracy", "decide", "next"}
    assert len(EXAMPLES) == 7  # mixture also of several domains


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command.split()[2] for command, _ in EXAMPLES])
def test_the_readme_shows_what_is_printed(command: str, shown: str) -> None:
    now = five_lines(command)
    # The choice, word for word and nearly number for number; the last digits of draws differ between machines.
    first, second = now.splitlines()[:1], shown.splitlines()[:1]
    assert NUMBER.sub("#", first[0]) == NUMBER.sub("#", second[0])
    assert numbers(first[0]) == pytest.approx(numbers(second[0]), rel=0.02)
    assert [line.split(":")[0] for line in now.splitlines()] == [line.split(":")[0] for line in shown.splitlines()]


def test_the_tables_are_what_their_script_makes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "tables" / "make_tables.py"))["write_tables"](tmp_path)
    there = sorted((ROOT / "examples" / "tables").glob("*.csv"))
    assert [file.name for file in there] == sorted(file.name for file in tmp_path.iterdir())
    for file in there:
        pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(tmp_path / file.name), rtol=1e-4)


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(
        BLOCK.sub(lambda found: f"```console\n$ {found[1]}\n{five_lines(found[1])}\n```", text), encoding="utf-8"
    )
