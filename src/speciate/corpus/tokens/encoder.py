"""Text -> ids by the fastest library that gives the ids of a tokenizer.json, which stays what defines them.

``tiktoken`` encodes twice as fast as ``tokenizers`` but knows only byte-level BPE, and merges whichever neighbours
make a token, not only the pairs listed. Both give the same ids if every token, cut into bytes, is put together again
by its own merges: then the state within its bytes, just before its last merge, is the pair listed, in any context
that does not join them to something else first. That, and all else that could differ, is checked of a tokenizer;
where a check fails, ``tokenizers`` encodes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
PATTERNS = (GPT2, LLAMA3)  # they match every character, and both libraries cut alike by them (tests/corpus)
SHORT = 50_000  # characters; regular expressions give up on half a million blanks in a row, or more
_PROBE = (
    "It's 12345 na\u00efve\u2028\u3000\x00\x1f\t  \r\n\n\u65e5\u672c\u8a9e e\u0301 \U0001f916\u200d\U0001f467 "
    "<|endoftext|> def f(x):\n\treturn x_1**2  # I'LL  \n"
)


@dataclass(frozen=True)
class Encoder:
    """Encodes as ``tokenizer`` does, without any ids that it would add around a text."""

    tokenizer: Any
    fast: _Fast | None

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Ids of each text. Special tokens written out in a text are text."""
        if self.fast is not None:
            return [self._one(self.fast, text) for text in texts]
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.uint32) for encoding in encodings]

    def _one(self, fast: _Fast, text: str) -> NDArray[np.uint32]:
        try:
            return fast.encode(text)
        except ValueError:  # too many blanks in a row for its regular expressions
            return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.uint32)


@dataclass(frozen=True)
class _Fast:
    encoding: Any
    ids: NDArray[np.uint32] | None  # of tiktoken's ranks; None where they are the same

    def encode(self, text: str) -> NDArray[np.uint32]:
        if len(text) <= SHORT:
            ranks = np.array(self.encoding.encode_ordinary(text), np.uint32)
        else:  # a third slower, but raises where the other panics
            ranks = self.encoding.encode_to_numpy(text, disallowed_special=())
        return ranks if self.ids is None else self.ids[ranks]


def encoder_of(tokenizer: Any) -> Encoder:
    """The fastest encoder for a ``tokenizers.Tokenizer``, as ``load_tokenizer`` and ``train_tokenizer`` give them."""
    fast = _fast(tokenizer)
    slow = Encoder(tokenizer, None)
    if fast is not None and not np.array_equal(fast.encode(_PROBE), slow.encode([_PROBE])[0]):
        fast = None  # the versions installed cut text differently
    return Encoder(tokenizer, fast)


def _fast(tokenizer: Any) -> _Fast | None:
    """The same in tiktoken, or None if the ids could differ or it is not installed."""
    try:
        import tiktoken
    except ModuleNotFoundError:
        return None
    described = json.loads(tokenizer.to_str())
    pattern = _pattern(described["pre_tokenizer"])
    plain = tokenizer.encode_special_tokens and all(added["special"] for added in described["added_tokens"])
    if pattern is None or not plain or described["normalizer"] or described.get("truncation"):
        return None
    names = _ranked(described["model"], {added["content"] for added in described["added_tokens"]})
    if names is None or not _whole(described["model"], names[256:]):
        return None
    vocabulary = described["model"]["vocab"]
    letters = byte_letters()
    value = {letter: byte for byte, letter in enumerate(letters)}
    ranks = {bytes(value[letter] for letter in name): rank for rank, name in enumerate(names)}
    ids = np.array([vocabulary[name] for name in names], np.uint32)
    encoding = tiktoken.Encoding("speciate", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return _Fast(encoding, None if np.array_equal(ids, np.arange(len(ids))) else ids)


def _pattern(cut: Mapping[str, Any] | None) -> str | None:
    """How text is cut before bytes are merged, if it is a way we know."""
    if not cut:
        return None
    if cut["type"] == "ByteLevel":
        return GPT2 if cut["use_regex"] and not cut["add_prefix_space"] else None
    if cut["type"] != "Sequence" or [each["type"] for each in cut["pretokenizers"]] != ["Split", "ByteLevel"]:
        return None
    split, level = cut["pretokenizers"]
    sound = split["behavior"] == "Isolated" and not split["invert"]
    sound = sound and not level["use_regex"] and not level["add_prefix_space"]
    pattern = split["pattern"].get("Regex")
    return pattern if sound and pattern in PATTERNS else None


def _ranked(model: Mapping[str, Any], added: set[str]) -> list[str] | None:
    """Names of the 256 bytes and of what merges make, in order; None if it is not plain byte-level BPE."""
    odd = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model["type"] != "BPE" or any(model.get(name) for name in odd):
        return None
    made: list[str] = []
    for merge in model["merges"]:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        if not made or made[-1] != left + right:
            made.append(left + right)
    letters = byte_letters()
    names = [*letters, *made]
    known = model["vocab"].keys()
    if len(set(names)) < len(names) or not known >= set(names) or not set("".join(made)) <= set(letters):
        return None
    if model.get("ignore_merges") and known - set(names) - added:
        return None  # a word that no merges make would be taken whole
    return names


def _whole(model: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether its own merges put every token together again."""
    from tokenizers.models import BPE

    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    bare = BPE(model["vocab"], merges)
    return all(len(bare.tokenize(name)) == 1 for name in names)


@lru_cache(maxsize=1)
def byte_letters() -> tuple[str, ...]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's).

    >>> byte_letters()[ord("a")], byte_letters()[ord(" ")]
    ('a', 'Ġ')
    """
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return tuple(chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256))
