"""docs/specialists.md: its commands and its Python are run on the tiny folder and give what the page shows."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
import typer

from pages import Page, caught
from specialists.tiny import DOMAINS, domain_texts, tiny_folder
from speciate.cli import experts


def speciate(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command("route")(experts.route)
    app.command("generate")(experts.generate)
    command: Callable[..., int] = typer.main.get_command(app).main
    return caught(lambda: command(list(arguments), "speciate", standalone_mode=False), stderr=True)


PAGE = Page("docs/specialists.md", speciate, commas=True)
BLOCK = re.compile(r"```(python|text|console)\n(.*?)```", re.DOTALL)


def prepared(tiny: Path, made_from: Path) -> None:
    """What the page reads, in the folder of now."""
    shutil.copytree(tiny, "specialists")
    shutil.copytree(made_from, "trained")
    rows = [{"text": text, "domain": domain} for domain in DOMAINS for text in domain_texts(domain, 4, seed=7)]
    Path("held_out.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    contexts = ["the enzyme of a tissue is", "on appeal the counsel is", "the method of a class is to"]
    exam = [{"ctx": context, "endings": ["in", "for"], "label": 0} for context in contexts]
    Path("hellaswag.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, exam)).encode()))


def played() -> list[tuple[str, str]]:
    """(what a block shows, what it is now) of console and text blocks: text is what the Python before it prints."""
    found, names, printed = [], {}, ""  # type: list[tuple[str, str]], dict[str, object], str
    for kind, block in BLOCK.findall(PAGE.text):
        if kind == "console":
            found.append((block, PAGE.run(block).now))
        elif kind == "python":
            printed = caught(lambda block=block: exec(block, names))[1]
        else:
            found.append((block, printed))
    return found


def test_the_page_shows_what_it_gives(
    tiny: Path, made_from: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tiny, made_from)
    blocks = played()
    assert len(blocks) == 8
    for shown, now in blocks:
        if " generate " in shown:  # what is drawn may differ between machines
            shown, now = (text.splitlines()[0] + text.splitlines()[-1] for text in (shown, now))
        PAGE.assert_alike(shown, now, rel=0.05, abs=0.02)


if __name__ == "__main__":  # write the page anew: PYTHONPATH=src:tests python tests/specialists/test_page.py
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        tiny_folder(Path("out"), Path("made_from"))
        prepared(Path("out"), Path("made_from"))
        text = PAGE.text
        ends = [match.span(2) for match in BLOCK.finditer(text) if match[1] != "python"]
        for (start, end), (_, now) in reversed(list(zip(ends, played(), strict=True))):
            text = text[:start] + now + text[end:]
    PAGE.path.write_text(text, encoding="utf-8")
