"""Documents back from the shards of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.tokens.shards import TokenShards

STRETCHES = 64  # places that a sample of a long shard is read from


def sample_texts(shard: TokenShards, tokenizer: Any, end_of_text: int, tokens: int) -> Iterator[str]:
    """Documents of a shard in order: all of them, or about ``tokens`` tokens of whole ones from all over it.

    They are the documents that were encoded where the tokenizer is byte-level; others may change blanks.
    """
    if len(shard) <= tokens:
        starts, length = [0], len(shard)
    else:
        length = max(1, tokens // STRETCHES)
        starts = [number * len(shard) // STRETCHES for number in range(STRETCHES)]
    for start in starts:
        found = _documents(shard[start : start + length], end_of_text, begun=start > 0)
        yield from tokenizer.decode_batch([ids.tolist() for ids in found], skip_special_tokens=False)


def _documents(ids: NDArray[Any], end: int, begun: bool) -> list[NDArray[Any]]:
    """The ids of the documents that begin and end in a stretch, ends left out; a part of one if it holds no more."""
    ends = np.flatnonzero(ids == end)
    pieces = np.split(ids, ends + 1)
    whole = [piece[:-1] for piece in pieces[begun:-1]]
    longest = max(pieces, key=len)
    return whole or [longest[longest != end]]
