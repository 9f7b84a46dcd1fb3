"""Runs whose samples come in another order than they once did are other runs; all others keep their keys."""

from __future__ import annotations

import pytest

from speciate.corpus.tokens.interleave import by_due_time, exact_weights
from speciate.runs.spec import Phase
from speciate.runs.tree import _phase_state


@pytest.mark.parametrize(
    "weights", [[1.0], [0.98, 0.02], [0.8, 0.1, 0.1], [0.5, 0.2, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1], [0.9, *[0.02] * 5]]
)
def test_the_key_tells_which_order_the_stream_uses(weights: list[float]) -> None:
    mixture = tuple((f"d{i}", w) for i, w in enumerate(weights))
    phase = Phase(mixture=(*mixture, ("unused", 0.0)), tokens=64, learning_rate=1e-3)
    assert ("interleave" not in _phase_state(phase, first=True)) == by_due_time(exact_weights(weights))
