"""docs/fitting.md shows what happens. As a script (PYTHONPATH=src:tests), this file writes the outputs there anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Page, caught, write_anew
from speciate.cli.main import main


def outcome(*arguments: str) -> tuple[int, str]:
    """Exit code, and what a command prints; of a comparison with rivals, what comes after the fit."""
    code, said = caught(lambda: main(list(arguments)))
    if "--rivals" in arguments:
        lines = said.splitlines()
        said = "\n".join(["...", *lines[lines.index("") + 1 :]]) + "\n"
    return code, said


PAGE = Page("docs/fitting.md", outcome)


def test_commands_print_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for one in PAGE.commands(0):
        assert one.codes and set(one.codes) == {0}, one.shown
        PAGE.assert_alike(one.shown, one.now, rel=0.03)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.python(0)


@pytest.mark.usefixtures("here")
def test_the_python_of_the_page_runs() -> None:
    pytest.importorskip("plotly")
    names: dict[str, object] = {}
    PAGE.python(1, names=names)
    result = names["result"]
    assert result.sensitivity.without[0].rows == (3,)  # type: ignore[attr-defined]
    assert "(3,)" in PAGE.blocks("python")[1] and Path("fit.json").exists()


def test_the_text_speaks_of_the_figures_shown() -> None:
    shown = " ".join(PAGE.blocks("console"))
    assert "B is 5968 rather than 3185" in shown and "B 5968 where 3185 was" in PAGE.text
    truth = 1.8 + 480 / 7e9**0.35 + 2100 / 140e9**0.37
    assert f"The truth there is {truth:.3f}." in PAGE.text


if __name__ == "__main__":
    write_anew(PAGE, lambda: PAGE.commands(0))
