"""The tokenizer: lossless, deterministic, and bytes per id that add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.corpus.tokens.tokenizer import encode, end_of_text_id, load_tokenizer, token_bytes, train_tokenizer
from speciate.errors import UserError

Prose = Callable[[int], str]


@pytest.fixture(scope="module")
def tokenizer(prose: Prose) -> Any:
    return train_tokenizer([prose(i) for i in range(5)], 400)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8")) | st.just("a <|endoftext|> b"))
def test_text_comes_back_and_its_bytes_add_up(tokenizer: Any, text: str) -> None:
    (ids,) = encode(tokenizer, [text])
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert token_bytes(tokenizer)[ids].sum() == len(text.encode())
    assert 0 not in ids  # also where a document writes the mark out


def test_training_is_deterministic_and_has_the_size_asked_for(tokenizer: Any, prose: Prose) -> None:
    again = train_tokenizer([prose(i) for i in range(5)], 400)
    assert again.to_str() == tokenizer.to_str() and again.get_vocab_size() == 400
    assert end_of_text_id(tokenizer) == 0 and token_bytes(tokenizer)[0] == 0
    with pytest.raises(UserError, match="vocab_size is 256"):
        train_tokenizer([], 256)


def test_a_hugging_face_folder_is_loaded_with_its_own_end(tokenizer: Any, tmp_path: Path, prose: Prose) -> None:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "a"}}))
    loaded = load_tokenizer(tmp_path)
    assert encode(loaded, [prose(9)]) == encode(tokenizer, [prose(9)])
    assert end_of_text_id(loaded, tmp_path) == loaded.token_to_id("a")
    assert end_of_text_id(load_tokenizer(tmp_path / "tokenizer.json"), tmp_path / "tokenizer.json") == 0
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match="not a tokenizer's config"):
        end_of_text_id(loaded, tmp_path)


def test_what_is_not_a_tokenizer_is_named(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    with pytest.raises(UserError, match="no tokenizer there"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="not a tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="no token that ends a text"):
        end_of_text_id(Tokenizer(models.BPE()))


def test_bytes_of_sentencepiece_tokens() -> None:
    from tokenizers import Tokenizer, decoders, models

    words = {"<unk>": 0, "\u2581the": 1, "<0x0A>": 2, "é": 3, "</s>": 4}
    tokenizer = Tokenizer(models.BPE(words, [], unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    tokenizer.add_special_tokens(["</s>"])
    assert token_bytes(tokenizer).tolist() == [5, 4, 1, 2, 0] and end_of_text_id(tokenizer) == 4
