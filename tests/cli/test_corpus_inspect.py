"""The verb corpus inspect as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from speciate.cli.corpus_inspect import inspect
from speciate.errors import UserError


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(inspect)
    return typer.main.get_command(app).main(
        args=[str(argument) for argument in arguments], prog_name="inspect", standalone_mode=False
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "some texts"
    folder.mkdir()
    lines = [json.dumps({"text": f"document {i % 3} of the file", "id": i}) for i in range(6)]
    (folder / "a.jsonl").write_text("\n".join([*lines, '{"texte": "x"}', '{"text": " "}']), encoding="utf-8")
    (folder / "b.txt").write_bytes(b"\xff\xfe")
    (folder / "c.xlsx").write_bytes(b"x")
    return folder


def test_a_person_is_told_what_is_there(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(texts) == 0
    out = capsys.readouterr().out
    for part in (
        "6 documents of 132 bytes in 2 files",
        "exact duplicates: 3 (50.00%)",
        "empty: 2 records without text",
        "bad: 1 no text field",
        "a.jsonl line 7: no field 'text' (found 'texte')",
        "files passed over: other kinds (.xlsx) 1",
        "example: a.jsonl:0: document 0 of the file",
        f"Next: speciate corpus clean '{texts}' --out cleaned",
    ):
        assert part in out
    assert "\x1b" not in out


def test_json_is_one_object_on_stdout(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(texts, "--json", "--processes", 2) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["documents"] == 6 and told["fields"] == {"id": 6} and told["bad"] == {"no text field": 1}


def test_the_wrong_field_is_told_with_what_there_is(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(texts / "a.jsonl", "--text-field", "body") == 0
    out = capsys.readouterr().out
    assert "0 documents" in out and "no field 'body' (found 'text', 'id')" in out
    assert "Next: speciate corpus inspect INPUT --text-field NAME" in out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["no such"], "no such file or folder"),
        (["x", "--engine", "spark"], "no engine is called 'spark'"),
        (["x", "--address", "auto"], "add --engine ray"),
        (["x", "--engine", "ray", "--address", "auto"], "--out"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        run(*arguments)
