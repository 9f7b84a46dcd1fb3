"""The step tokenize: the same shards from one process, several, Ray; what is killed or stopped costs its own part."""

from __future__ import annotations

import functools
import importlib
import json
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from speciate.corpus.steps.engine import Engine
from speciate.corpus.tokens import step as tokenize
from speciate.corpus.tokens import token_shards
from speciate.corpus.tokens.shards import Corpus, describe
from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus
from speciate.corpus.tokens.stream import Stream
from speciate.corpus.tokens.tokenizer import encode, load_tokenizer
from speciate.errors import UserError

HOW = Tokenizing(vocabulary=400, held_out_share=0.1, part_bytes=2e4, sample_bytes=1e5)

KILLED = '''
"""The work of a part, which kills its process once at the part it is told."""
import os, signal
from pathlib import Path
from speciate.corpus.tokens.parts import tokenize_part

def killing(part, folder, marks, **how):
    with open(Path(marks) / part.name, "a") as log:
        log.write("x")
    if part.number == 2 and (Path(marks) / part.name).read_text() == "x":
        (Path(folder) / "tokens").mkdir(exist_ok=True)
        (Path(folder) / "tokens" / f"{part.name}.tmp").write_bytes(b"half of a part")
        os.kill(os.getpid(), signal.SIGKILL)
    return tokenize_part(part, folder, **how)
'''


@pytest.fixture
def sources(folder: Path, lines_file: Path) -> dict[str, str]:
    return {str(folder): "prose", str(lines_file): "lines"}


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a corpus but the report, which tells seconds."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "report.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def texts_of(corpus: Corpus, domain: str) -> list[str]:
    tokenizer = load_tokenizer(corpus.tokenizer_path)
    found = []
    for shard in (corpus.train[domain], corpus.held_out[domain]):
        ids = shard[:]
        for document in np.split(ids, np.flatnonzero(ids == corpus.end_of_text) + 1)[:-1]:
            found.append(tokenizer.decode(document[:-1].tolist(), skip_special_tokens=False))
    return found


