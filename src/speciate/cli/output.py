"""What verbs print: one JSON object on stdout, or text for a person; errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

DONE, OURS, USER_ERROR, NOT_DECIDABLE = 0, 1, 2, 3
"""Exit codes: done; our fault; the user's error, every problem listed; these rows cannot answer."""
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""
ENDLESS = 10_000
"""Columns of what is no terminal: lines that go to a file or a program are not broken."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; logs go to stderr.")]
Columns = Annotated[str | None, typer.Option(help="Your names of columns, as in params=N,tokens=D.")]
Level = Annotated[float, typer.Option(help="Coverage of the intervals.", min=0.5, max=0.999)]
Bootstrap = Annotated[int, typer.Option(help="Draws behind the intervals; 0: none.", min=0)]
Seed = Annotated[int, typer.Option(help="Seed of all that is drawn.", min=0)]


class Stopped(Exception):
    """A verb has ended before it was done, and has said what its user does before it goes on."""


def emit(value: dict[str, Any]) -> None:
    """Print the one JSON object of a verb. Numpy scalars are numbers; NaN is ours to prevent, so it is an error."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")  # stdout is None where the shell closed it
    except UnicodeEncodeError:  # a terminal without these letters, or a file name that is not UTF-8
        text = json.dumps(value, allow_nan=False, default=_plain)
    print(text)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def console(as_json: bool) -> Console:
    """Where progress goes: stderr when stdout is for JSON. Hours of training outlive the reader of their log."""
    import os

    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:  # rich would end the process here
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2 if as_json else 1)

    lasting = Lasting(stderr=as_json)
    if not lasting.is_terminal and "COLUMNS" not in os.environ:
        lasting.width = ENDLESS  # rich would break lines at 80
    return lasting


def screen() -> int | None:
    """Columns of the terminal that stdout is; None where it is a file or a pipe, whose lines are not broken."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


def lines_of(lines: Iterable[str], width: int | None, indent: int | None = None) -> list[str]:
    """The same lines, those wider than ``width`` broken between words, the rest of them indented.

    Without an ``indent`` the rest goes under the last column of a line in columns, else 4 letters in.

    >>> lines_of(["a formula = one + two", "  E  the loss of"], 14)
    ['a formula =', '    one + two', '  E  the loss', '     of']
    """
    import re
    import textwrap

    def broken(line: str) -> list[str]:
        if width is None or len(line) <= width:
            return [line]
        columns = re.match(r".*\S {2,}", line[: width * 2 // 3]) if line.startswith("  ") and indent is None else None
        deep = " " * (columns.end() if columns else 4 if indent is None else indent)
        return textwrap.wrap(line, max(width, len(deep) + 10), subsequent_indent=deep, break_long_words=False,
                             break_on_hyphens=False)  # fmt: skip

    return [part for line in lines for part in broken(line)]


def keeps_apart(out: Path | None, sources: Iterable[Path]) -> list[Problem]:
    """A problem if what is written would take the place of what is read."""
    if out is None or out.resolve() not in [source.resolve() for source in sources]:
        return []
    return [Problem(f"{out} is what is read", "--out", "name another file")]


def show_problems(problems: tuple[Problem, ...], as_json: bool) -> None:
    """Every problem with what to do: on stderr, and as JSON on stdout when asked."""
    noun = "problem" if len(problems) == 1 else "problems"
    print(f"{len(problems)} {noun}:", file=sys.stderr)
    for problem in problems:
        print(f"  {problem.where}: {problem.what}\n      -> {problem.fix}", file=sys.stderr)
    if as_json:
        listed = [{"what": p.what, "where": p.where, "fix": p.fix} for p in problems]
        emit({"status": f"{len(problems)} {noun} in the input", "problems": listed})


def table(headers: list[str], rows: list[list[str]], width: int | None = None) -> str:
    """Aligned columns of text; the last one is broken between words to keep within ``width``.

    >>> print(table(["law", "output"], [["cmr", "ratio"]]))
    law  output
    cmr  ratio
    """
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    lines = ["  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)) for row in [headers, *rows]]
    left = sum(widths[:-1]) + 2 * len(widths[:-1])
    broken = lines_of((line.rstrip() for line in lines), width, left) if width and left < width * 2 / 3 else lines
    return "\n".join(line.rstrip() for line in broken)


def number(value: float | None) -> str:
    """A number for a person: six significant digits, a dash for missing.

    >>> number(1.81721834), number(None), number(2143.4212)
    ('1.81722', '-', '2143.42')
    """
    return "-" if value is None else f"{value:.6g}"
