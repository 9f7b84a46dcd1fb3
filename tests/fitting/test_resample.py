from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.fitting.resample import cluster_weights, units


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_rows_of_a_unit_stay_together_and_none_is_lost(ids: list[int], seed: int) -> None:
    weights = cluster_weights(ids, 20, np.random.default_rng(seed))
    assert weights.shape == (20, len(ids)) and (weights > 0).all()
    first = {unit: ids.index(unit) for unit in ids}
    for i, unit in enumerate(ids):
        np.testing.assert_array_equal(weights[:, i], weights[:, first[unit]])
    np.testing.assert_allclose(weights[:, list(first.values())].mean(axis=1), 1.0, rtol=1e-12)


def test_the_same_seed_gives_the_same_weights() -> None:
    again = [cluster_weights(["a", "b", "b"], 5, np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_a_mean_varies_as_much_as_its_standard_error_says() -> None:
    ids = np.repeat(np.arange(40), 3)
    y = np.random.default_rng(1).normal(size=40)[ids]
    weights = cluster_weights(ids, 4000, np.random.default_rng(0))
    spread = ((weights @ y) / weights.sum(axis=1)).std()
    assert 0.93 < spread / (y.std() / np.sqrt(40)) < 1.05  # (G + 1)^-1/2 rather than G^-1/2, and chance


def test_units_are_trunks_then_runs_then_rows() -> None:
    rows = pd.DataFrame({"run": ["a", "b", "c", "c"], "trunk": ["t", "t", "u", "u"]})
    found = units(rows)
    assert (found.level, found.count, found.trunks, found.runs) == ("trunk", 2, 2, 3)
    found = units(rows.assign(trunk="t"))
    assert (found.level, found.count, found.trunks) == ("run", 3, 1) and found.ids.tolist() == [0, 1, 2, 2]
    assert units(pd.DataFrame({"loss": [1.0, 2.0]})).count == 2
