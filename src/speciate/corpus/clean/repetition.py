"""Rules on what repeats within a text: lines, paragraphs, and runs of words (Gopher, Rae et al. 2022, table A1).

A rule answers True, or (False, why). ``clears`` finds, for many texts at once, those that cannot break the rules on
runs of words: nearly all, at a third of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.quality_rules import Rules, Text, Verdict

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(40)  # bits of a key that are the run's; those above are the number of its text


def duplicate_lines(text: Text, rules: Rules) -> Verdict:
    """Few lines that a line before them equals, by their number and by their characters."""
    return _repeated(text, text.lines, "lines", rules.most_duplicate_lines, rules.most_duplicate_line_characters)


def duplicate_paragraphs(text: Text, rules: Rules) -> Verdict:
    """Few paragraphs that one before them equals, by their number and by their characters."""
    most, characters = rules.most_duplicate_paragraphs, rules.most_duplicate_paragraph_characters
    return _repeated(text, text.paragraphs, "paragraphs", most, characters)


def _repeated(text: Text, units: list[str], noun: str, most: float | None, most_characters: float | None) -> Verdict:
    if len(set(units)) == len(units):
        return True
    seen: set[str] = set()
    again = [unit for unit in units if unit in seen or seen.add(unit)]  # type: ignore[func-returns-value]
    share = len(again) / len(units)
    if most is not None and share > most:
        return False, f"{share:.0%} of {noun} repeat one before, at most {most:.0%} are allowed"
    share = sum(map(len, again)) / len(text.text)
    if most_characters is not None and share > most_characters:
        return (
            False,
            f"{share:.0%} of characters are in {noun} that repeat one, at most {most_characters:.0%} are allowed",
        )
    return True


@dataclass(frozen=True)
class Runs:
    """The words of a text as numbers (of this process only) and by their characters."""

    words: Sequence[str]

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """A number for each word."""
        return np.fromiter(map(hash, self.words), np.int64, len(self.words)).view(np.uint64)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each word."""
        return np.fromiter(map(len, self.words), np.int64, len(self.words))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Characters in the words before each, and in all."""
        return np.concatenate(([0], np.cumsum(self.lengths)))

    def of(self, length: int) -> NDArray[np.uint64]:
        """A number for each run of words."""
        count = max(0, len(self.words) - length + 1)
        runs = self.hashes[:count].copy()
        for at in range(1, length if count else 0):
            runs *= _FACTOR
            runs += self.hashes[at : at + count]
        return runs

    def characters(self, length: int) -> NDArray[np.int64]:
        """Characters of each run, without white space."""
        return self.ends[length:] - self.ends[:-length]


def top_ngrams(text: Text, rules: Rules) -> Verdict:
    """No run of 2, 3, 4 words that repeats makes up much of the text."""
    seen = Runs(text.words)
    for length, most in sorted(rules.most_top_ngram_characters.items()):
        runs, characters = seen.of(length), seen.characters(length)
        ordered = np.sort(runs)
        begins = np.flatnonzero(np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])))
        counts = np.diff(begins, append=ordered.size)
        often = int(counts.max(initial=0))
        if often < 2 or often * int(characters.max()) <= most * text.letters:
            continue
        top = np.isin(runs, ordered[begins[counts == often]])
        share = often * int(characters[top].max()) / text.letters
        if share > most:
            return False, f"{share:.0%} of characters are one run of {length} words, at most {most:.0%} are allowed"
    return True


def duplicate_ngrams(text: Text, rules: Rules) -> Verdict:
    """Few characters in runs of 5 to 10 words that stood before, those in overlapping runs counted once."""
    seen, limits = Runs(text.words), sorted(rules.most_duplicate_ngram_characters.items())
    for number, (length, most) in enumerate(limits):
        share = _duplicate_share(seen, length)
        if share > most:
            return False, f"{share:.0%} of characters are in repeated runs of {length} words, at most {most:.0%}"
        if share <= min(limit for _, limit in limits[number:]):
            return True  # what repeats in longer runs repeats in shorter ones
    return True


def _duplicate_share(seen: Runs, length: int) -> float:
    """Share of characters in runs of words that stood before."""
    covered = _covered(seen.of(length), length)[: len(seen.words)]
    return float(seen.lengths[covered].sum() / max(int(seen.ends[-1]), 1))


def _covered(keys: NDArray[np.uint64], length: int) -> NDArray[np.bool_]:
    """For every word, whether it is in a run whose key stood before; ``keys`` of the runs that begin at each word."""
    covered = np.zeros(keys.size + length - 1, bool)
    order = np.argsort(keys)
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])))
    if begins.size == keys.size:
        return covered
    later = np.ones(keys.size, bool)
    later[np.minimum.reduceat(order, begins)] = False  # the first of each kind
    for at in range(length):
        covered[at : at + keys.size] |= later
    return covered


def clears(texts: Sequence[Text], rules: Rules) -> dict[str, NDArray[np.bool_]]:
    """For each text, whether it surely keeps ``top_ngrams`` and ``duplicate_ngrams``, from counts of runs in all.

    For the first, a run that repeats is taken to be as long as the longest. For the second, what the shortest runs
    repeat is compared with the strictest limit. Two runs of a text that share 40 bits count as one, which can only
    make it less sure.
    """
    sizes = np.array([len(text.words) for text in texts], np.int64)
    seen = Runs(list(chain.from_iterable(text.words for text in texts)))
    owner = np.repeat(np.arange(sizes.size), sizes)
    total = np.bincount(owner, seen.lengths, sizes.size)
    top, duplicate = np.ones(sizes.size, bool), np.ones(sizes.size, bool)
    for length, most in rules.most_top_ngram_characters.items():
        keys, inside = _keys(seen, owner, length)
        longest = np.zeros(sizes.size, np.int64)
        np.maximum.at(longest, owner[: inside.size][inside], seen.characters(length)[inside])
        top &= _most_frequent(np.sort(keys[inside]), sizes.size) * longest <= most * total
    if rules.most_duplicate_ngram_characters:
        length = min(rules.most_duplicate_ngram_characters)
        keys, inside = _keys(seen, owner, length)
        keys[~inside] = np.flatnonzero(~inside)  # across two texts: like no other
        covered = _covered(keys, length)[: owner.size]
        share = np.bincount(owner[: covered.size][covered], seen.lengths[: covered.size][covered], sizes.size)
        duplicate &= share <= min(rules.most_duplicate_ngram_characters.values()) * total
    return {"top n-grams": top, "duplicate n-grams": duplicate}


def _keys(seen: Runs, owner: NDArray[np.int64], length: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """For every run its text's number and 40 bits of its own, and whether it is inside one text."""
    runs = seen.of(length)
    inside = owner[length - 1 :] == owner[: runs.size]
    return ((owner[: runs.size] + 1).astype(np.uint64) << _SHIFT) | (runs >> (np.uint64(64) - _SHIFT)), inside


def _most_frequent(keys: NDArray[np.uint64], owners: int) -> NDArray[np.int64]:
    """How often the most frequent key of each owner stands in the sorted keys; 0 if all are different."""
    begins = np.flatnonzero(np.concatenate((keys[:1] == keys[:1], keys[1:] != keys[:-1])))
    counts = np.diff(begins, append=keys.size)
    often = counts > 1
    most = np.zeros(owners, np.int64)
    np.maximum.at(most, (keys[begins[often]] >> _SHIFT).astype(np.int64) - 1, counts[often])
    return most
