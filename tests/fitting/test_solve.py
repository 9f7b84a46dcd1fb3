"""The solver: reference figures, recovery of every law, weights, batches, and honest statuses."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve, solve_batch
from speciate.laws import LAWS
from speciate.laws.mixture_general import turning_tokens

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
CHINCHILLA = LAWS["chinchilla"]

# best objective of a 4,500-start search (reference_fits.csv), made on rows with more digits than the
# six of chinchilla_points.csv: on that file the optimum is 6e-7 lower (1.6e-6 with all rows), B 1e-5 elsewhere;
# rounding alone moves them this far (test_rounding_of_the_file_explains_the_difference)
REFERENCE = {
    5: ([1.8172180990249154, 477.82586829150756, 2143.4173635350326, 0.3473104988888873, 0.36717243263180227],
        0.0010182740178005978, 0.0010182733810714),
    0: ([1.8913384991073399, 495.72600849767787, 12845.61327232745, 0.34931289368519286, 0.45304929558049695],
        0.0018260105230693308, 0.0018260076303939),
}  # fmt: skip


def points(drop: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    with (DATA / "chinchilla_points.csv").open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    rows = sorted(rows, key=lambda row: row["loss"])[: len(rows) - drop]
    x = {name: np.array([row[name] for row in rows]) for name in ("params", "tokens")}
    return x, np.array([row["loss"] for row in rows])


@needs_data
@pytest.mark.parametrize("drop", [5, 0])
def test_chinchilla_reaches_the_reference(drop: int) -> None:
    x, y = points(drop)
    theta, published, on_this_file = REFERENCE[drop]
    found = solve(CHINCHILLA, x, y)
    assert found.status == "converged" and found.agreeing >= 8
    assert found.objective <= published * (1 + 1e-9)
    assert found.objective == pytest.approx(published, rel=2e-6)
    assert found.objective == pytest.approx(on_this_file, rel=1e-11)
    np.testing.assert_allclose(found.theta, theta, rtol=2e-5)
    at_reference = float(Loss("log-huber").total(CHINCHILLA.predict(theta, x), y, np.ones(len(y))))
    assert found.objective < at_reference < found.objective * (1 + 1e-9)


@needs_data
def test_rounding_of_the_file_explains_the_difference() -> None:
    x, y = points(5)
    rng = np.random.default_rng(0)
    size = {name: 0.5 * 10.0 ** (np.floor(np.log10(values)) - 5) for name, values in x.items()}  # half a last digit
    best = []
    for _ in range(12):
        moved = {name: values + size[name] * rng.uniform(-1, 1, len(y)) for name, values in x.items()}
        best.append(solve(CHINCHILLA, moved, y + 5e-7 * rng.uniform(-1, 1, len(y)), starts=3))
    objectives = np.array([found.objective for found in best])
    assert objectives.std() / objectives.mean() > 3e-7
    assert np.array([found.theta[2] for found in best]).std() / best[0].theta[2] > 1e-6


@needs_data
def test_no_local_search_improves_the_optimum() -> None:
    x, y = points(5)
    found = solve(CHINCHILLA, x, y)

    def scaled(step: np.ndarray) -> float:
        return float(Loss("log-huber").total(CHINCHILLA.predict(found.theta * np.exp(step), x), y, np.ones(len(y))))

    better = minimize(scaled, np.zeros(5), method="Nelder-Mead", options={"maxiter": 1500, "initial_simplex": np.vstack(
        [np.zeros(5), 1e-3 * np.eye(5)])})  # fmt: skip
    assert better.fun >= found.objective * (1 - 1e-12)


@needs_data
def test_speed_of_a_fit_and_of_a_bootstrap() -> None:
    x, y = points(5)
    began = time.perf_counter()
    found = solve(CHINCHILLA, x, y)
    one = time.perf_counter() - began
    weights = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), size=1000)
    began = time.perf_counter()
    thetas, objectives = solve_batch(CHINCHILLA, x, y, weights, found.theta)
    many = time.perf_counter() - began
    assert np.isfinite(objectives).all()
    assert thetas[:, 3].std() == pytest.approx(0.0154, abs=0.002)  # Besiroglu prints .02 for alpha and beta
    assert one < 0.5 and many < 5.0  # 0.03 s and 0.4 s on a quiet core; ten times that is a fault, not noise


@needs_data
def test_warm_starts_lose_nothing_to_a_full_search() -> None:
    x, y = points(5)
    weights = np.random.default_rng(1).multinomial(len(y), np.full(len(y), 1 / len(y)), size=40)
    warm = solve_batch(CHINCHILLA, x, y, weights, REFERENCE[5][0])
    for draw in range(8):
        full = solve(CHINCHILLA, x, y, weights[draw])
        assert warm[1][draw] == pytest.approx(full.objective, rel=1e-9)
    cold = solve_batch(CHINCHILLA, x, y, weights)
    np.testing.assert_allclose(warm[1], cold[1], rtol=1e-9)


RECOVER = [
    ("chinchilla", [1.8, 480.0, 2100.0, 0.35, 0.37]),
    ("chinchilla", [0.5, 20.0, 90.0, 0.15, 0.2]),
    ("mixture-ratio", [2.0, -0.3, 0.4]),
    ("mixture-ratio", [2.0, 0.3, -1.2]),
    ("mixture-domain", [3.0, -0.05, -0.1]),
    ("mixture-domain", [-0.1, -0.05, 0.0]),
    ("mixture-general", [0.001, 0.003, -0.0004, 0.57]),
    ("mixture-general", [3.1, -0.2, 0.05, -0.7]),
    ("cmr", [-0.2, 0.1, 0.2]),
    ("cmr", [-2.1, 1.4, -0.5]),
]


def sample(name: str) -> dict[str, np.ndarray]:
    if name == "chinchilla":
        sizes, tokens = np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 6))
        return {"params": sizes.ravel(), "tokens": tokens.ravel()}
    if name == "mixture-ratio":
        return {"domain_ratio": np.linspace(0.05, 1.0, 9)}
    return {"tokens": np.geomspace(1e7, 3e10, 15)}


@pytest.mark.parametrize("objective", ["huber", "squared"])
@pytest.mark.parametrize(("name", "truth"), RECOVER)
def test_every_law_is_recovered_from_its_own_values(name: str, truth: list[float], objective: str) -> None:
    law, x = LAWS[name], sample(name)
    found = solve(law, x, law.predict(truth, x), objective=objective)  # type: ignore[arg-type]
    assert found.status == "converged"
    np.testing.assert_allclose(found.theta, truth, rtol=1e-5, atol=1e-7)


def test_one_wild_row_does_not_move_a_huber_fit_far() -> None:
    law, truth, x = LAWS["mixture-domain"], [3.0, -0.05, -0.1], sample("mixture-domain")
    y = law.predict(truth, x) + np.random.default_rng(0).normal(0, 2e-4, 15)
    y[7] += 0.5
    robust = solve(law, x, y, objective="huber").theta
    plain = solve(law, x, y, objective="squared").theta
    assert abs(robust[0] - 3.0) < 1e-3 < abs(plain[0] - 3.0)


def test_weights_count_rows() -> None:
    law, x = LAWS["cmr"], sample("cmr")
    y = law.predict([-0.2, 0.1, 0.2], x) + np.random.default_rng(0).normal(0, 0.01, 15)
    weights = np.ones(15)
    weights[2], weights[5] = 0.0, 2.0
    keep = [i for i in range(15) if i != 2] + [5]
    repeated = solve(law, {"tokens": x["tokens"][keep]}, y[keep])
    np.testing.assert_allclose(solve(law, x, y, weights).theta, repeated.theta, rtol=1e-6)


def test_every_fit_of_a_batch_may_have_its_own_rows() -> None:
    law, truths = LAWS["cmr"], np.array([[-0.2, 0.1, 0.2], [0.1, 0.05, -0.3]])
    tokens = np.stack([np.geomspace(1e9, 5e10, 5), np.geomspace(2e9, 8e10, 5)])
    y = law.predict(truths, {"tokens": tokens})
    weights = np.ones((2, 5))
    weights[1, 4], y[1, 4] = 0.0, 0.0  # a row that a replicate lacks
    thetas, objectives = solve_batch(law, {"tokens": tokens}, y, weights)
    np.testing.assert_allclose(thetas, truths, rtol=1e-6)
    assert (objectives < 1e-20).all()


def test_a_bound_is_said() -> None:
    sizes, tokens = np.meshgrid(np.geomspace(1e8, 1e10, 4), np.geomspace(1e9, 1e11, 4))
    x = {"params": sizes.ravel(), "tokens": tokens.ravel()}
    flat = solve(CHINCHILLA, x, 400 / x["params"] ** 0.2)
    assert "on a bound" in flat.status and "E = 0" in flat.status


def test_what_two_sizes_cannot_tell_apart_is_said() -> None:
    sizes, tokens = np.meshgrid([1e8, 1e9], np.geomspace(1e9, 1e11, 6))
    x = {"params": sizes.ravel(), "tokens": tokens.ravel()}
    found = solve(CHINCHILLA, x, CHINCHILLA.predict([1.8, 480.0, 2100.0, 0.35, 0.37], x))
    assert "other values of E, A, alpha predict these rows alike" in found.status


# laws.md section 2: turning points in units of 0.2e9 tokens at 12.5, 25, 33.3, 50 and 75 %; critical ratio at 100
TURNS = {
    "460M": [39.8, 79.9, 117.1, 233.5, 494.0],
    "940M": [29.0, 56.7, 92.0, 204.0, None],
    "1.6B": [23.1, 42.7, 65.6, 167.5, 693.0],
    "3.1B": [20.1, 30.8, 44.0, 114.7, 850.0],
}
CRITICAL = {"460M": 29.8, "940M": 35.4, "1.6B": 41.0, "3.1B": 48.1}
RATIOS = [12.5, 25.0, 33.3, 50.0, 75.0]


@needs_data
@pytest.mark.parametrize("model", list(TURNS))
def test_the_papers_curves_turn_where_they_should(model: str) -> None:
    general, domain, critical = LAWS["mixture-general"], LAWS["mixture-domain"], LAWS["cmr"]
    t = np.arange(1, 101.0)
    x = {"tokens": t * 0.2e9}
    with (DATA / "cmr_table4.csv").open(encoding="utf-8") as file:
        rows = {float(row["ratio_pct"]): row for row in csv.DictReader(file) if row["model"] == model}
    turns = []
    for ratio, expected in zip([*RATIOS, 100.0], [*TURNS[model], None], strict=True):
        row = {name: float(value) for name, value in rows[ratio].items() if name != "model"}
        rise = row["gen_a2"] * t ** row["gen_s2"] + row["gen_a3"] * t ** row["gen_s3"] + row["gen_b2"]
        fall = row["dom_a1"] * t ** row["dom_s1"] + row["dom_b1"]
        found = solve(general, x, rise, objective="huber")
        worst = 1e-5 if ratio <= 75 else 2e-5
        assert np.abs(general.predict(found.theta, x) - rise).max() < worst
        assert np.abs(domain.predict(solve(domain, x, fall, objective="huber").theta, x) - fall).max() < 1e-10
        turn = float(turning_tokens(found.theta, 0.2e9)) / 0.2e9
        assert np.isnan(turn) if expected is None else turn == pytest.approx(expected, rel=0.03)
        turns.append(turn)
    law = solve(critical, {"tokens": np.array(turns[:4]) * 0.2e9}, np.array(RATIOS[:4]) / 100)
    assert 100 * critical.predict(law.theta, {"tokens": [20e9]})[0] == pytest.approx(CRITICAL[model], abs=0.2)


def test_a_replicate_in_another_valley_is_found() -> None:
    law, x = LAWS["mixture-general"], {"tokens": np.geomspace(1e7, 1e10, 12)}
    rng = np.random.default_rng(0)
    y = law.predict([3.1, 0.3, -0.08, 0.5], x) + rng.normal(0, 0.2, 12)
    weights = rng.multinomial(12, np.full(12, 1 / 12), size=60)
    _, both = solve_batch(law, x, y, weights, solve(law, x, y, objective="huber").theta, objective="huber")
    _, cold = solve_batch(law, x, y, weights, objective="huber")
    assert (both <= cold * (1 + 1e-12)).all()
