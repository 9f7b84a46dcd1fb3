"""A corpus on disk: any flipped bit, missing byte or missing file is found and named."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.build import build_corpus
from speciate.corpus.tokens.shards import Corpus, TokenShards
from speciate.errors import UserError


@pytest.fixture
def corpus(folder: Path, tmp_path: Path) -> Corpus:
    sources: dict[str, str | Path] = {"one": folder, "two": folder}
    return build_corpus(sources, tmp_path / "corpus", vocab_size=300, window_tokens=33)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_corpus_opens_as_it_was_built(corpus: Corpus) -> None:
    again = Corpus.open(corpus.path)
    assert again.digest == corpus.digest and again.vocab_size == 300 == len(again.token_bytes)
    shard = TokenShards.open(corpus.path / "one.train.bin")
    assert shard.tokens.dtype == np.uint16 and len(shard) == len(again.train["one"])
    assert np.array_equal(shard[3:9], again.train["one"][:][3:9])
    assert isinstance(shard.tokens, np.memmap) and not shard.tokens.flags.writeable


def test_one_flipped_bit_is_found_anywhere(corpus: Corpus) -> None:
    names = sorted(path.name for path in corpus.path.glob("*.bin")) + ["tokenizer.json"]
    rng = random.Random(0)
    for name in names:
        path = corpus.path / name
        at = rng.randrange(path.stat().st_size)
        flip(path, at)
        with pytest.raises(UserError, match=name):
            Corpus.open(corpus.path)
        flip(path, at)
    Corpus.open(corpus.path)


def test_every_broken_file_is_named_at_once(corpus: Corpus) -> None:
    flip(corpus.path / "one.train.bin", 100)
    shard = corpus.path / "one.held_out.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    (corpus.path / "two.train.bin").unlink()
    (corpus.path / "tokenizer.json").unlink()
    with pytest.raises(UserError) as error:
        Corpus.open(corpus.path)
    said = str(error.value)
    for part in ("one.train.bin: corr", "one.held_out.bin: truncated", "two.train.bin: missing", "altered token"):
        assert part in said
    assert len(error.value.problems) == 4
    with pytest.raises(UserError, match=r"one\.train\.bin: corrupt"):
        TokenShards.open(corpus.path / "one.train.bin")
    assert len(TokenShards.open(corpus.path / "one.train.bin", verify=False))


def test_the_manifest_checks_itself(corpus: Corpus) -> None:
    path = corpus.path / "manifest.json"
    manifest = json.loads(path.read_text())
    changes = ({"format": 9}, {"digest": "0"}, {"domains": {}}, {"domains": None})
    for change in changes:
        path.write_text(json.dumps({**manifest, **change}))
        with pytest.raises(UserError, match=r"manifest\.json: (altered|not a manifest)"):
            Corpus.open(corpus.path)
    path.write_text("{")
    with pytest.raises(UserError, match="not a manifest"):
        Corpus.open(corpus.path)
    path.unlink()
    with pytest.raises(UserError, match="build the corpus first"):
        Corpus.open(corpus.path)


def test_a_shard_outside_the_manifest_is_refused(corpus: Corpus) -> None:
    (corpus.path / "three.train.bin").write_bytes(b"12")
    with pytest.raises(UserError, match="not in the manifest"):
        TokenShards.open(corpus.path / "three.train.bin")
