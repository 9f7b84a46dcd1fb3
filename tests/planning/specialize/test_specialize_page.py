"""docs/plan_specialize.md shows what happens. Run as a script (PYTHONPATH=src), this file writes the outputs anew."""

from __future__ import annotations

import io
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest
import typer

from speciate.cli.plan_specialize import specialize

PAGE = Path(__file__).parents[3] / "docs" / "plan_specialize.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.^])-?\d[\d.,]*(?:e[+-]?\d+)?")


def play() -> list[tuple[str, str]]:
    """The page's blocks as they come out now, in an empty folder: what Python prints fills the text after it."""
    names: dict[str, object] = {}
    found, said = [], ""
    for kind, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        out = io.StringIO()
        with redirect_stdout(out):
            if kind == "python":
                exec(block, names)
            elif kind == "console":
                command(block.splitlines()[0])
        if kind == "python":
            said = out.getvalue()
        elif kind == "console":
            block = block.splitlines()[0] + "\n" + out.getvalue()
        elif kind == "text":
            block = said
        found.append((kind, block))
    return found


def command(line: str) -> None:
    words = shlex.split(line)
    assert words[:4] == ["$", "speciate", "plan", "specialize"]
    app = typer.Typer(rich_markup_mode=None)
    app.command("specialize")(specialize)
    code = typer.main.get_command(app).main(args=words[4:], prog_name="specialize", standalone_mode=False)
    assert code == 0, line


def numbers(text: str) -> list[float]:
    return [float(one.replace(",", "").rstrip(".")) for one in NUMBER.findall(text)]


def test_the_page_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [kind for kind, _ in shown] == ["python", "console", "python", "text"]
    for (_, block), (_, now) in zip(shown, play(), strict=True):
        assert NUMBER.sub("#", block).split() == NUMBER.sub("#", now).split()
        assert numbers(block) == pytest.approx(numbers(now), rel=0.03), block


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        blocks = iter(play())
    text = PAGE.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda _: "```{}\n{}```".format(*next(blocks)), text)
    PAGE.write_text(new, encoding="utf-8")
    print(PAGE)