def test_the_corpus_opens_and_holds_every_document_once(sources: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    report = tokenize_corpus(sources, out, HOW)
    corpus = Corpus.open(out)
    assert corpus.domains == ("lines", "prose") and report["documents"] == 130 and corpus.vocab_size == 400
    written = sorted(json.loads(line)["text"] for line in Path(list(sources)[1]).read_text().splitlines())
    assert sorted(texts_of(corpus, "lines")) == written
    assert sorted(texts_of(corpus, "prose")) == sorted(p.read_text() for p in Path(list(sources)[0]).iterdir())
    for row in describe(corpus):
        share = row["held_out_tokens"] / (row["train_tokens"] + row["held_out_tokens"])
        assert 0.03 < share < 0.2, row
    assert report["tokens"] == sum(len(s) for split in (corpus.train, corpus.held_out) for s in split.values())
    assert not (out / "tokens").exists()
    Stream(corpus.train, [((("lines", 0.5), ("prose", 0.5)), 320, 0)], 0, 32).batch(0, 10)


def test_what_is_held_out_is_whole_and_nowhere_else(sources: dict[str, str], tmp_path: Path) -> None:
    corpus = Corpus.open(tokenize_corpus(sources, tmp_path / "c", HOW) and tmp_path / "c")
    rows = json.loads((corpus.path / "prose.files.json").read_text())
    held = {row[0].rpartition(":")[0] for row in rows if row[1] == "held_out"}
    train = {row[0].rpartition(":")[0] for row in rows if row[1] == "train"}
    assert held and not held & train and len(rows) == 30  # these files are smaller than a block: none is divided
    tokenizer, shard = load_tokenizer(corpus.tokenizer_path), corpus.held_out["prose"]
    text = "".join(tokenizer.decode(shard[:].tolist()))
    folder = Path(list(sources)[0])
    assert all((folder / Path(name).name).read_text() in text for name in held)
    assert sum(row[2] for row in rows if row[1] == "held_out") == shard.bytes


def test_one_process_two_and_a_killed_one_leave_the_same_files(
    sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    tokenize_corpus(sources, one, HOW)
    tokenize_corpus(sources, two, HOW, Engine(processes=2))
    (tmp_path / "modules").mkdir()
    (tmp_path / "marks").mkdir()
    (tmp_path / "modules" / "tokenize_killed.py").write_text(KILLED)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    module: ModuleType = importlib.import_module("tokenize_killed")
    work = functools.partial(module.killing, marks=str(tmp_path / "marks"))
    monkeypatch.setattr(tokenize, "tokenize_part", work)
    tokenize_corpus(sources, killed, HOW, Engine(processes=2))
    tries = {path.name: len(path.read_text()) for path in (tmp_path / "marks").iterdir()}
    assert len(tries) > 4 and sorted(tries.values()) == [1] * (len(tries) - 1) + [2]
    assert contents(one) == contents(two) == contents(killed)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_leaves_the_same_files(sources: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    tokenize_corpus(sources, tmp_path / "one", HOW)
    tokenize_corpus(sources, tmp_path / "ray", HOW, Engine("ray", 2))
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")


def test_a_stopped_run_goes_on_and_a_done_one_is_told(sources: dict[str, str], tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "c"
    tokenize_corpus(sources, whole, HOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_shards, "corpus_digest", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tokenize_corpus(sources, out, HOW)
    with pytest.raises(UserError, match="no corpus"):
        Corpus.open(out)
    with pytest.MonkeyPatch.context() as patch:  # neither the tokenizer nor a part is made again
        patch.setattr(tokenize, "train_byte_pairs", lambda *_: 1 / 0)
        patch.setattr("speciate.corpus.tokens.parts.read_part", lambda *_: 1 / 0)
        assert not tokenize_corpus(sources, out, HOW)["done_before"]
    assert contents(out) == contents(whole)
    assert tokenize_corpus(sources, out, HOW, Engine(processes=2))["done_before"]
    with pytest.raises(UserError, match="another request.*held_out_share was 0.1, is 0.2"):
        tokenize_corpus(sources, out, replace(HOW, held_out_share=0.2))


def test_domains_can_stand_in_the_documents(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    rows = [{"text": f"document {i} " * 200, "cluster": i % 3, "name": "abc"[i % 3]} for i in range(60)]
    file.write_text("\n".join(map(json.dumps, rows)))
    tokenize_corpus({str(file): "all"}, tmp_path / "c", replace(HOW, domain_field="cluster", held_out_share=0.3))
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.domains == ("cluster-00", "cluster-01", "cluster-02")
    assert sorted(texts_of(corpus, "cluster-01")) == sorted(row["text"] for row in rows if row["cluster"] == 1)
    named = tokenize_corpus({str(file): "all"}, tmp_path / "n", replace(HOW, domain_field="name", held_out_share=0.3))
    assert named["documents"] == 60 and Corpus.open(tmp_path / "n").domains == ("a", "b", "c")
    with pytest.raises(UserError, match=r"all.jsonl:0: no domain in field 'topic' \(it is None\)"):
        tokenize_corpus({str(file): "all"}, tmp_path / "d", replace(HOW, domain_field="topic"))


def test_a_tokenizer_of_the_users_is_used_and_ids_are_its_own(sources: dict[str, str], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    tokenize_corpus(sources, first, HOW)
    tokenize_corpus(sources, second, replace(HOW, tokenizer=first / "tokenizer.json", vocabulary=9))
    assert Corpus.open(first).digest == Corpus.open(second).digest
    corpus = Corpus.open(first)
    tokenizer = load_tokenizer(corpus.tokenizer_path)
    expected = {tuple(ids) for ids in encode(tokenizer, [p.read_text() for p in Path(list(sources)[0]).iterdir()])}
    ids = np.concatenate([corpus.train["prose"][:], corpus.held_out["prose"][:]])
    assert {tuple(d[:-1].tolist()) for d in np.split(ids, np.flatnonzero(ids == 0) + 1)[:-1]} == expected


def test_every_problem_is_named(folder: Path, tmp_path: Path) -> None:
    def said(sources: dict[str, str], **how: Any) -> str:
        with pytest.raises(UserError) as error:
            tokenize_corpus(sources, tmp_path / "out", replace(HOW, **how))
        return str(error.value)

    request = said({str(folder): "a/b"}, held_out_share=1.5, vocabulary=3)
    assert "domain name 'a/b'" in request and "a share of 1.5 held out" in request and "vocab_size is 3" in request
    assert "no tokenizer there" in said({str(folder): "a"}, tokenizer=tmp_path / "no.json")
    assert not (tmp_path / "out").exists()
    (tmp_path / "tiny.txt").write_text("tiny")
    assert "domain tiny: too little text to hold some out" in said({str(tmp_path / "tiny.txt"): "tiny"})
    (tmp_path / "blank.txt").write_text("  ")
    with pytest.raises(UserError, match="no text found"):
        tokenize_corpus({str(tmp_path / "blank.txt"): "blank"}, tmp_path / "blank", HOW)


def test_bad_records_are_kept_aside_and_counted(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"text {i} " * 3000}) for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, '{"texte": 1}', "{", '{"text": " "}']))
    with pytest.raises(UserError, match="are bad"):
        tokenize_corpus({str(tmp_path / "a.jsonl"): "a"}, tmp_path / "strict", HOW)
    report = tokenize_corpus({str(tmp_path / "a.jsonl"): "a"}, tmp_path / "c", HOW, most_bad=0.5)
    assert report["documents"] == 40 and report["bad"] == {"empty": 1, "no text field": 1, "not JSON": 1}
    assert os.listdir(tmp_path / "c" / "bad")
