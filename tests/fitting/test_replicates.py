from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.fitting import replicates
from speciate.fitting.fit import fit
from speciate.laws import LAWS

TRUTH = [1.8, 480.0, 2100.0, 0.35, 0.37]


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    params = 10 ** rng.uniform(7, 10, rows)
    found = pd.DataFrame({"params": params, "tokens": params * 10 ** rng.uniform(0.5, 2, rows)})
    found["run"] = [f"r{i // 5}" for i in range(rows)]
    exact = LAWS["chinchilla"].predict(TRUTH, {"params": found["params"], "tokens": found["tokens"]})
    return found.assign(loss=exact * np.exp(rng.normal(0, 0.004, rows)))


def test_one_newton_step_gives_the_width_that_refits_give(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table(3000)
    refits = fit("chinchilla", rows, bootstrap=200)
    monkeypatch.setattr(replicates, "WORK", 1000)
    steps = fit("chinchilla", rows, bootstrap=200)
    assert "one Newton step" in steps.status and "Newton" not in refits.status
    for name in refits.law.names:
        one, two = refits.parameters[name], steps.parameters[name]
        assert one["value"] == two["value"]
        assert 0.7 < (two["high"] - two["low"]) / (one["high"] - one["low"]) < 1.4


def test_many_rows_are_searched_on_a_sample_and_fitted_whole() -> None:
    rows = table(9000)
    found = fit("chinchilla", rows, bootstrap=0)
    again = fit("chinchilla", rows.sample(frac=1, random_state=1), bootstrap=0)  # another sample
    assert found.objective == pytest.approx(again.objective, rel=1e-9)
    np.testing.assert_allclose(found.theta, TRUTH, rtol=0.05)


def test_one_trunk_is_said() -> None:
    assert "all runs share one trunk" in fit("chinchilla", table(100).assign(trunk="t"), bootstrap=20).status
    assert "trunk" not in fit("chinchilla", table(100), bootstrap=20).status


def few(trunks: int, seed: int) -> pd.DataFrame:
    """A grid of nine runs on every trunk, trunks 1 % apart."""
    rng = np.random.default_rng(seed)
    sizes, tokens = (grid.ravel() for grid in np.meshgrid([1e8, 2.8e8, 8e8], [1e9, 2.8e9, 8e9]))
    parts = []
    for trunk in range(trunks):
        exact = LAWS["chinchilla"].predict(TRUTH, {"params": sizes, "tokens": tokens})
        loss = exact * np.exp(rng.normal(0, 0.01) + rng.normal(0, 0.005, 9))
        parts.append(pd.DataFrame({"params": sizes, "tokens": tokens, "loss": loss, "trunk": f"t{trunk}"}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("trunks", [2, 3, 18])
def test_along_a_ridge_replicates_still_predict_the_rows(trunks: int) -> None:
    for seed in range(3):
        rows = few(trunks, seed) if trunks < 18 else few(2, seed).drop(columns="trunk")
        middle = fit("chinchilla", rows, bootstrap=100).predict_mean(params=2.8e8, tokens=2.8e9)
        assert 0 < middle.high - middle.low < 0.3 * middle.value  # trunks differ by 1 %; 1 to 5.3 was seen


def test_as_many_rows_as_parameters_leave_no_interval() -> None:
    rows = pd.DataFrame({"params": [1e9, 4e9], "perplexity": [3.0, 2.5]})
    found = fit("perplexity-size", rows, bootstrap=50)
    assert found.parameters["alpha"]["low"] is None and "no more rows than parameters" in found.status
