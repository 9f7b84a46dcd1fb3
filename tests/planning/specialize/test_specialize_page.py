"""docs/plan_specialize.md shows what happens. As a script (PYTHONPATH=src:tests), this file writes the outputs anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import BLOCK, Page, Played, verb, write_anew
from speciate.cli.plan_specialize import specialize

NAME = "speciate plan specialize"
PAGE = Page("docs/plan_specialize.md", verb(specialize, NAME), NAME, commas=True)


def made() -> list[Played]:
    """The page's blocks as they come out now, in an empty folder: what Python prints fills the text after it."""
    found = PAGE.play("python", "console")
    return [*found, Played("text", PAGE.blocks("text")[0], found[-1].now)]


def test_the_page_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [kind for kind, _ in BLOCK.findall(PAGE.text)] == ["python", "console", "python", "text"]
    for one in made():
        assert set(one.codes) <= {0}
        if one.kind != "python":
            PAGE.assert_alike(one.shown, one.now, rel=0.03)


if __name__ == "__main__":
    write_anew(PAGE, made)
