from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.fitting.resample import cluster_weights, units


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30), st.integers(0, 5))
def test_rows_of_a_run_stay_together_and_runs_are_conserved(rows: list[tuple[int, int]], seed: int) -> None:
    trunks, runs = np.array([t for t, _ in rows]), np.array([10 * t + r for t, r in rows])
    weights = cluster_weights(trunks, runs, 20, np.random.default_rng(seed))
    assert weights.shape == (20, len(rows)) and (weights >= 0).all() and (weights == np.round(weights)).all()
    first = {run: int(np.flatnonzero(runs == run)[0]) for run in np.unique(runs)}
    for i, run in enumerate(runs):
        np.testing.assert_array_equal(weights[:, i], weights[:, first[run]])
    copies = np.zeros(20)
    for trunk in np.unique(trunks):
        members = [i for run, i in first.items() if run // 10 == trunk]
        copies += weights[:, members].sum(axis=1) / len(members)  # how often the trunk was drawn
    np.testing.assert_allclose(copies, len(np.unique(trunks)), rtol=1e-12)


def test_the_same_seed_gives_the_same_weights() -> None:
    again = [cluster_weights(["a", "b", "b"], [1, 2, 3], 5, np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_weights_are_one_on_average() -> None:
    runs = np.repeat(np.arange(6), 3)
    weights = cluster_weights(runs // 2, runs, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.1)
    assert units(runs // 2, runs) == (3, 6)
