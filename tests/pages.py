"""Pages of documentation whose examples are run: the blocks of a page, what they print now, and whether that is alike.

A test file of a page has a `Page`; run as a script (PYTHONPATH=src:tests), it calls `write_anew` with what the page's
blocks are now. Numbers may differ a little between machines; the words around them may not.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from speciate.cli.main import main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def caught(call: Callable[[], Any], *, stderr: bool = False) -> tuple[Any, str]:
    """What a call returns, and what it prints to stdout (and to stderr)."""
    said = io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(said))
        if stderr:
            stack.enter_context(redirect_stderr(said))
        returned = call()
    return returned, said.getvalue()


def verb(function: Callable[..., Any], name: str) -> Callable[..., tuple[int, str]]:
    """The command line of one verb, its arguments -> exit code and stdout; what main would tell the user is raised."""
    app = typer.Typer()
    app.command()(function)
    command = typer.main.get_command(app)
    return lambda *arguments: caught(lambda: command.main(list(arguments), name, standalone_mode=False))


def whole(*arguments: str) -> tuple[int, str]:
    """The whole command line: exit code, and what a terminal shows of stdout and stderr."""
    return caught(lambda: main(list(arguments)), stderr=True)


@dataclass(frozen=True)
class Played:
    """A block as it stands on the page and as it is now (of Python: what it prints), with its commands' exit codes."""

    kind: str
    shown: str
    now: str
    codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page, its path below the repository, and what carries out the commands that begin with `name`."""

    file: str
    called: Callable[..., tuple[int, str]]
    name: str = "speciate"
    commas: bool = False  # 12,345 is one number rather than two
    signs: bool = False  # the sign of a number is none of its words: differences near zero may change it

    @property
    def path(self) -> Path:
        return ROOT / self.file

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, kind: str) -> list[str]:
        return [block for one, block in BLOCK.findall(self.text) if one == kind]

    def python(self, *which: int, names: dict[str, Any] | None = None) -> str:
        """What these of the page's Python blocks print, run one after the other with the same names."""
        names = {} if names is None else names
        blocks = self.blocks("python")
        return "".join(caught(lambda one=one: exec(blocks[one], names))[1] for one in which)

    def run(self, block: str) -> Played:
        """The block's commands, each followed by what it prints now."""
        codes, now = [], ""
        for line in block.splitlines():
            if line.startswith("$ "):
                assert line.startswith(f"$ {self.name} "), line
                code, said = self.called(*shlex.split(line.removeprefix(f"$ {self.name} ")))
                codes.append(code)
                now += f"{line}\n{said}"
        return Played("console", block, now, tuple(codes))

    def play(self, *kinds: str) -> list[Played]:
        """The blocks of these kinds (python, console), carried out in their order in the folder of now."""
        names: dict[str, Any] = {}
        found = []
        for kind, block in BLOCK.findall(self.text):
            if kind == "console" and kind in kinds:
                found.append(self.run(block))
            elif kind in kinds:
                found.append(Played(kind, block, caught(lambda block=block: exec(block, names))[1]))
        return found

    def commands(self, *which: int) -> list[Played]:
        """All its console blocks as they are now, after these of its Python blocks, which make the tables."""
        self.python(*which)
        return self.play("console")

    def pattern(self, sign: str) -> str:
        return rf"(?<![\w.^]){sign}\d[\d.{',' * self.commas}]*(?:e[+-]?\d+)?"

    def blanked(self, text: str) -> str:
        """The text with # in the place of every number."""
        return re.sub(self.pattern("[+-]*" if self.signs else "-?"), "#", text)

    def numbers(self, text: str) -> list[float]:
        found = re.findall(self.pattern("-?"), text)
        return [float(one.rstrip(".,").replace(",", "")) for one in found]

    def assert_alike(self, shown: str, now: str, *, rel: float, abs: float | None = None) -> None:  # noqa: A002
        """Line by line: the same words but for white space, and numbers within the relative or absolute tolerance."""
        before, after = shown.splitlines(), now.splitlines()
        assert [self.blanked(line).split() for line in before] == [self.blanked(line).split() for line in after]
        for line, other in zip(before, after, strict=True):
            first, second = self.numbers(line), self.numbers(other)
            assert first == pytest.approx(second, rel=rel, abs=abs), line
            assert second == pytest.approx(first, rel=rel, abs=abs), line  # relative to the smaller of two


def write_anew(page: Page, made: Callable[[], Iterable[Played]]) -> None:
    """Write what the page's blocks print now, made in an empty folder, in the place of what they show."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        anew = [one for one in made() if one.kind != "python"]
    text = page.text
    for one in anew:
        text = text.replace(f"```{one.kind}\n{one.shown}```", f"```{one.kind}\n{one.now}```")
    page.path.write_text(text, encoding="utf-8")
