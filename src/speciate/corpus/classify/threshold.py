"""Where to cut a corpus by score: at a score, or so that what is kept has a number of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.labels import HIGHEST
from speciate.errors import Problem, UserError

BINS = 1 << 16  # of scores; only the documents of one bin are held at once


@dataclass(frozen=True, slots=True)
class Scores:
    """Score, tokens and a random number of each document of a part, (documents,)."""

    score: NDArray[np.float32]
    tokens: NDArray[np.int64]
    rank: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Cut:
    """Documents above ``score`` are kept, and of those at ``score`` the ones of ``rank`` or less."""

    score: float
    rank: int = (1 << 64) - 1

    def keeps(self, scores: Scores) -> NDArray[np.bool_]:
        """Which documents of a part are kept."""
        at = np.float32(self.score)
        kept: NDArray[np.bool_] = (scores.score > at) | ((scores.score == at) & (scores.rank <= np.uint64(self.rank)))
        return kept


def read_scores(path: Path) -> Scores:
    """What ``classify`` noted of a part."""
    with np.load(path, allow_pickle=False) as held:
        return Scores(held["score"], held["tokens"], held["rank"])


def parse_tokens(text: str) -> float:
    """A number of tokens as people write it.

    >>> parse_tokens("8.4B"), parse_tokens("250k"), parse_tokens("1e6")
    (8400000000.0, 250000.0, 1000000.0)
    """
    plain = text.strip().replace(",", "").replace("_", "").lower()
    unit = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}.get(plain[-1:])
    try:
        tokens = float(plain) if unit is None else float(plain[:-1]) * unit
    except ValueError:
        tokens = float("nan")
    if not 0 < tokens < float("inf"):
        raise UserError(Problem(f"{text!r} is no number of tokens", "--budget", "give one such as 8.4B or 2e9"))
    return tokens


def cut_to_budget(files: Sequence[Path], budget: float) -> tuple[Cut, int]:
    """The cut that keeps the best documents up to ``budget`` tokens, and the tokens that it keeps.

    The document that would cross the budget is kept if that comes nearer to it. Equal scores are taken in random
    order. Reads the scores twice and holds those of one bin. Raises ``UserError`` if there are fewer tokens.
    """
    counts = np.zeros(BINS, np.int64)
    for scores in _each(files):
        counts += np.bincount(_bins(scores.score), scores.tokens, BINS).astype(np.int64)
    total = int(counts.sum())
    if total < budget:
        what = f"the corpus has {total:,} tokens, {budget:,.0f} are asked for"
        raise UserError(Problem(what, "--budget", "ask for fewer, or give more text"))
    below = counts[::-1].cumsum()[::-1]  # tokens of this bin and the higher ones
    place = int(np.flatnonzero(below >= budget)[-1])
    kept = int(below[place] - counts[place])
    inside = [_of_bin(scores, place) for scores in _each(files)]
    score, tokens, rank = (np.concatenate([getattr(x, name) for x in inside]) for name in ("score", "tokens", "rank"))
    order = np.lexsort((rank, -score))
    reached = kept + np.cumsum(tokens[order])
    last = int(np.flatnonzero(reached >= budget)[0])
    before = int(reached[last] - tokens[order[last]])
    chosen = order[last]
    if budget - before < reached[last] - budget and before:
        return Cut(float(score[chosen]), int(rank[chosen]) - 1), before
    return Cut(float(score[chosen]), int(rank[chosen])), int(reached[last])


def tokens_above(files: Iterable[Path], cut: Cut) -> tuple[int, int]:
    """Documents and tokens that a cut keeps."""
    documents = tokens = 0
    for scores in _each(files):
        kept = cut.keeps(scores)
        documents, tokens = documents + int(kept.sum()), tokens + int(scores.tokens[kept].sum())
    return documents, tokens


def _each(files: Iterable[Path]) -> Iterator[Scores]:
    return map(read_scores, files)


def _bins(score: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.minimum((score.astype(np.float64) * (BINS / HIGHEST)).astype(np.int64), BINS - 1)


def _of_bin(scores: Scores, place: int) -> Scores:
    inside = _bins(scores.score) == place
    return Scores(scores.score[inside], scores.tokens[inside], scores.rank[inside])
