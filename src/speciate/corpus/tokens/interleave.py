"""In what order the domains of a mixture take turns: exact at every position, no coin flips.

Domain d with weight w_d owes its j-th sample (j = 0, 1, ...) at time (2j + 1) / (2 w_d); samples are taken in order
of due time, ties in the order of the mixture. Time runs one sample per unit because the weights sum to 1. With one
heavy domain among many light ones this strays by more than a sample (.9 beside ten of .01: by 4.5), and so does
always taking the domain that lags most; ``fair`` orders those.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from speciate.corpus.tokens.fair import fair_counts, fair_turns


def exact_weights(weights: Sequence[float]) -> list[Fraction]:
    """Weights as fractions that sum to exactly 1, read from their shortest decimal spelling.

    >>> exact_weights([0.9, 0.1])
    [Fraction(9, 10), Fraction(1, 10)]
    """
    exact = [Fraction(repr(float(weight))) for weight in weights]
    total = sum(exact, Fraction(0))
    return [weight / total for weight in exact]


def by_due_time(weights: Sequence[Fraction]) -> bool:
    """Whether the order of due times keeps every domain within a sample of its share: w (K - 2) <= 1 for each.

    With K domains of positive weight, ``abs(count_d - position * w_d) <= 1/2 + w_d * (K - 2) / 2``: by time t
    domain d has taken t w_d rounded to a neighbour, so its count is off by at most 1/2 from t w_d; substitute
    position - t = sum over domains of those errors.

    >>> by_due_time(exact_weights([0.8, 0.1, 0.1])), by_due_time(exact_weights([0.7, 0.1, 0.1, 0.1]))
    (True, False)
    """
    return max(weights) * (sum(weight > 0 for weight in weights) - 2) <= 1


def counts_at(weights: Sequence[Fraction], position: int) -> list[int]:
    """How many of the first ``position`` samples belong to each domain: never a whole sample off its share.

    O(K log K) for any position in the order of due times, else as ``fair_counts``.

    >>> counts_at(exact_weights([0.9, 0.1]), 10)
    [9, 1]
    """
    if not by_due_time(weights):
        return fair_counts(weights, position)
    counts, queue = _due(weights, position)
    for _ in range(position - sum(counts)):
        counts[_take(queue, weights)] += 1
    return counts


def turns(weights: Sequence[Fraction], position: int) -> Iterator[tuple[int, int]]:
    """Yield (domain index, how many samples of that domain came before) from ``position`` on, without end.

    >>> steps = turns(exact_weights([0.75, 0.25]), 2)
    >>> [next(steps) for _ in range(4)]
    [(1, 0), (0, 2), (0, 3), (0, 4)]
    """
    if not by_due_time(weights):
        yield from fair_turns(weights, position)
        return
    counts, queue = _due(weights, position)
    for _ in range(position - sum(counts)):
        counts[_take(queue, weights)] += 1
    while True:
        domain = _take(queue, weights)
        yield domain, counts[domain]
        counts[domain] += 1


def _due(weights: Sequence[Fraction], position: int) -> tuple[list[int], list[tuple[Fraction, int]]]:
    """Counts at a time that is surely not after ``position``, and the queue of what is due next.

    At time t the counts sum to at most t + K/2, so t = position - K/2 has taken at most ``position`` samples and at
    least ``position - K``: fewer than K + 1 steps remain.
    """
    positive = sum(weight > 0 for weight in weights)
    time = max(Fraction(0), position - Fraction(positive, 2))
    counts = [math.floor(time * weight + Fraction(1, 2)) for weight in weights]
    queue = [((2 * n + 1) / (2 * w), d) for d, (n, w) in enumerate(zip(counts, weights, strict=True)) if w > 0]
    heapq.heapify(queue)
    return counts, queue


def _take(queue: list[tuple[Fraction, int]], weights: Sequence[Fraction]) -> int:
    due, domain = queue[0]
    heapq.heapreplace(queue, (due + 1 / weights[domain], domain))
    return domain
