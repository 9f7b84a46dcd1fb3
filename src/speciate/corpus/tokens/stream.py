"""Position -> sample: a training stream as a pure function of (seed, mixture by phase, position).

Resume, world size, micro-batch and worker count cannot change what is read, because nothing here has a cursor.
A position counts samples from the start of the run over all phases. A sample is a window of sequence_length + 1
tokens at a stride of sequence_length, so every token but the first is predicted once per epoch.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.tokens.interleave import counts_at, exact_weights, turns
from speciate.errors import Problem, UserError

StreamPhase = tuple[Sequence[tuple[str, float]], int, int]  # (mixture, tokens, order_seed)


class Stream:
    """The samples of one run in order.

    ``train`` maps a domain to its training tokens: a 1-D array, memory map or ``TokenShards``.
    ``phases`` holds (mixture as (domain, weight) pairs, tokens, order_seed). Tokens are whole sequences.
    The counter of a domain runs on across phases, so a phase change neither drops nor repeats a sample. Each pass
    over a domain has its own order; a phase with another ``order_seed`` than the one before re-shuffles only the
    part of the current pass that has not been read, and the passes after it.
    Raises ``UserError`` naming every unknown domain, bad weight, odd token count and domain without one sample.

    >>> stream = Stream({"code": np.arange(41), "prose": np.arange(100, 141)},
    ...                 [((("code", 0.25), ("prose", 0.75)), 32, 0)], seed=0, sequence_length=4)
    >>> [stream.locate(p)[0] for p in range(8)]
    ['prose', 'code', 'prose', 'prose', 'prose', 'code', 'prose', 'prose']
    >>> stream.batch(0, 8).shape
    (8, 5)
    """

    def __init__(
        self, train: Mapping[str, Any], phases: Sequence[StreamPhase], seed: int, sequence_length: int
    ) -> None:
        _check(train, phases, sequence_length)
        self.sequence_length, self._train = sequence_length, train
        self._phases = [([d for d, _ in mixture], exact_weights([w for _, w in mixture])) for mixture, _, _ in phases]
        self._starts = [0]  # position at which each phase starts, and the end of the last
        read: dict[str, int] = {name: 0 for names, _ in self._phases for name in names}
        self._read = [dict(read)]  # samples of each domain read when each phase starts, and at the end
        shuffles: dict[str, list[tuple[int, int]]] = {name: [] for name in read}  # (samples read, order_seed)
        for (names, weights), (_, tokens, order_seed) in zip(self._phases, phases, strict=True):
            for name, changes in shuffles.items():
                _add_shuffle(changes, read[name], order_seed)
            self._starts.append(self._starts[-1] + tokens // sequence_length)
            for name, count in zip(names, counts_at(weights, tokens // sequence_length), strict=True):
                read[name] += count
            self._read.append(dict(read))
        self._orders = {
            name: _Order(seed, name, self.samples_in(name), changes) for name, changes in shuffles.items() if read[name]
        }

    def __len__(self) -> int:
        """Samples in the whole run."""
        return self._starts[-1]

    def samples_in(self, domain: str) -> int:
        """Samples in one pass over a domain."""
        return max(0, (len(self._train[domain]) - 1) // self.sequence_length)

    def counts(self, position: int) -> dict[str, int]:
        """Samples of each domain among the first ``position`` samples of the run.

        Within a phase each domain stays within one sample of its share of the phase's samples, half a sample where
        there are two.
        """
        if not 0 <= position <= len(self):
            raise IndexError(f"position {position} is not within the run's {len(self)} samples")
        phase = min(bisect_right(self._starts, position), len(self._phases)) - 1
        names, weights = self._phases[phase]
        counts = dict(self._read[phase])
        for name, count in zip(names, counts_at(weights, position - self._starts[phase]), strict=True):
            counts[name] += count
        return counts

    def locate(self, position: int) -> tuple[str, int]:
        """The domain of a sample and the index of its window there: tokens from index * sequence_length on."""
        return self._locate(position, 1)[0]

    def batch(self, start: int, count: int) -> NDArray[np.int64]:
        """Samples start .. start + count - 1, (count, sequence_length + 1); equals one-sample batches stacked."""
        width = self.sequence_length
        samples = np.empty((count, width + 1), np.int64)
        for row, (domain, index) in enumerate(self._locate(start, count)):
            samples[row] = self._train[domain][index * width : index * width + width + 1]
        return samples

    def epochs(self) -> dict[str, float]:
        """Passes over each domain's training text by the end of the run (above 1: text is repeated)."""
        return {d: n / self.samples_in(d) if n else 0.0 for d, n in sorted(self._read[-1].items())}

    def _locate(self, start: int, count: int) -> list[tuple[str, int]]:
        if start < 0 or count < 0 or start + count > len(self):
            raise IndexError(f"samples {start} to {start + count} are not within the run's {len(self)} samples")
        found: list[tuple[str, int]] = []
        while len(found) < count:
            position = start + len(found)
            phase = bisect_right(self._starts, position) - 1
            names, weights = self._phases[phase]
            here = min(count - len(found), self._starts[phase + 1] - position)
            for which, before in islice(turns(weights, position - self._starts[phase]), here):
                name = names[which]
                found.append((name, self._orders[name].sample(self._read[phase][name] + before)))
        return found


