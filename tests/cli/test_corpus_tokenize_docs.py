"""The page on corpus tokenize shows what the command prints. Run as a script, this writes the page anew."""

from __future__ import annotations

import io
import os
import re
import shlex
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import typer

from speciate.cli.corpus_tokenize import tokenize

pytest.importorskip("rustbpe")

PAGE = Path(__file__).parents[2] / "docs" / "corpus_tokenize.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def made() -> str:
    """The example as it prints now, in this folder."""
    exec(blocks("python")[0], {})
    line = blocks("console")[0].splitlines()[0]
    app = typer.Typer()
    app.command()(tokenize)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()):
        arguments = shlex.split(line.removeprefix("$ speciate corpus tokenize "))
        typer.main.get_command(app).main(args=arguments, prog_name="tokenize", standalone_mode=False)
    return f"{line}\n{said.getvalue()}"


def test_the_page_shows_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert made() == blocks("console")[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        anew = made()
    PAGE.write_text(TEXT.replace(f"```console\n{blocks('console')[0]}```", f"```console\n{anew}```"), encoding="utf-8")
