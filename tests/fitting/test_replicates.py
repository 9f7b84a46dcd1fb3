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
