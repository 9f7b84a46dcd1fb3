"""The verb corpus clean as its user meets it."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import chdir
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from speciate.cli.corpus_clean import clean
from speciate.corpus.clean.quality import RULES, Rules
from speciate.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "corpus_clean.md"
QUESTION = "how many of the words in this question stand in a row in a text that is read by a model"


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(clean)
    return typer.main.get_command(app).main(
        args=[str(argument) for argument in arguments], prog_name="clean", standalone_mode=False
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "some texts"
    folder.mkdir()
    good = [" ".join(f"word{chr(97 + i)}{chr(97 + j % 26)}{chr(97 + j // 26)}" for j in range(80)) for i in range(6)]
    good = [f"the {text} of" for text in good]
    rows = [*good, good[0], good[1] + " more", good[2] + f" {QUESTION}", "short"]
    lines = [json.dumps({"text": text, "lang": "pt" if i == 5 else "en"}) for i, text in enumerate(rows)]
    (folder / "a.jsonl").write_text("\n".join([*lines, '{"text": " "}']), encoding="utf-8")
    (tmp_path / "exam.jsonl").write_text(json.dumps({"question": QUESTION}), encoding="utf-8")
    return folder


def test_a_person_is_told_what_went_and_why(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, exam = texts.parent / "out", texts.parent / "exam.jsonl"
    arguments = [texts, "--out", out, "--language", "en", "--field", "lang", "--evaluation", exam]
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    for part in (
        "kept 5 of 10 documents (50.0%, of bytes ",
        f"rejected 5, each with its reason, in {out}/rejected",
        "  contamination           1",
        "  exact duplicate         1",
        "  language                1",
        "  near duplicate          1",
        "  too few words           1",
        f"1 of 1 questions stand in the text; {out}/contamination.jsonl names them",
        f"records that are no document: empty 1; they stand in {out}/bad",
        f"Next: speciate corpus cluster {out} --out clusters",
    ):
        assert part in said
    assert run(*arguments) == 0
    assert capsys.readouterr().out.startswith("already there, from the same command before:\nkept 5 of 10")


def test_json_is_one_object_and_checks_can_be_switched_off(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    off = ["--preset", "none", "--no-exact-duplicates", "--no-near-duplicates", "--json", "--processes", 2]
    assert run(texts, "--out", texts.parent / "all", *off) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] == told["documents"] == 10 and told["rejected"] == {} and told["step"] == "clean"
    assert run(texts, "--out", texts.parent / "some", "--rule", "least_words=90", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rejected"] == {"too few words": 9}


def test_a_preset_of_another_language_is_pointed_at(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(texts, "--out", texts.parent / "out", "--preset", "portuguese") == 0
    said = capsys.readouterr().out
    assert "More than half went by one reason: is --preset portuguese right for this text?" in said
    assert "Next: speciate corpus clean INPUT --preset any --out ANOTHER" in said


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--preset", "latin"], "no preset is called 'latin'"),
        (["--rule", "least_word=3"], "did you mean least_words?"),
        (["--preset", "none", "--rule", "least_words=3"], "a rule, but no rules"),
        (["--field", "lang"], "a field of languages, but no language"),
        (["--evaluation", "nowhere.jsonl"], "no such file"),
        (["--engine", "spark"], "no engine is called 'spark'"),
        (["--most-bad", "0", "--text-field", "body"], "10 of|11 of"),
    ],
)
def test_what_cannot_be_is_told(texts: Path, arguments: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        run(texts, "--out", texts.parent / "out", *arguments)


def test_the_page_says_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ((line, said),) = re.findall(r"```console\n\$ speciate corpus clean (.*?)\n(.*?)```", page, re.DOTALL)
    with chdir(tmp_path):
        exec(code, {})
        assert run(*shlex.split(line)) == 0
    assert capsys.readouterr().out == said


def test_the_page_names_every_setting() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"`{each.name}`" in page for each in fields(Rules))
    for reason in RULES:
        assert reason.split(" ", 2)[-1] in page
