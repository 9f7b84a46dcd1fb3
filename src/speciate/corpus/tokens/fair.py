"""Turns of K domains with every count, at every position, less than one sample off its share.

The bound is 1 - 1/(2K - 2) (Tijdeman, The chairman assignment problem, Discrete Mathematics 32, 1980), and no order
has a smaller one for all weights. Sample j of a domain of weight w may be taken from slot (j + s)/w on and must be by
slot (j + 1 - s)/w, s = 1/(2K - 2); of those that may, the one that must first is taken.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK = 4_096  # positions that are ordered at a time


def fair_counts(weights: Sequence[Fraction], position: int) -> list[int]:
    """How many of the first ``position`` samples belong to each domain.

    The order is worked out from the start once per process, about a second for a million positions, or for one
    period where the weights have a small common denominator; after that any position costs the same.

    >>> fair_counts([Fraction(9, 10), *[Fraction(1, 100)] * 10], 50)
    [45, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    """
    before, order, offset = _order(tuple(weights)).at(position)
    since = np.bincount(order[:offset], minlength=len(weights)).tolist()
    return [n + more for n, more in zip(before, since, strict=True)]


def fair_turns(weights: Sequence[Fraction], position: int) -> Iterator[tuple[int, int]]:
    """Yield (domain index, how many samples of that domain came before) from ``position`` on, without end."""
    counts = fair_counts(weights, position)
    while True:
        _, order, offset = _order(tuple(weights)).at(position)
        for domain in order[offset:].tolist():
            yield domain, counts[domain]
            counts[domain] += 1
        position += len(order) - offset


class _FairOrder:
    """The order for some weights. What it remembers is what it has worked out, not where a reader stands."""

    def __init__(self, weights: tuple[Fraction, ...]) -> None:
        self._period = math.lcm(*(weight.denominator for weight in weights))
        self._each = [int(weight * self._period) for weight in weights]
        self._scale = 2 * sum(weight > 0 for weight in weights) - 2
        self._starts = {0: [0] * len(weights)}  # number of a block -> counts before it
        self._known = 0  # blocks before this one have been worked out
        self._block = lru_cache(maxsize=4)(self._work_out)

    def at(self, position: int) -> tuple[list[int], NDArray[np.intp], int]:
        """Counts before a block, the domains in it in order, and where in it the position is."""
        periods, position = divmod(position, self._period)
        number, offset = divmod(position, BLOCK)
        while self._known < number:
            self._block(self._known)
        before = [n + periods * each for n, each in zip(self._starts[number], self._each, strict=True)]
        return before, self._block(number), offset

    def _work_out(self, number: int) -> NDArray[np.intp]:
        counts = list(self._starts[number])
        first, last = number * BLOCK, min((number + 1) * BLOCK, self._period)
        waiting = [(self._release(d, n), d) for d, n in enumerate(counts) if self._each[d]]
        heapq.heapify(waiting)
        ready: list[tuple[int, int]] = []
        order = np.empty(last - first, np.intp)
        for position in range(first, last):
            while waiting and waiting[0][0] <= position + 1:
                domain = heapq.heappop(waiting)[1]
                heapq.heappush(ready, (self._deadline(domain, counts[domain]), domain))
            domain = heapq.heappop(ready)[1]
            order[position - first] = domain
            counts[domain] += 1
            heapq.heappush(waiting, (self._release(domain, counts[domain]), domain))
        self._starts[number + 1] = counts
        self._known = max(self._known, number + 1)
        return order

    def _release(self, domain: int, sample: int) -> int:
        """The first slot (from 1) for a domain's sample (from 0): ceil((sample + s) / w)."""
        return -(-(sample * self._scale + 1) * self._period // (self._scale * self._each[domain]))

    def _deadline(self, domain: int, sample: int) -> int:
        """The last slot for it: floor((sample + 1 - s) / w)."""
        return ((sample + 1) * self._scale - 1) * self._period // (self._scale * self._each[domain])


@lru_cache(maxsize=64)
def _order(weights: tuple[Fraction, ...]) -> _FairOrder:
    return _FairOrder(weights)
