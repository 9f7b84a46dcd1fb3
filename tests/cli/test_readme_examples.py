"""The README's console examples, run. As a script (PYTHONPATH=src:tests), this file writes their outputs there."""

from __future__ import annotations

import runpy
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest

from pages import ROOT, Page, caught, write_anew
from speciate.cli.main import main
from speciate.cli.output import DONE

LINES = ("Choice: ", "How sure: ", "Cost: ", "What would change it: ", "Next: ")


def five_lines(*arguments: str) -> tuple[int, str]:
    """Exit code, and what a command of the README prints without what comes beneath its five lines."""
    with chdir(ROOT):
        code, said = caught(lambda: main(list(arguments)))
    lines = said.splitlines()[: len(LINES)]
    assert [line.startswith(start) for line, start in zip(lines, LINES, strict=True)] == [True] * len(LINES)
    return code, "".join(f"{line}\n" for line in lines)


PAGE = Page("README.md", five_lines, commas=True)
EXAMPLES = PAGE.blocks("console")


def test_every_decision_has_an_example() -> None:
    told = {block.split()[3] for block in EXAMPLES}
    assert told == {"mixture", "split", "specialize", "accuracy", "decide", "next"}
    assert len(EXAMPLES) == 7  # mixture also of several domains


@pytest.mark.parametrize("block", EXAMPLES, ids=[block.split()[3] for block in EXAMPLES])
def test_the_readme_shows_what_is_printed(block: str) -> None:
    played = PAGE.run(block)
    assert played.codes == (DONE,)
    shown, now = played.shown.splitlines(), played.now.splitlines()
    # The choice, word for word and nearly number for number; the last digits of draws differ between machines.
    assert PAGE.blanked(shown[1]) == PAGE.blanked(now[1])
    PAGE.assert_alike(shown[1], now[1], rel=0.02)
    assert [line.split(":")[0] for line in shown] == [line.split(":")[0] for line in now]


def test_the_tables_are_what_their_script_makes(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / "examples" / "tables" / "make_tables.py"))["write_tables"](tmp_path)
    there = sorted((ROOT / "examples" / "tables").glob("*.csv"))
    assert [file.name for file in there] == sorted(file.name for file in tmp_path.iterdir())
    for file in there:
        pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(tmp_path / file.name), rtol=1e-4)


if __name__ == "__main__":
    write_anew(PAGE, lambda: PAGE.play("console"))
