"""Laws are ranked by held-out error, and called different only where the runs held out can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.fitting.scores import Split, scored, told
from speciate.laws.law import Array

Y = np.linspace(2.0, 3.0, 24)


def split(predicted: dict[str, Array | str], runs: int = 8, y: Array = Y) -> Split:
    rows = pd.DataFrame({"loss": y, "run": [f"r{i % runs}" for i in range(len(y))]})
    return scored("params >= 1e9", rows, 50, "loss", predicted, 500, 0.9, 0)


def test_the_smaller_error_comes_first_and_reasons_come_last() -> None:
    found = split({"none": "fewer rows than parameters", "far": 1.05 * Y, "near": 1.01 * Y})
    assert [score.law for score in found.scores] == ["near", "far", "none"]
    assert found.scores[0].mre == pytest.approx(0.01) and found.scores[1].mae == pytest.approx(0.05 * Y.mean())
    assert found.scores[2].reason == "fewer rows than parameters" and "fewer rows" in told(found.scores[2])
    assert (found.rows, found.runs, found.fitted_rows) == (24, 8, 50)
    assert found.decided and found.difference == pytest.approx(0.04) and found.low == pytest.approx(0.04)


def test_a_difference_that_runs_disagree_about_is_not_decidable() -> None:
    signs = np.where(np.arange(24) % 8 < 4, 1.03, 1.01)
    found = split({"one": signs * Y, "two": (2.045 - signs) * Y})
    assert not found.decided and found.low is not None and found.low < 0 and "not decidable" in found.statement


def test_rows_of_one_run_are_one_vote() -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 240)
    y = np.full(240, 2.0)
    predicted: dict[str, Array | str] = {"one": y + noise, "two": y + 1.05 * noise[::-1]}
    assert split(predicted, 3, y).low is None and "3 runs held out" in split(predicted, 3, y).statement
    assert split(predicted, 120, y).low is not None
    alone = scored("x", pd.DataFrame({"loss": y, "run": "r"}), 5, "loss", predicted, 100, 0.9, 0)
    assert "1 run held out" in alone.statement and not alone.decided


def test_with_a_measurement_of_zero_absolute_errors_rank() -> None:
    y = np.r_[0.0, Y[1:]]
    found = split({"one": y + 0.2, "two": y + 0.1}, y=y)
    assert [score.law for score in found.scores] == ["two", "one"] and found.scores[0].mre is None
    assert found.low == pytest.approx(0.1) and "%" not in found.statement.split("(")[0]


def test_nothing_to_compare() -> None:
    assert split({"a": "no", "b": "no"}).statement == "not decidable: no law can be fitted"
    assert split({"a": "no", "b": Y}).statement == "only b can be fitted"
