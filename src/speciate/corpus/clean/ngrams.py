"""Words and runs of words as numbers of 64 bits, the same in every process: what duplicates are found by."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
AT_ONCE = 1 << 20  # bytes hashed at a time: memory does not grow with a document

_LETTERS = np.ones(256, bool)  # bytes that words consist of: letters, digits, and all that is not ASCII
_LETTERS[:128] = [chr(code).isalnum() for code in range(128)]
_BLANK = bytes(code if letter else 32 for code, letter in enumerate(_LETTERS))
# Punctuation that texts from other sources spell otherwise: dashes, quotes, ellipses, spaces, bullets.
_WIDE = re.compile("[\u00a0\u00a1\u00a7\u00ab\u00ad\u00b7\u00bb\u00bf\u2000-\u206f\u3000-\u3003\ufeff]+")
_rng = np.random.default_rng(0x5EED)
_BYTES = _rng.integers(1, 1 << 63, 256, np.uint64)  # a number for each byte
_PLACES = _rng.integers(0, 1 << 63, 256, np.uint64) | np.uint64(1)  # and a factor for its place in the word
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def normalised(text: str) -> bytes:
    """Lower case, canonical Unicode, and a space in the place of everything that is no letter or digit.

    >>> normalised("The Court's “ruling”: 3-2!")
    b'the court s ruling  3 2 '
    """
    if not text.isascii():
        text = _WIDE.sub(" ", unicodedata.normalize("NFC", text))
    return text.lower().encode("utf-8", "surrogatepass").translate(_BLANK)


def word_hashes(data: bytes) -> Hashes:
    """A number for each word of a normalised text, in order."""
    found, start = [], 0
    while start < len(data):
        end = len(data) if len(data) - start <= AT_ONCE else data.find(b" ", start + AT_ONCE)
        end = len(data) if end < 0 else end
        found.append(_hash_words(np.frombuffer(data, np.uint8, end - start, start)))
        start = end
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def _hash_words(data: NDArray[np.uint8]) -> Hashes:
    letters = np.flatnonzero(data != 32)
    if not letters.size:
        return np.zeros(0, np.uint64)
    starts = np.flatnonzero(np.diff(letters, prepend=-2) != 1)  # in ``letters``, where a word begins
    lengths = np.diff(starts, append=letters.size)
    places = np.arange(letters.size) - np.repeat(starts, lengths)
    values = _BYTES[data[letters]] * _PLACES[places & 255]
    if lengths.max() > 256:  # a word so long that places come again: count the rounds in
        values *= (places >> 8).astype(np.uint64) * np.uint64(2) + np.uint64(1)
    return mixed(np.add.reduceat(values, starts))


def mixed(values: Hashes) -> Hashes:
    """Every bit of the result hangs on every bit of the value (the finaliser of SplitMix64)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def ngram_hashes(words: Hashes, length: int) -> Hashes:
    """A number for every run of ``length`` words; none if there are fewer words."""
    count = words.size - length + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    runs = words[:count].copy()
    for at in range(1, length):
        runs *= _FACTOR
        runs += words[at : at + count]
    return runs
