"""Counts of lengths, from which quantiles follow within 1 %: they add up over parts and take no room."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

EXACT = 100  # lengths below this are counted as they are
STEP = math.log(1.01)


def bin_of(length: int) -> int:
    """The bin of a length: one for each up to ``EXACT``, then one for each 1 %."""
    return length if length < EXACT else EXACT + int(math.log(length / EXACT) / STEP)


def largest_of(number: int) -> int:
    """About the largest length of a bin.

    >>> largest_of(bin_of(7)), 1000 <= largest_of(bin_of(1000)) <= 1010
    (7, True)
    """
    return number if number < EXACT else math.floor(EXACT * math.exp((number - EXACT + 1) * STEP))


def quantiles(counts: Mapping[int, int], levels: Sequence[float]) -> list[int | None]:
    """The lengths below or at which these shares are, each within 1 %; None where there is nothing.

    >>> quantiles({3: 1, 5: 1, 9: 2}, [0.25, 0.5, 1.0])
    [3, 5, 9]
    """
    total = sum(counts.values())
    if not total:
        return [None] * len(levels)
    told: list[int | None] = []
    for level in levels:
        seen, wanted = 0, max(1, math.ceil(level * total))
        for number in sorted(counts):
            seen += counts[number]
            if seen >= wanted:
                told.append(largest_of(number))
                break
    return told


def count_lengths(lengths: Counter[int]) -> dict[str, int]:
    """Bins as JSON has them: text -> count, sorted."""
    return {str(number): lengths[number] for number in sorted(lengths)}
