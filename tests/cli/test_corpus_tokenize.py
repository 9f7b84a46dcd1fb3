"""The verb corpus tokenize as its user meets it."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from speciate.cli.corpus_tokenize import domains_of, tokenize
from speciate.corpus.tokens.shards import Corpus
from speciate.errors import UserError


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(tokenize)
    return typer.main.get_command(app).main(
        args=[str(argument) for argument in arguments], prog_name="tokenize", standalone_mode=False
    )


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rng = random.Random(0)
    folder = tmp_path / "some texts"
    folder.mkdir()
    for name, count in (("law", 20), ("general", 200)):
        lines = [
            json.dumps({"text": " ".join(rng.choices(["a", "law", "of", "x", "1\n"], k=800))}) for _ in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def command(texts: Path, out: Path) -> list[object]:
    return [f"law={texts / 'law.jsonl'}", texts / "general.jsonl", "--out", out, "--vocabulary", 300, "--held-out", 0.1]


def test_a_person_is_told_what_is_there_and_what_will_be_drawn(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "corpus"
    assert run(*command(texts, out)) == 0
    said = capsys.readouterr().out
    assert "220 documents, a vocabulary of 2" in said  # this text has no more pairs than that
    assert f"in {out}" in said and "Next: see what a mixture draws" in said and "\x1b" not in said
    more = ["--mixture", "general=1", "--tokens", 30_000, "--mixture", "general=.5,law=.5", "--tokens", 40_000]
    assert run(*command(texts, out), *more, "--sequence-length", 100) == 0
    said = capsys.readouterr().out
    for part in ("already there", "phase 1 draws 30,000 tokens, 300 samples:", "phase 2 draws 40,000 tokens", "law"):
        assert part in said
    assert "tokens read again" in said and "Repeats: law" in said and "Next: less of law" in said


@pytest.mark.parametrize("more", [["--held-out", 0.1, "--seed", 3], ["--held-out-field", "kept apart"]])
def test_the_command_that_is_printed_goes_on_with_the_same_corpus(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[object]
) -> None:
    for file in texts.iterdir():
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) | {"kept apart": number % 5 == 0} for number, line in enumerate(lines)]
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    inputs = [f"law={texts / 'law.jsonl'}", texts / "general.jsonl"]
    assert run(*inputs, "--out", tmp_path / "a corpus", "--vocabulary", 300, *more) == 0
    printed = capsys.readouterr().out.splitlines()[-1].partition("mixture draws: ")[2]
    assert run(*shlex.split(printed)[3:]) == 0
    said = capsys.readouterr().out
    assert "already there" in said and "phase 1 draws" in said


def test_json_is_one_object_and_the_corpus_opens(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "corpus"
    more = ["--mixture", "natural", "--tokens", 1e4, "--sequence-length", 64, "--processes", 2, "--json"]
    assert run(*command(texts, out), *more) == 0
    told = json.loads(capsys.readouterr().out)
    corpus = Corpus.open(out)
    assert told["digest"] == corpus.digest and corpus.domains == ("general", "law")
    assert {row["domain"]: row["train_tokens"] for row in told["domains"]} == {
        domain: len(corpus.train[domain]) for domain in corpus.domains
    }
    assert told["mixture"]["repeats"] == [] and told["mixture"]["samples"] == 156 and not told["done_before"]
    again = ["--tokenizer", out, "--out", tmp_path / "again", "--held-out", 0.1, "--json"]
    assert run(f"law={texts / 'law.jsonl'}", texts / "general.jsonl", *again) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == corpus.digest


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["no such", "--out", "o"], "no such file or folder"),
        (["x", "--out", "o", "--mixture", "x=1"], "1 mixtures and 0 numbers of tokens"),
        (["x", "--out", "o", "--tokenizer", "t", "--vocabulary", "9"], "a vocabulary, and a tokenizer"),
        (["x", "--out", "o", "--vocabulary", "9"], "vocab_size is 9"),
        (["x", "--out", "o", "--held-out", "0"], "a share of 0.0 held out"),
        (["x", "--out", "o", "--held-out", "0.1", "--held-out-field", "h"], "a share, and a field"),
        (["a b=x", "--out", "o"], "domain name 'a b'"),
        (["x", "--out", "o", "--engine", "spark"], "no engine is called 'spark'"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        run(*arguments)


def test_an_input_has_its_own_name_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert domains_of([".", "law=a=b"]) == {"a=b": "law", ".": domains_of([str(tmp_path)])[str(tmp_path)]}
    assert domains_of(["a=b"]) == {"a=b": "a-b"}
    with pytest.raises(UserError, match="a=b: given twice"):
        domains_of(["a=b", "law=a=b"])
    assert domains_of(["x/São Paulo.jsonl.zst"]) == {"x/São Paulo.jsonl.zst": "S-o-Paulo"}
