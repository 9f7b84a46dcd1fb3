from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from speciate.corpus.tokens.tokenizer import encode, train_tokenizer
from speciate.specialists.pieces import Pieces

BYTES = train_tokenizer(["a few words", "é漢😀"], 300)


def pieces_of(decode: Any, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    pieces = Pieces(decode, stop)
    found = []
    for token in ids:
        found.append(pieces.push(token))
        if pieces.stopped:
            return found
    return [*found, pieces.finish()]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 299), max_size=30))
def test_joined_they_are_the_decoded_text_whatever_the_bytes(ids: list[int]) -> None:
    assert "".join(pieces_of(BYTES.decode, ids)) == BYTES.decode(ids)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=12))
def test_no_piece_holds_half_a_character(text: str) -> None:
    (ids,) = encode(BYTES, [text])
    pieces = pieces_of(BYTES.decode, ids)
    assert "".join(pieces) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_many_tokens_comes_whole() -> None:
    (ids,) = encode(BYTES, ["a\U0001f9ec!"])
    inner = len(ids) - 3
    assert inner >= 1
    assert pieces_of(BYTES.decode, ids) == ["a", *[""] * inner, "\U0001f9ec", "!", ""]


@settings(max_examples=40, deadline=None)
@given(st.text("abc", max_size=20), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_text_ends_before_the_stop_string_that_is_whole_first(text: str, stops: list[str]) -> None:
    (ids,) = encode(BYTES, [text])
    pieces = pieces_of(BYTES.decode, ids, tuple(stops))
    found = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    wanted = text[: min(found)[1]] if found else text
    assert "".join(pieces) == wanted


def test_nothing_of_a_stop_string_is_shown_before_it_is_whole() -> None:
    (ids,) = encode(BYTES, ["x<en>y<end>z"])
    assert len(ids) == 12
    assert pieces_of(BYTES.decode, ids, ("<end>",)) == ["x", "", "", "", "<en>", "y", "", "", "", "", ""]


@pytest.mark.parametrize("size", [1, 4])
def test_spaces_of_a_vocabulary_of_words_stay(size: int) -> None:
    """Decoders that cut the space of a first token would lose those of every piece."""
    words = Tokenizer(models.WordLevel({"\u2581one": 0, "\u2581two": 1, "s": 2}, unk_token="s"))
    words.decoder = decoders.Metaspace()
    ids = [0, 1, 2, 1][:size]
    assert "".join(pieces_of(words.decode, ids)) == words.decode(ids) == "one twos two"[: len(words.decode(ids))]
