"""Turns of many domains: within Tijdeman's bound at every position, and a pure function of the position."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speciate.corpus.tokens import fair
from speciate.corpus.tokens.fair import fair_counts, fair_turns
from speciate.corpus.tokens.interleave import by_due_time, counts_at, exact_weights, turns

HEAVY = [90, *[1] * 10]


def shares(parts: list[int]) -> list[Fraction]:
    return [Fraction(part, sum(parts)) for part in parts]


def worst(order: list[int], weights: list[Fraction]) -> Fraction:
    counts, most = [0] * len(weights), Fraction(0)
    for position, domain in enumerate(order, 1):
        counts[domain] += 1
        most = max(most, *(abs(n - position * w) for n, w in zip(counts, weights, strict=True)))
    return most


def greedy(weights: list[Fraction], length: int) -> list[int]:
    counts, order = [0] * len(weights), []
    for position in range(1, length + 1):
        domain = max(range(len(weights)), key=lambda d: (position * weights[d] - counts[d], -d))
        counts[domain] += 1
        order.append(domain)
    return order


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 1, 2, 7, 97, 1000]), min_size=2, max_size=9).filter(lambda p: sum(map(bool, p)) > 1)
)
@example(HEAVY)
@example([1000, *[1] * 30])
@example([3**i for i in range(8)])
def test_every_count_keeps_tijdemans_bound(parts: list[int]) -> None:
    weights = shares(parts)
    order = [domain for domain, _ in islice(fair_turns(weights, 0), 600)]
    bound = 1 - Fraction(1, 2 * sum(map(bool, parts)) - 2)
    assert worst(order, weights) <= bound


def test_due_times_and_the_greatest_lag_stray_where_this_does_not() -> None:
    """Why there are two orders: the bound is broken by both obvious ones."""
    weights = shares(HEAVY)
    assert not by_due_time(weights)
    assert worst([d for d, _ in islice(turns(weights, 0), 300)], weights) < 1
    uneven = shares([1000] * 4 + [100] * 3 + [10] * 5 + [5] * 2 + [3, 2, 2, 2, 1, 1, 1, 1])
    assert worst(greedy(uneven, 1500), uneven) > 1.3
    assert worst([d for d, _ in islice(fair_turns(uneven, 0), 1500)], uneven) < 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30_000), st.sampled_from([HEAVY, [8_000_009, 3, 5_000, 77, 1, 1_999]]))
def test_a_position_is_a_position_however_it_is_reached(position: int, parts: list[int]) -> None:
    weights = shares(parts)
    fair._order.cache_clear()
    steps = list(islice(fair_turns(weights, position), 10))
    assert [before for _, before in steps] == [fair_counts(weights, position + i)[d] for i, (d, _) in enumerate(steps)]
    fair_counts(weights, 40_000)
    assert list(islice(fair_turns(weights, position), 10)) == steps
    assert sum(fair_counts(weights, position)) == position


@pytest.mark.parametrize("weights", [[0.9, 0.1], [1.0], [0.5, 0.25, 0.25], [0.25] * 4, [0.98, 0.0, 0.02]])
def test_mixtures_that_due_times_serve_keep_their_order(weights: list[float]) -> None:
    assert by_due_time(exact_weights(weights))


def test_the_order_never_changes_silently() -> None:
    weights = exact_weights([0.7, 0.1, 0.1, 0.06, 0.04])
    assert [d for d, _ in islice(turns(weights, 0), 20)] == GOLDEN
    assert counts_at(weights, 10**12 + 50) == [int(w * (10**12 + 50)) for w in weights]


GOLDEN = [0, 0, 1, 0, 0, 0, 2, 0, 0, 3, 0, 0, 1, 0, 0, 0, 2, 0, 0, 4]
