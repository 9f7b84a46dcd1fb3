from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from speciate.laws.split import PRESET, SPLIT, best_seed
from speciate.planning.split.fit import Fitted, fit_split
from speciate.planning.split.sizes import power_draws, power_law, share_by_size

B = 1e9


def fitted(noise: float, draws: int = 100) -> Fitted:
    tokens = [(n, d, t) for n in (0.1, 0.35, 0.76, 1.3) for d in (0, 5, 20, 60, 120, 200) for t in (0, 2, 8, 30)]
    table = pd.DataFrame([run for run in tokens if sum(run[1:])], columns=["params", "seed_tokens", "tokens"]) * B
    table["run"] = [f"r{i}" for i in range(len(table))]
    table["loss"] = SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]])
    table["loss"] += np.random.default_rng(0).normal(0, noise, len(table))
    return fit_split(table, None, None, None, draws, 0)[0]


def test_two_sizes_do_not_tell_what_size_does_and_the_one_asked_for_stands_by_itself() -> None:
    runs = [(n, d, t) for n in (0.35, 1.3) for d in (0, 5, 20, 60, 120) for t in (0, 2, 8, 30)]
    table = pd.DataFrame([run for run in runs if sum(run[1:])], columns=["params", "seed_tokens", "tokens"]) * B
    table["run"] = [f"r{i}" for i in range(len(table))]
    table["loss"] = SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]])
    table.index = table.index[::-1]  # rows are found by place, whatever they are called
    both, asked = fit_split(table, 0.35 * B, None, None, 100, 0)
    alone, _ = fit_split(table[table["params"] == 0.35 * B], None, None, None, 100, 0)
    assert asked == 0.35 * B and both.law.name == "split-one-size"
    assert (both.theta == alone.theta).all() and both.rows["run"].tolist() == alone.rows["run"].tolist()
    assert any("2 sizes do not tell" in note for note in both.notes) and len(both.notes) == len(alone.notes) + 1


def test_without_noise_shares_are_the_presets_own_and_the_law_over_sizes_extrapolates() -> None:
    found = share_by_size(fitted(0.0), 2.7 * B, 240 * B, 16, 0.9, 0)
    for size, share, _, _ in found.sizes:
        assert share == pytest.approx(best_seed(PRESET, size, 240 * B, 16) / (240 * B), rel=0.01)
    assert len(found.sizes) == 4 and found.b is not None and found.b > 0
    assert found.share[0] == pytest.approx(best_seed(PRESET, 2.7 * B, 240 * B, 16) / (240 * B), rel=0.1)


def test_with_noise_the_share_has_an_interval() -> None:
    value, low, high = share_by_size(fitted(0.003), 2.7 * B, 240 * B, 16, 0.9, 0).share
    assert value is not None and low is not None and high is not None
    assert 0 < low < value < high <= 1 and high - low > 0.02


def test_one_size_with_rows_enough_gives_no_law() -> None:
    few = fitted(0.003)
    x = few.weighted.x
    keep = (x["params"] == 1.3 * B) | (x["tokens"] < 1 * B)  # other sizes: seeds only
    weighted = dataclasses.replace(
        few.weighted, x={k: v[keep] for k, v in x.items()}, y=few.weighted.y[keep], weights=few.weighted.weights[keep]
    )
    found = share_by_size(
        dataclasses.replace(few, weighted=weighted, rows=few.rows[keep]), 2.7 * B, 240 * B, 16, 0.9, 0
    )
    assert len(found.sizes) == 1 and found.a is None and found.share == (None, None, None) and "1 sizes" in found.note
    assert found.to_json()["share"] is None


def test_power_law_through_exact_shares() -> None:
    sizes = {1e8: 0.1, 1e9: 0.2, 1e10: 0.4}
    a, b = power_law(sizes, sizes)
    assert a == pytest.approx(0.2) and b == pytest.approx(np.log10(2))
    drawn = power_draws({size: np.array([share, share / 2]) for size, share in sizes.items()})
    np.testing.assert_allclose(drawn, [[0.2, 0.1], [np.log10(2)] * 2])
