"""Laws of loss are recovered from their own values, and their derivatives agree with differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve
from speciate.laws import Law
from speciate.laws.d_cpt import D_CPT
from speciate.laws.kaplan import KAPLAN
from speciate.laws.kaplan import PUBLISHED as KAPLANS
from speciate.laws.liew_kato import LIEW_KATO
from speciate.laws.mixing import mixing
from speciate.laws.optimal_mixture import optimal_mixture
from speciate.laws.repetition import PUBLISHED as MUENNIGHOFFS
from speciate.laws.repetition import REPETITION
from speciate.laws.split import PRESET, SPLIT

Rows = dict[str, np.ndarray]


def grid(**axes: list[float] | np.ndarray) -> Rows:
    columns = np.meshgrid(*axes.values(), indexing="ij")
    return {name: column.ravel() for name, column in zip(axes, columns, strict=True)}


def only(rows: Rows, chosen: np.ndarray) -> Rows:
    return {name: column[chosen] for name, column in rows.items()}


def plain() -> Rows:
    return grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(1e8, 2e10, 6))


def repeated() -> Rows:
    tokens, unique = np.geomspace(1e9, 2e11, 5), np.geomspace(1e8, 1e11, 5)
    rows = grid(params=np.geomspace(5e7, 9e9, 5), tokens=tokens, unique_tokens=unique)
    return only(rows, rows["unique_tokens"] <= rows["tokens"])


def continued() -> Rows:
    ratios = [0.0, 0.1, 0.2, 0.33, 0.5, 0.66, 0.8, 1.0]
    return grid(params=[0.5e9, 1.8e9, 4e9, 7e9], tokens=[1e9, 4e9, 10e9, 26e9], domain_ratio=ratios)


def shares(count: int, rows: int) -> Rows:
    drawn = np.random.default_rng(0).dirichlet(np.full(count, 0.8), rows).T
    return {f"share_{i}": drawn[i] for i in range(count)}


def mixtures(count: int, rows: int) -> Rows:
    rng = np.random.default_rng(1)
    sizes, tokens = rng.choice([2e8, 4e8, 8e8, 1.6e9, 3e9], rows), rng.choice([4e9, 8e9, 16e9, 32e9, 64e9], rows)
    return {"params": sizes, "tokens": tokens, **shares(count, rows)}


def stages(zero: bool) -> Rows:
    seeds, tokens = [0.0, 5e9, 10e9, 20e9, 40e9, 80e9, 160e9], [0.0, 5e9, 10e9, 15e9, 30e9]
    rows = grid(params=[1e8, 3.5e8, 7.6e8, 1.3e9, 2.7e9], seed_tokens=seeds, tokens=tokens)
    return only(rows, rows["seed_tokens"] + rows["tokens"] > 0 if zero else rows["seed_tokens"] * rows["tokens"] > 0)


def named(count: int) -> list[str]:
    return [str(i) for i in range(count)]


CASES: dict[str, tuple[Law, Callable[[], Rows], list[float]]] = {
    "kaplan": (KAPLAN, plain, list(KAPLANS)),
    "repetition": (REPETITION, repeated, list(MUENNIGHOFFS)),
    "d-cpt": (D_CPT, continued, [1.2, 0.6, 0.4, 0.15, 0.35, 0.3, 0.5, 0.8, 0.05]),
    "d-cpt, wide share": (D_CPT, continued, [1.6, 0.3, 0.2, 0.4, 0.5, 0.4, 1.3, 0.25, 0.2]),
    "mixing, 2 domains": (mixing(named(2)), lambda: shares(2, 12), [3.2, 0.6, -1.3]),
    "mixing, nearly straight": (mixing(named(2)), lambda: shares(2, 12), [3.2, 0.6, -0.07]),
    "mixing, 5 domains": (mixing(named(5)), lambda: shares(5, 26), [3.2, 0.6, 1.9, -0.7, -0.7, 1.8]),
    "optimal-mixture": (
        optimal_mixture(named(3)),
        lambda: mixtures(3, 100),
        [1.2, 0.4, 0.9, 0.5, 0.4, 0.5, 0.1, 0.3, 0.5, 0.4, 2.0],
    ),
    "split": (SPLIT, lambda: stages(zero=True), list(PRESET)),
    "liew-kato": (LIEW_KATO, lambda: stages(zero=False), [1.5, 1.2, 0.8, 0.12, 0.1, 0.015, 0.35]),
}


@pytest.mark.parametrize("name", CASES)
def test_noise_free_rows_give_the_law_back(name: str) -> None:
    law, design, truth = CASES[name]
    x = design()
    y = law.predict(truth, x)
    found = solve(law, x, y)
    np.testing.assert_allclose(law.predict(found.theta, x), y, rtol=1e-6)
    assert "not converged" not in found.status


@pytest.mark.parametrize("name", CASES)
def test_with_noise_the_fit_is_at_least_as_good_as_the_truth(name: str) -> None:
    law, design, truth = CASES[name]
    x = design()
    exact = law.predict(truth, x)
    y = exact * np.exp(0.005 * np.random.default_rng(2).standard_normal(exact.size))
    found = solve(law, x, y)
    assert found.objective <= Loss(law.objective).total(exact, y, np.ones(y.size))
    assert np.abs(law.predict(found.theta, x) / exact - 1).mean() < 0.004  # what noise of .005 itself amounts to


@pytest.mark.parametrize("name", CASES)
def test_derivatives_agree_with_differences(name: str) -> None:
    law, design, truth = CASES[name]
    x, theta = design(), np.array(truth)
    value, slopes = law.jacobian(theta, x)
    np.testing.assert_allclose(value, law.predict(theta, x), rtol=1e-13)
    for i in range(theta.size):
        step = np.zeros_like(theta)
        step[i] = 1e-5 * max(abs(theta[i]), 1e-2)
        difference = (law.predict(theta + step, x) - law.predict(theta - step, x)) / (2 * step[i])
        np.testing.assert_allclose(
            slopes[:, i], difference, rtol=1e-5, atol=1e-9 * np.abs(value).max() / step[i] * 1e-4
        )
