"""docs/fitting.md shows what happens. Run as a script (PYTHONPATH=src), this file writes the outputs there anew."""

from __future__ import annotations

import io
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest

from speciate.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "fitting.md"
TEXT = PAGE.read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)?")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def outcome(line: str) -> list[str]:
    """What a command prints; of a comparison with rivals, what comes after the fit."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert main(shlex.split(line)[1:]) == 0, line
    lines = said.getvalue().rstrip("\n").split("\n")
    return ["...", *lines[lines.index("") + 1 :]] if "--rivals" in line else lines


def run(block: str) -> list[str]:
    """The block's commands, each followed by what it prints now."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found += [line, *outcome(line.removeprefix("$ "))]
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {})


@pytest.mark.usefixtures("here")
def test_commands_print_what_the_page_shows() -> None:
    for block in blocks("console"):
        shown, now = block.splitlines(), run(block)
        assert [words(line) for line in shown] == [words(line) for line in now]
        for line, other in zip(shown, now, strict=True):
            assert numbers(line) == pytest.approx(numbers(other), rel=0.03), line


def words(line: str) -> list[str]:
    return NUMBER.sub("#", line).split()


def numbers(line: str) -> list[float]:
    return [float(one.rstrip(".")) for one in NUMBER.findall(line)]


@pytest.mark.usefixtures("here")
def test_the_python_of_the_page_runs() -> None:
    pytest.importorskip("plotly")
    names: dict[str, object] = {}
    exec(blocks("python")[1], names)
    result = names["result"]
    assert result.sensitivity.without[0].rows == (3,)  # type: ignore[attr-defined]
    assert "(3,)" in blocks("python")[1] and Path("fit.json").exists()


def test_the_text_speaks_of_the_figures_shown() -> None:
    shown = " ".join(blocks("console"))
    assert "B is 5968 rather than 3185" in shown and "B 5968 where 3185 was" in TEXT
    truth = 1.8 + 480 / 7e9**0.35 + 2100 / 140e9**0.37
    assert f"The truth there is {truth:.3f}." in TEXT


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        exec(blocks("python")[0], {})
        anew = {block: "\n".join(run(block)) + "\n" for block in blocks("console")}
    for block, text in anew.items():
        TEXT = TEXT.replace(block, text)
    PAGE.write_text(TEXT, encoding="utf-8")
