"""speciate route --file: records go by the field text, or by the one that their task or the user names."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from specialists.tiny import domain_texts
from speciate.cli.main import main

ROWS = [
    {"text": domain_texts("law", 1)[0], "goal": domain_texts("code", 1)[0], "stem": domain_texts("biology", 1)[0]}
] * 3


def routed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert main(["route", *map(str, arguments), "--json"]) == 0
    return [each["expert"] for each in json.loads(capsys.readouterr().out)["routes"]]


@pytest.mark.parametrize("name", ["exam.jsonl", "exam.jsonl.gz", "EXAM.JSONL.GZ"])
def test_records_go_by_the_field_that_is_asked_for(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    held = "\n".join(map(json.dumps, ROWS)).encode()
    (tmp_path / name).write_bytes(gzip.compress(held) if name.lower().endswith(".gz") else held)
    command = (tiny, "--file", tmp_path / name)
    assert routed(capsys, *command) == ["law"] * 3
    assert routed(capsys, *command, "--task", "piqa") == ["code"] * 3
    assert routed(capsys, *command, "--field", "stem") == ["biology"] * 3


def test_lines_are_texts(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("".join(row["stem"] + "\n\n" for row in ROWS), encoding="utf-8")
    assert routed(capsys, tiny, "--file", tmp_path / "texts.txt") == ["biology"] * 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--task", "piqa", "a text"], ["no file of records"]),
        (["--field", "stem", "--file", "texts.txt"], ["texts.txt is no file of records"]),
        (["--field", "stem", "--task", "arc", "--file", "exam.jsonl"], ["leave one out"]),
        (["--field", "", "--file", "exam.jsonl"], ["no name"]),
        (["--field", "other", "--file", "exam.jsonl"], ["no text in other"]),
        (["--task", "boolq", "--file", "exam.jsonl"], ["no text in question"]),
        (["--file", "exam.jsonl", "a text", "--task", " "], ["texts and a file of texts", "no name"]),
        (["--file", "torn.jsonl"], ["torn.jsonl line 2", "torn.jsonl line 3: no text in text"]),
        (["--file", "absent.jsonl.gz"], ["no such file"]),
    ],
)
def test_what_cannot_be_routed_is_told(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[Any], told: list[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exam.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    (tmp_path / "torn.jsonl").write_text('{"text": "a"}\n{"text"\n{"other": 1}\n', encoding="utf-8")
    (tmp_path / "texts.txt").write_text("a\n", encoding="utf-8")
    assert main(["route", str(tiny), *options]) == 2
    said = capsys.readouterr().err
    for part in told:
        assert part in said
