"""Profile intervals: the t interval where all is quadratic, ridges where it is not, and open ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from speciate.fitting.curvature import curvature
from speciate.fitting.objective import Loss
from speciate.fitting.profile import HELD, held, profile
from speciate.fitting.solve import solve
from speciate.laws import LAWS
from speciate.laws.law import Array, Law

DATA = Path(__file__).parents[3] / "shared" / "data"

LINE = LAWS["accuracy-loss-linear"]  # a + b loss


def line(n: int) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(0)
    loss = rng.uniform(1, 5, n)
    return {"loss": loss}, 2 + 0.5 * loss + rng.normal(0, 0.1 * loss)


def test_a_straight_line_gets_its_t_interval() -> None:
    x, y = line(24)
    theta = solve(LINE, x, y).theta
    trunks = np.repeat(np.arange(8), 3)
    variance = curvature(LINE, x, y, np.ones(24), theta, Loss("squared")).variance(trunks)
    found = profile(LINE, x, y, None, theta, Loss("squared"), trunks, 0.95)
    for j, name in enumerate(LINE.names):
        half = t.ppf(0.975, 7) * np.sqrt(variance[j, j])
        assert (found[name].low, found[name].high) == pytest.approx((theta[j] - half, theta[j] + half), rel=1e-6)
        assert found[name].note == ""


def test_a_law_of_one_parameter_has_nothing_to_refit() -> None:
    mean = replace(LINE, parameters=LINE.parameters[:1], terms=lambda nonlinear, x: (1.0,))
    y = np.array([1.0, 2.0, 4.0, 7.0])
    low, high, _ = profile(mean, {"loss": np.ones(4)}, y, None, [y.mean()], Loss("squared"), np.arange(4), 0.9)["a"]
    half = t.ppf(0.95, 3) * y.std(ddof=1) / 2
    assert (low, high) == pytest.approx((y.mean() - half, y.mean() + half))


@pytest.mark.parametrize("name", ["chinchilla", "mixture-general", "accuracy-compute", "mixing"])
def test_a_held_parameter_changes_nothing_but_who_gives_it(name: str) -> None:
    law = LAWS[name]
    rng = np.random.default_rng(0)
    x = {given.name: rng.uniform(0.2, 0.4, 6) * (1 if given.zero else 1e9) for given in law.inputs}
    theta = np.array([0.3 if not np.isfinite(p.high) else (p.low + 2 * p.high) / 3 for p in law.parameters])
    value, slopes = law.jacobian(theta, x)
    for column, parameter in enumerate(law.names):
        rest = held(law, parameter)
        given = {**x, HELD: np.full(6, theta[column])}
        others, bent = rest.jacobian(np.delete(theta, column), given)
        np.testing.assert_allclose(others, value, rtol=1e-12)
        np.testing.assert_allclose(bent, np.delete(slopes, column, axis=-1), rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(rest.predict(np.delete(theta, column), given), value, rtol=1e-12)


def exact(law: Law, theta: Array, x: dict[str, Array], noise: float, seed: int = 0) -> Array:
    return law.predict(theta, x) * np.exp(np.random.default_rng(seed).normal(0, noise, len(next(iter(x.values())))))


def test_ends_are_where_the_refitted_objective_has_risen() -> None:
    law, loss = LAWS["chinchilla"], Loss("log-huber", 1e-3)
    sizes, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 6)))
    x = {"params": sizes, "tokens": tokens}
    y = exact(law, np.array([1.8, 480, 2100, 0.35, 0.37]), x, 0.01)
    best = solve(law, x, y)
    found = profile(law, x, y, None, best.theta, loss, np.arange(30), 0.9)
    about = curvature(law, x, y, np.ones(30), best.theta, loss)
    variance, stiffness = np.diag(about.variance(np.arange(30))), np.diag(about.inverse)
    for j, name in enumerate(law.names):
        allowed = t.ppf(0.95, 29) ** 2 * variance[j] / stiffness[j] / 2
        for end in (found[name].low, found[name].high):
            assert end is not None
            again = solve(held(law, name), {**x, HELD: np.full(30, end)}, y)  # a search of its own, not a descent
            assert again.objective - best.objective == pytest.approx(allowed, rel=0.02)
    spans = {name: (found[name].low, found[name].high) for name in law.names}
    assert all(low < value < high for (low, high), value in zip(spans.values(), best.theta, strict=True))


def test_what_rows_cannot_bound_has_no_end() -> None:
    law = LAWS["chinchilla"]
    rng = np.random.default_rng(3)
    x = {"params": rng.uniform(1e8, 3e8, 30), "tokens": rng.uniform(1e9, 2e9, 30)}
    y = exact(law, np.array([0.3, 480, 2100, 0.3, 0.3]), x, 0.02)
    best = solve(law, x, y)
    found = profile(law, x, y, None, best.theta, Loss("log-huber", 1e-3), np.arange(30), names=["E"])
    assert list(found) == ["E"]
    assert found["E"].low is None and "below" in found["E"].note  # an E of 0 does as well
    assert found["E"].high is not None and best.theta[0] < found["E"].high < 1.1 * y.min()


def test_a_parameter_on_its_bound_is_bounded_from_one_side() -> None:
    law = LAWS["chinchilla"]
    sizes, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 6)))
    x = {"params": sizes, "tokens": tokens}
    y = exact(law, np.array([0.0, 40.0, 60.0, 0.15, 0.15]), x, 0.02, seed=4)
    best = solve(law, x, y)
    assert "E = 0" in best.status
    found = profile(law, x, y, None, best.theta, Loss("log-huber", 1e-3), np.arange(30), names=["E"])["E"]
    assert found.low is None and found.high is not None and 0 < found.high < 2


def test_one_run_and_exact_rows() -> None:
    x, y = line(12)
    theta = solve(LINE, x, y).theta
    alone = profile(LINE, x, y, None, theta, Loss("squared"), np.zeros(12))
    assert alone["a"].low is None and "one run" in alone["a"].note
    weights = np.r_[np.ones(11), 0.0]
    without = profile(LINE, {"loss": x["loss"][:-1]}, y[:-1], None, theta, Loss("squared"), np.arange(11))
    assert profile(LINE, x, y, weights, theta, Loss("squared"), np.arange(12))["b"] == without["b"]


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_the_chinchilla_points_give_about_the_published_standard_errors() -> None:
    table = pd.read_csv(DATA / "chinchilla_points.csv").sort_values("loss").iloc[:-5]
    law, y = LAWS["chinchilla"], table["loss"].to_numpy()
    x = {name: table[name].to_numpy(dtype=float) for name in ("params", "tokens")}
    theta = solve(law, x, y).theta
    found = profile(law, x, y, None, theta, Loss("log-huber", 1e-3), np.arange(len(y)), 0.6827)  # one standard error
    for name, published in (("E", 0.03), ("alpha", 0.02), ("beta", 0.02), ("A", 125.0)):  # Besiroglu 2404.10102
        low, high, _ = found[name]
        assert low is not None and high is not None
        assert 0.6 * published < (high - low) / 2 < 1.4 * published, name
