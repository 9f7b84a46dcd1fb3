"""Near duplicates: documents that share most of their runs of words, found by MinHash (Broder 1997).

A document's sketch has one number for each of 112 orders of all runs of 5 words: the first run of the document in that
order. Two sketches agree in the share of runs that two documents have in common (Jaccard). Documents that agree in
all numbers of a band are compared; bands are so wide that they find 99 % of the pairs at the similarity asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.ngrams import Hashes, mixed, ngram_hashes

ORDERS = 112
MISSED = 0.01  # at most, of pairs at the similarity asked for
NONE = np.uint64(0)  # band of a document without words: like no other
_AT_ONCE = 2_048  # runs put in all orders at a time: what a processor's cache holds

_rng = np.random.default_rng(0x31415)
_FACTORS = (_rng.integers(0, 1 << 32, ORDERS, np.uint64) | np.uint64(1)).astype(np.uint32)[:, None]
_OFFSETS = _rng.integers(0, 1 << 32, ORDERS, np.uint64).astype(np.uint32)[:, None]
_PLACES = _rng.integers(0, 1 << 63, ORDERS, np.uint64) | np.uint64(1)

Sketch = NDArray[np.uint8]


@dataclass(frozen=True)
class Near:
    """From which similarity (0..1) a document counts as a duplicate, and the words of a run."""

    similarity: float = 0.8
    run: int = 5

    @property
    def rows(self) -> int:
        """Numbers in a band: as many as may be without missing more than ``MISSED``."""
        return _rows(self.similarity)

    @property
    def bands(self) -> int:
        """How many bands there are.

        >>> Near(0.8).bands, Near(0.8).rows
        (18, 6)
        """
        return ORDERS // self.rows


@lru_cache(maxsize=8)
def _rows(similarity: float) -> int:
    widths = range(1, ORDERS + 1)
    return max((rows for rows in widths if (1 - similarity**rows) ** (ORDERS // rows) <= MISSED), default=1)


def sketch(words: Hashes, near: Near) -> tuple[Hashes, Sketch]:
    """The bands of a document (one number each) and its sketch, of which 8 bits of each number are kept.

    A document without words has no bands.
    """
    rows, bands = near.rows, near.bands
    if not words.size:
        return np.full(bands, NONE), np.zeros(ORDERS, np.uint8)
    runs = runs_of(words, near)
    least = np.full(ORDERS, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, runs.size, _AT_ONCE):
        ordered = runs[None, start : start + _AT_ONCE] * _FACTORS
        ordered += _OFFSETS
        np.minimum(least, ordered.min(axis=1), out=least)
    numbers = least[: rows * bands].astype(np.uint64).reshape(bands, rows)
    keys = mixed((numbers * _PLACES[:rows]).sum(axis=1, dtype=np.uint64))
    return np.maximum(keys, np.uint64(1)), (mixed(least.astype(np.uint64)) & np.uint64(255)).astype(np.uint8)


def runs_of(words: Hashes, near: Near) -> NDArray[np.uint32]:
    """A number for each run of words, in order; a document of fewer words than a run is one run."""
    return (mixed(ngram_hashes(words, min(near.run, words.size))) >> np.uint64(32)).astype(np.uint32)


def similarity(one: Sketch, other: Sketch) -> NDArray[np.float64]:
    """Estimated share of runs in common, by rows; its standard error is at most .05.

    One in 256 pairs of different numbers agrees in the 8 bits that are kept: that is taken off.
    """
    agree = (one == other).mean(axis=-1)
    return np.asarray(np.maximum(0.0, (agree - 1 / 256) / (1 - 1 / 256)))
