"""Which documents of a corpus repeat one before them, from the fingerprints that its parts left on disk.

The first in order is kept. Fingerprints are compared a band at a time, and of a large corpus only those that begin
with certain bits, so that memory stays flat; the outcome depends on the order of documents alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.near_duplicates import NONE

AT_ONCE = 20_000_000  # fingerprints sorted at a time (500 MB)
COMPARED = 100_000  # sketches compared at a time
TRIES = 64  # firsts of one group; documents that are like none of these meet in other bands
Numbers = NDArray[np.int64]
Alike = Callable[[Numbers, Numbers], NDArray[np.float64]]  # similarity of documents by number


def fingerprint(text: str) -> bytes:
    """16 bytes, not all 0, of a text's words and signs: case and white space do not count."""
    words = b" ".join(text.lower().encode("utf-8", "surrogatepass").split())
    return b"\1" + hashlib.blake2b(words, digest_size=15).digest()


@dataclass(frozen=True)
class Repeats:
    """Documents that repeat one before them: their numbers, whom each repeats, and how similar the two are."""

    which: Numbers
    of: Numbers
    similarity: NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """Row ``number`` of a file of ``of`` rows of 64-bit numbers: a fingerprint of every document of a part."""

    file: Path
    number: int = 0
    of: int = 1

    def read(self) -> NDArray[np.uint64]:
        """The row; empty if the part left no file."""
        if not self.file.exists():
            return np.zeros(0, "<u8")
        count = self.file.stat().st_size // (8 * self.of)
        return np.fromfile(self.file, "<u8", count, offset=8 * count * self.number)


def find_repeats(
    bands: Sequence[Sequence[Column]], alive: NDArray[np.bool_], alike: Alike, least: float, at_once: int = AT_ONCE
) -> Repeats:
    """For every band the columns of the parts, in order: a number for every document (0: none).

    A document repeats an earlier one if they share the number of a band and are alike at ``least``; it is dropped if
    that one is not. Rounds go on until none of those left repeats another; ``alive`` marks those that take part, and
    is changed to those left.
    """
    found: list[tuple[Numbers, Numbers, NDArray[np.float64]]] = []
    while True:
        edges = _edges(bands, alive, alike, least, at_once)
        which, of, how = _dropped(*edges, alive)
        if not which.size:
            break
        alive[which] = False
        found.append((which, of, how))
    if not found:
        return Repeats(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    which, of, how = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(which)
    return Repeats(which[order], of[order], how[order])


def met(bands: Sequence[Sequence[Column]], alive: NDArray[np.bool_], at_once: int = AT_ONCE) -> NDArray[np.bool_]:
    """Which documents share the number of a band with another: all that ``find_repeats`` may compare."""
    found = np.zeros(alive.size, bool)
    for columns in bands:
        for _, numbers in _passes(columns, alive, at_once):
            found[numbers] = True
    return found


def _edges(
    bands: Sequence[Sequence[Column]], alive: NDArray[np.bool_], alike: Alike, least: float, at_once: int
) -> tuple[Numbers, Numbers, NDArray[np.float64]]:
    """Pairs (later, earlier) that are alike, each once, sorted."""
    later, earlier, how = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    for columns in bands:
        for keys, numbers in _passes(columns, alive, at_once):
            for one, other, similar in _alike_in_groups(keys, numbers, alike, least):
                later, earlier = np.concatenate((later, one)), np.concatenate((earlier, other))
                how = np.concatenate((how, similar))
        order = np.lexsort((earlier, later))
        later, earlier, how = later[order], earlier[order], how[order]
        new = np.concatenate((later[:1] == later[:1], (later[1:] != later[:-1]) | (earlier[1:] != earlier[:-1])))
        later, earlier, how = later[new], earlier[new], how[new]
    return later, earlier, how


def _passes(
    columns: Sequence[Column], alive: NDArray[np.bool_], at_once: int
) -> Iterator[tuple[NDArray[np.uint64], Numbers]]:
    """Numbers of a band that more than one document has, sorted, and the documents, those of a group in order."""
    bits = max(0, int(np.ceil(np.log2(max(int(alive.sum()), 1) / at_once))))
    for first in range(1 << bits):
        keys, numbers, begin = [], [], 0
        for column in columns:
            held = column.read()
            chosen = alive[begin : begin + held.size] & (held != NONE)
            if bits:
                chosen &= held >> np.uint64(64 - bits) == first
            keys.append(held[chosen])
            numbers.append(np.flatnonzero(chosen) + begin)
            begin += held.size
        all_keys = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
        order = np.argsort(all_keys, kind="stable")
        ordered = all_keys[order]
        twins = np.zeros(ordered.size, bool)
        same = ordered[1:] == ordered[:-1]
        twins[1:] |= same
        twins[:-1] |= same
        if twins.any():
            yield ordered[twins], np.concatenate(numbers)[order[twins]]


def _alike_in_groups(
    keys: NDArray[np.uint64], numbers: Numbers, alike: Alike, least: float
) -> Iterator[tuple[Numbers, Numbers, NDArray[np.float64]]]:
    """Every document of a group (equal keys) with its first; those unlike the first are groups again."""
    for _ in range(TRIES):
        if not keys.size:
            return
        begins = np.concatenate(([True], keys[1:] != keys[:-1]))
        firsts = numbers[np.maximum.accumulate(np.where(begins, np.arange(keys.size), 0))]
        rest = ~begins
        later, earlier = numbers[rest], firsts[rest]
        pieces = range(0, later.size, COMPARED)
        similar = [alike(later[at : at + COMPARED], earlier[at : at + COMPARED]) for at in pieces]
        how = np.concatenate(similar) if similar else np.zeros(0)
        good = how >= least
        yield later[good], earlier[good], how[good]
        keys, numbers = keys[rest][~good], later[~good]


def _dropped(
    later: Numbers, earlier: Numbers, how: NDArray[np.float64], alive: NDArray[np.bool_]
) -> tuple[Numbers, Numbers, NDArray[np.float64]]:
    """In order: a document goes if one that is alike, before it, stays."""
    gone: set[int] = set()
    chosen = []
    for at, (one, other) in enumerate(zip(later.tolist(), earlier.tolist(), strict=True)):
        if one not in gone and other not in gone:
            gone.add(one)
            chosen.append(at)
    return later[chosen], earlier[chosen], how[chosen]


def alike_by_check(checks: NDArray[np.uint64]) -> Alike:
    """1 where the second half of the fingerprints is equal as well, else 0."""
    return lambda one, other: (checks[one] == checks[other]).astype(float)
