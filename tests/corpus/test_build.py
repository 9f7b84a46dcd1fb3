"""Building: deterministic, no leak between train and held out, reused, whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus import build
from speciate.corpus.build import build_corpus
from speciate.corpus.builtin import DOMAINS
from speciate.corpus.tokens.shards import Corpus, describe
from speciate.corpus.tokens.stream import Stream
from speciate.corpus.tokens.tokenizer import encode, load_tokenizer
from speciate.errors import UserError

SMALL = {"vocab_size": 300, "window_tokens": 33, "processes": 1}


def build_small(sources: dict[str, str | Path], out: Path, **more: object) -> Corpus:
    return build_corpus(sources, out, **{**SMALL, **more})  # type: ignore[arg-type]


def documents(corpus: Corpus, domain: str, split: str) -> list[str]:
    tokenizer = load_tokenizer(corpus.tokenizer_path)
    tokens = (corpus.train if split == "train" else corpus.held_out)[domain][:]
    ends = np.flatnonzero(tokens == corpus.end_of_text)
    assert tokens[-1] == corpus.end_of_text
    return [tokenizer.decode(part[part != 0].tolist()) for part in np.split(tokens, ends)[:-1]]


def test_text_is_kept_whole_and_split_by_file(folder: Path, lines_file: Path, tmp_path: Path) -> None:
    corpus = build_small({"prose": folder, "lines": lines_file}, tmp_path / "corpus", held_out_share=0.1)
    assert corpus.domains == ("lines", "prose")
    train, held = documents(corpus, "prose", "train"), documents(corpus, "prose", "held_out")
    assert sorted(train + held) == sorted(p.read_text("utf-8") for p in folder.iterdir())
    assert 3 <= len(held) <= 6
    assert len(documents(corpus, "lines", "held_out")) >= 8  # a block of consecutive documents
    for row in describe(corpus):
        listed = json.loads((corpus.path / f"{row['domain']}.files.json").read_text("utf-8"))
        assert row["documents"] == sum(r[3] for r in listed) and row["bytes"] == sum(r[2] for r in listed)
        held_tokens = corpus.held_out[row["domain"]]
        assert held_tokens.bytes == corpus.token_bytes[held_tokens[:]].sum()
        assert row["held_out_tokens"] == len(held_tokens) and 1 < row["bytes_per_token"] < 4
    assert [row["files"] for row in describe(corpus)] == [1, 30]
    stream = Stream(corpus.train, [((("lines", 0.5), ("prose", 0.5)), 640, 0)], 0, 32)
    assert stream.batch(0, 20).max() < corpus.vocab_size


def test_the_digest_depends_on_the_text_alone(
    tmp_path: Path, installed: Callable[[Path], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests, sources = set(), dict.fromkeys(DOMAINS, "builtin")
    for name, processes in (("one", 1), ("two", 3), ("other", 2)):
        stdlib, packages = installed(tmp_path / name)
        if name == "other":
            (stdlib / "m0.py").write_text((stdlib / "m0.py").read_text() + "\nanother_line_of_code_here = 1\n")
        paths = {"stdlib": str(stdlib), "purelib": str(packages)}
        with monkeypatch.context() as patch:
            patch.setattr(sysconfig, "get_path", paths.__getitem__)
            corpus = build_small(sources, tmp_path / f"corpus {name}", processes=processes)
        digests.add(corpus.digest)
        assert len(digests) == (2 if name == "other" else 1)
        code, docs = (json.loads((corpus.path / f"{d}.files.json").read_text()) for d in ("code_python", "docs_python"))
        splits = {row[0]: row[1] for row in code}
        shared = [row for row in docs if row[0] in splits]
        assert shared and all(splits[row[0]] == row[1] for row in shared)  # a module and its docstrings


def test_near_duplicates_do_not_stand_on_both_sides(folder: Path, tmp_path: Path) -> None:
    for i in range(30):
        text = (folder / f"{i:02}.txt").read_text("utf-8")
        (folder / f"copy {i}.txt").write_text("a line that only the copy has\n" + text, encoding="utf-8")
    corpus = build_small({"prose": folder}, tmp_path / "corpus", held_out_share=0.3)
    train, held = documents(corpus, "prose", "train"), documents(corpus, "prose", "held_out")
    assert len(train) + len(held) == 30
    seen = {line for text in train for line in text.splitlines() if len(line) > 25}
    assert not any(line in seen for text in held for line in text.splitlines() if "copy" not in line)


def test_a_single_text_file_is_split_into_blocks(tmp_path: Path, prose: Callable[[int], str]) -> None:
    text = "\n".join(prose(i) for i in range(150)) + "\n"
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    corpus = build_small({"book": tmp_path / "book.txt"}, tmp_path / "corpus", held_out_share=0.1)
    parts = documents(corpus, "book", "train") + documents(corpus, "book", "held_out")
    assert sum(map(len, parts)) == len(text) and all(part in text for part in parts)
    assert 0.02 < corpus.held_out["book"].bytes / len(text) < 0.2 and describe(corpus)[0]["files"] == 1


def test_the_cap_stops_reading(folder: Path, tmp_path: Path) -> None:
    corpus = build_small({"prose": folder}, tmp_path / "corpus", cap_bytes=10_000, held_out_share=0.2)
    assert 10_000 <= describe(corpus)[0]["bytes"] < 12_000


def test_the_same_request_is_not_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    (tmp_path / ".corpus.building").mkdir()  # what a killed build left
    first = build_small({"prose": folder}, out)
    stamp = (out / "manifest.json").stat().st_mtime_ns
    told: list[str] = []
    build_small({"prose": folder}, out, processes=2, progress=lambda what, share: told.append(what))
    assert (out / "manifest.json").stat().st_mtime_ns == stamp and not told
    (folder / "00.txt").write_text("changed: " + (folder / "00.txt").read_text("utf-8"), encoding="utf-8")
    second = build_small({"prose": folder}, out, progress=lambda what, share: told.append(what))
    assert second.digest != first.digest and set(told) == {"reading text", "training the tokenizer", "writing tokens"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "texts"]


def test_a_tokenizer_of_the_users_is_copied(folder: Path, tmp_path: Path) -> None:
    first = build_small({"prose": folder}, tmp_path / "first")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    second = build_small({"prose": other}, tmp_path / "second", tokenizer=first.tokenizer_path, vocab_size=9)
    assert second.digest == first.digest and encode(load_tokenizer(second.tokenizer_path), ["a b"])


def test_transformers_loads_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    corpus = build_small({"prose": folder}, tmp_path / "corpus")
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_file=str(corpus.tokenizer_path))
    assert loaded.decode(loaded("def f(x):")["input_ids"]) == "def f(x):" and len(loaded) == 300


def test_every_problem_is_named_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "tiny.txt").write_text("a tiny text")
    out = tmp_path / "new" / "corpus"

    def said(sources: dict[str, str | Path], **more: object) -> str:
        with pytest.raises(UserError) as error:
            build_small(sources, out, **more)
        assert not out.exists() and not list(tmp_path.glob("new/.*"))
        return str(error.value)

    request = said({"a": "builtin", "b": tmp_path / "no", "c/d": folder}, held_out_share=2, vocab_size=3)
    for part in ("domain 'a'", "no such file", "domain name 'c/d'", "held_out_share is 2", "vocab_size is 3"):
        assert part in request
    assert "did you mean docs_math" in said({"docs_maths": "builtin"})
    reading = said({"a": tmp_path / "bad.txt", "b": tmp_path / "empty.txt", "c": folder}, processes=3)
    assert "bad.txt: not UTF-8: byte 0xff at offset 0" in reading and "empty.txt: empty" in reading
    assert "domain a: too small: 0 tokens held out" in said({"a": tmp_path / "tiny.txt"}, window_tokens=3)
    small = said({"a": folder, "b": tmp_path / "tiny.txt"}, window_tokens=100_000)
    assert "domain a: too small" in small and "domain b: too small" in small
    assert "no domains" in said({})


def test_a_folder_of_the_users_is_not_overwritten(folder: Path) -> None:
    before = sorted(os.listdir(folder))
    with pytest.raises(UserError, match="not a corpus, and not empty"):
        build_small({"prose": folder}, folder)
    assert sorted(os.listdir(folder)) == before


def test_an_interrupted_build_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "corpus_digest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_small({"prose": folder}, tmp_path / "corpus")
    assert [p.name for p in tmp_path.iterdir()] == ["texts"]
