"""The fast encoder and the fast trainer against what ``tokenizers`` and ``transformers`` make of the same file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.tokens import encoder
from speciate.corpus.tokens.byte_pairs import train_byte_pairs
from speciate.corpus.tokens.encoder import LLAMA3, Encoder, encoder_of
from speciate.corpus.tokens.tokenizer import END_OF_TEXT, end_of_text_id, load_tokenizer, token_bytes, train_tokenizer
from speciate.errors import UserError

pytest.importorskip("rustbpe")
pytest.importorskip("tiktoken")

CODE = Path(json.__file__).read_text(encoding="utf-8")
MIXED = [
    CODE,
    "São Paulo, à época; naïve façade — “quotes” …",
    "数学と物理学 한국어 язык",
    "aaaa aaaaaaa ababab  \n\n\n\t\tx=1",
]
PIECES = [
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.text(st.characters(categories=["Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Cn", "Co"]), max_size=30),
    st.text("ab", max_size=60),
    st.text(" \n\t\r\x0b\x0c\x85\xa0\u2028\u3000", max_size=20),
    st.sampled_from(
        [*CODE.splitlines(keepends=True)[:120], *MIXED[1:], END_OF_TEXT, "don't I'LL we'Ve 12345678 x_1**2"]
    ),
]
TEXT = st.lists(st.one_of(PIECES), max_size=8).map("".join)


@pytest.fixture(scope="module")
def trained() -> Any:
    return train_byte_pairs(MIXED * 3, 900)


@pytest.fixture(scope="module")
def others() -> list[Any]:
    """Trained by ``tokenizers``: our own, and one that cuts as Llama 3 does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    llama = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(__import__("tokenizers").Regex(LLAMA3), "isolated")
    llama.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    llama.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    llama.train_from_iterator(
        MIXED, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    llama.encode_special_tokens = True
    return [train_tokenizer(MIXED, 700), llama]


def slow(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_all_libraries_give_the_same_ids(trained: Any, others: list[Any], text: str) -> None:
    for tokenizer in [trained, *others]:
        fast = _encoder(id(tokenizer), tokenizer)
        assert fast.fast is not None
        (ids,) = fast.encode([text])
        assert ids.dtype == np.uint32 and ids.tolist() == slow(tokenizer, text)
    (ids,) = _encoder(id(trained), trained).encode([text])
    assert trained.decode(ids.tolist(), skip_special_tokens=False) == text
    assert token_bytes(trained)[ids].sum() == len(text.encode()) and 0 not in ids


_known: dict[int, Encoder] = {}


def _encoder(key: int, tokenizer: Any) -> Encoder:
    if key not in _known:
        _known[key] = encoder_of(tokenizer)
    return _known[key]


def test_transformers_reads_the_file_alike(trained: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    trained.save(str(tmp_path / "tokenizer.json"))
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    again = encoder_of(load_tokenizer(tmp_path))
    assert again.fast is not None
    for text in [*MIXED, encoder._PROBE.replace(END_OF_TEXT, ""), "\x00\x01\x7f\x80 \ufffd\U0010ffff"]:
        assert loaded(text)["input_ids"] == again.encode([text])[0].tolist()
        assert loaded.decode(loaded(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_every_character_is_cut_alike_on_either_side() -> None:
    """A part of all characters in two contexts; all of them in benchmarks/token_speed.py."""
    tokenizer = train_byte_pairs([CODE], 400)
    fast = encoder_of(tokenizer)
    characters = [chr(c) for c in range(128, 0x110000, 61) if not 0xD800 <= c <= 0xDFFF] + list(map(chr, range(0x3100)))
    for before, after in (("a", "b"), ("  1", " !")):
        text = [
            before + "".join(f"{c}{after}{c}{before}" for c in characters[i : i + 500])
            for i in range(0, len(characters), 500)
        ]
        for ids, encoding in zip(fast.encode(text), Encoder(tokenizer, None).encode(text), strict=True):
            assert np.array_equal(ids, encoding)


def test_training_has_the_size_and_the_layout_of_the_other_trainer(trained: Any) -> None:
    other = train_tokenizer(MIXED * 3, 900)
    assert trained.get_vocab_size() == 900 == other.get_vocab_size()
    assert [trained.id_to_token(i) for i in range(257)] == [other.id_to_token(i) for i in range(257)]
    assert end_of_text_id(trained) == 0
    shared = set(trained.get_vocab()) & set(other.get_vocab())
    assert len(shared) > 800  # ties aside, the same pairs
    with pytest.raises(UserError, match="vocab_size is 256"):
        train_byte_pairs([], 256)
    assert train_byte_pairs([], 257).get_vocab_size() == 257


def test_training_does_not_depend_on_threads(trained: Any) -> None:
    script = (
        "import json,hashlib;from pathlib import Path;"
        "from speciate.corpus.tokens.byte_pairs import train_byte_pairs as t;"
        "print(hashlib.sha256(t([Path(json.__file__).read_text(encoding='utf-8')]*40+['a b c d e f g h'],500)"
        ".to_str().encode()).hexdigest())"
    )
    source = str(Path(encoder.__file__).parents[3])
    told = set()
    for threads in ("1", "3"):
        env = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONPATH": source}
        told.add(subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True).stdout)
    assert len(told) == 1


def test_what_could_differ_is_left_to_the_slow_library(trained: Any) -> None:
    from tokenizers import AddedToken, Tokenizer, normalizers

    def changed(**model: Any) -> Any:
        described = json.loads(trained.to_str())
        described["model"] |= model
        return _ours(Tokenizer.from_str(json.dumps(described)))

    def _ours(tokenizer: Any) -> Any:
        tokenizer.encode_special_tokens = True
        return tokenizer

    normal = changed()
    assert encoder_of(normal).fast is not None
    normal.normalizer = normalizers.NFC()
    added = changed()
    added.add_tokens([AddedToken("def f", special=False)])
    prefixed = changed()
    prefixed.pre_tokenizer.add_prefix_space = True
    special = changed()
    special.encode_special_tokens = False
    merges = json.loads(trained.to_str())["model"]["merges"]
    shuffled = changed(merges=merges[::-1])
    for tokenizer in (normal, added, prefixed, special, shuffled, changed(dropout=0.1)):
        assert encoder_of(tokenizer).fast is None
    for tokenizer in (normal, added, shuffled):
        text = "def f(x): e\u0301"
        assert encoder_of(tokenizer).encode([text])[0].tolist() == slow(tokenizer, text)


def test_long_runs_of_one_character(trained: Any) -> None:
    """tiktoken gives up on a million blanks, which ``tokenizers`` then encodes."""
    fast = encoder_of(trained)
    sizes = (("a", 120_000), ("é", 30_000), (" ", encoder.SHORT), ("\n", encoder.SHORT), (" ", 1_000_000))
    for letter, count in sizes:
        assert fast.encode([letter * count])[0].tolist() == slow(trained, letter * count)


def test_a_probe_that_differs_turns_it_off(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Callable[..., Any] = lambda self, text: np.zeros(3, np.uint32)  # noqa: E731
    monkeypatch.setattr(encoder._Fast, "encode", wrong)
    assert encoder_of(trained).fast is None