class _Order:
    """The order in which a domain's samples are read: a permutation per pass, edited where order_seed changes."""

    def __init__(self, seed: int, domain: str, samples: int, shuffles: Sequence[tuple[int, int]]) -> None:
        self._key, self._samples, self._shuffles = (seed, domain), samples, shuffles
        self._pass, self._order = -1, np.empty(0, np.int64)  # the last pass asked for: a cache, not a cursor

    def sample(self, read: int) -> int:
        """Index of the sample that follows after ``read`` samples of this domain."""
        epoch, offset = divmod(read, self._samples)
        if epoch != self._pass:
            self._order, self._pass = self._epoch(epoch), epoch
        return int(self._order[offset])

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        first = epoch * self._samples
        before = [order_seed for read, order_seed in self._shuffles if read <= first]
        inside = [(r - first, s) for r, s in self._shuffles if first < r < first + self._samples]
        order = np.arange(self._samples)
        for offset, order_seed in [(0, before[-1]), *inside]:
            order[offset:] = order[offset:][_permutation((*self._key, epoch, order_seed), self._samples - offset)]
        return order


def _add_shuffle(changes: list[tuple[int, int]], read: int, order_seed: int) -> None:
    """Note an order_seed from ``read`` samples on; one under which nothing was read leaves no trace."""
    if changes and changes[-1][0] == read:
        changes.pop()
    if not changes or changes[-1][1] != order_seed:
        changes.append((read, order_seed))


def _permutation(key: tuple[int | str, ...], size: int) -> NDArray[np.int64]:
    """A permutation of ``size`` from a key.

    Sorts raw Philox words, whose stream numpy promises never to change (it makes no such promise for
    ``Generator.permutation``).
    """
    words = np.random.Philox(key=int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:16], "little"))
    return np.argsort(words.random_raw(size), kind="stable")


def _check(train: Mapping[str, Any], phases: Sequence[StreamPhase], sequence_length: int) -> None:
    assert sequence_length > 0, "a sequence has at least one token"
    problems = [] if phases else [Problem("no phases", "the stream", "give at least one phase")]
    for number, (mixture, tokens, _) in enumerate(phases):
        where = f"phase {number}"
        names = [name for name, _ in mixture]
        good = [w for _, w in mixture if math.isfinite(w) and w >= 0]
        for name, weight in mixture:
            if name not in train:
                near = difflib.get_close_matches(name, list(train), 1) or sorted(train)
                problems.append(Problem(f"unknown domain {name!r}", where, f"did you mean {', '.join(near)}?"))
            elif weight > 0 and (len(train[name]) - 1) // sequence_length < 1:
                what = f"domain {name!r} has {len(train[name])} tokens, less than one sample"
                problems.append(Problem(what, where, f"give it more text than {sequence_length} tokens"))
            if not (math.isfinite(weight) and weight >= 0):
                problems.append(Problem(f"the weight of {name!r} is {weight}", where, "give a share from 0 to 1"))
        if len(set(names)) < len(names):
            problems.append(Problem("a domain is named twice", where, "give each domain one weight"))
        if len(good) == len(mixture) and abs(math.fsum(good) - 1) > 1e-6:
            problems.append(Problem(f"the weights sum to {math.fsum(good)}", where, "make them sum to 1"))
        if tokens < 0 or tokens % sequence_length:
            fix = f"use a multiple of the sequence length, {sequence_length}"
            problems.append(Problem(f"{tokens} tokens are not whole samples", where, fix))
    if problems:
        raise UserError(problems)
