"""What a fit hangs on is found: the outlier, the rows that only matter together, the run, the corner."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speciate.fitting.influence import sensitivity
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve, solve_batch
from speciate.laws import LAWS
from speciate.laws.law import Array

DATA = Path(__file__).parents[3] / "shared" / "data"
LINE = LAWS["accuracy-loss-linear"]  # a + b loss


def line(n: int = 60) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(0)
    loss = rng.uniform(1, 5, n)
    return {"loss": loss}, 2 + 0.5 * loss + rng.normal(0, 0.02, n)


def test_an_outlier_is_found_and_refitted_exactly() -> None:
    x, y = line()
    y[17] += 3
    theta = solve(LINE, x, y).theta
    found = sensitivity(LINE, x, y, None, theta, Loss("squared"), np.arange(60))
    without = solve(LINE, {"loss": np.delete(x["loss"], 17)}, np.delete(y, 17)).theta
    assert found.points[0].rows == (17,) and found.without[0].rows == (17,)  # 2 % of 60 rows is one
    assert list(found.points[0].parameters.values()) == pytest.approx(without.tolist(), rel=1e-9)
    assert len(found.points) == 5 and found.runs == () and found.deltas == ()
    sizes = [point.half_widths for point in found.points]
    assert sizes == sorted(sizes, reverse=True)


def test_a_run_that_pulls_is_named() -> None:
    x, y = line()
    runs = np.array([f"run{i // 6}" for i in range(60)])
    y[runs == "run3"] += 0.5 * (x["loss"][runs == "run3"] - 1)
    theta = solve(LINE, x, y).theta
    spans = {"a": (theta[0] - 0.02, theta[0] + 0.02), "b": (theta[1] - 0.01, theta[1] + 0.01)}
    found = sensitivity(LINE, x, y, None, theta, Loss("squared"), runs, spans)
    assert found.runs[0].run == "run3" and found.runs[0].half_widths > 1
    kept = runs != "run3"
    again = solve(LINE, {"loss": x["loss"][kept]}, y[kept]).theta
    assert found.runs[0].parameters["b"] == pytest.approx(again[1], rel=1e-9)
    assert f"without run run3 a is {again[0]:.4g} rather than {theta[0]:.4g}" in found.words()


def test_corners_are_refitted_and_flagged() -> None:
    x, y = line()
    y[:6] += np.linspace(0.5, 3, 6)
    theta = solve(LINE, x, y, objective="huber", delta=0.01).theta
    found = sensitivity(
        LINE, x, y, None, theta, Loss("huber", 0.01), np.arange(60), {"a": (1.9, 2.1), "b": (0.49, 0.51)}
    )
    assert [corner.delta for corner in found.deltas] == [pytest.approx(0.001), 0.01, pytest.approx(0.1), None]
    assert found.deltas[1].moved == () and found.deltas[3].moved  # squares follow the six
    squared = solve(LINE, x, y, objective="squared")
    assert list(found.deltas[3].parameters.values()) == pytest.approx(squared.theta.tolist(), rel=1e-6)
    assert found.deltas[3].objective == pytest.approx(squared.objective, rel=1e-9)
    assert "with the squared objective" in found.words()
    by_row = sensitivity(LINE, x, y, None, theta, Loss("huber", np.full(60, 0.01)), np.arange(60))
    assert [corner.objective for corner in by_row.deltas] == pytest.approx(
        [corner.objective for corner in found.deltas]
    )


def test_it_is_plain_json_and_open_ends_are_replaced() -> None:
    x, y = line(20)
    theta = solve(LINE, x, y, objective="huber").theta
    found = sensitivity(LINE, x, y, None, theta, Loss("huber"), np.arange(20), {"a": (None, 2.1)})
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["points"][0]["rows"] == list(found.points[0].rows)
    assert told["intervals"]["a"]["low"] < theta[0] < told["intervals"]["a"]["high"]
    labels = [f"line {i + 2}" for i in range(20)]
    assert labels[found.without[0].rows[0]] in found.words(labels)


def test_as_many_rows_as_parameters_leave_nothing_to_leave_out() -> None:
    x, y = line(2)
    found = sensitivity(LINE, x, y, None, solve(LINE, x, y).theta, Loss("squared"), np.arange(2))
    assert found.points == () and found.without == () and found.words() == ""


def test_many_rows_stay_cheap() -> None:
    x, y = line(100_000)
    found = sensitivity(LINE, x, y, None, solve(LINE, x, y).theta, Loss("squared"), np.arange(100_000) // 1000)
    assert len(found.without[0].rows) == 5 and len(found.runs) == 5
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_the_five_points_that_decide_beta_are_found_among_the_chinchilla_points() -> None:
    table = pd.read_csv(DATA / "chinchilla_points.csv")
    law, y = LAWS["chinchilla"], table["loss"].to_numpy()
    x = {name: table[name].to_numpy(dtype=float) for name in ("params", "tokens")}
    theta = solve(law, x, y).theta
    weights = np.random.default_rng(0).exponential(size=(200, len(y)))
    low, high = np.quantile(solve_batch(law, x, y, weights, theta)[0], (0.05, 0.95), axis=0)
    spans = {name: (float(lo), float(hi)) for name, lo, hi in zip(law.names, low, high, strict=True)}
    found = sensitivity(law, x, y, None, theta, Loss("log-huber", 1e-3), np.arange(len(y)), spans)
    worst = found.without[0]
    assert set(worst.rows) == set(np.argsort(-y)[:5])
    assert found.parameters["beta"] == pytest.approx(0.453, abs=5e-4)
    assert worst.parameters["beta"] == pytest.approx(0.3672, abs=5e-4) and "beta" in worst.moved
    assert "beta is 0.3672 rather than 0.453" in found.words()
