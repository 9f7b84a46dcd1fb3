"""The page on corpus tokenize shows what the command prints. As a script (PYTHONPATH=src:tests), it writes the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Page, verb, write_anew
from speciate.cli.corpus_tokenize import tokenize

pytest.importorskip("rustbpe")

NAME = "speciate corpus tokenize"
PAGE = Page("docs/corpus_tokenize.md", verb(tokenize, NAME), NAME)


def test_the_page_shows_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (one,) = PAGE.commands(0)
    assert one.now == one.shown


if __name__ == "__main__":
    write_anew(PAGE, lambda: PAGE.commands(0))
