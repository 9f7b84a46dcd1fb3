"""The shared link and pass@k; and derivatives of every law of accuracy, forgetting, transfer and perplexity."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from speciate.errors import UserError
from speciate.laws import Law
from speciate.laws.accuracy import ABOVE_CHANCE, pass_at_k
from speciate.laws.accuracy_broken import ACCURACY_BROKEN
from speciate.laws.accuracy_ceiling import ACCURACY_CEILING
from speciate.laws.accuracy_compute import ACCURACY_COMPUTE
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR
from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS
from speciate.laws.accuracy_samples import ACCURACY_SAMPLES
from speciate.laws.forgetting import FORGETTING
from speciate.laws.loss_compute import LOSS_COMPUTE
from speciate.laws.perplexity_size import PERPLEXITY_SIZE
from speciate.laws.sger import SGER
from speciate.laws.transfer import TRANSFER

COUNT = 6
ROWS = {
    "flops": np.geomspace(1e18, 1e25, COUNT),
    "params": np.geomspace(1e7, 7e10, COUNT),
    "tokens": np.geomspace(5e11, 1e7, COUNT),
    "chance": np.array([0.0, 0.25, 0.25, 0.5, 0.2, 0.0]),
    "samples": np.array([1.0, 2.0, 10.0, 10.0, 100.0, 1.0]),
    "loss": np.linspace(0.0, 4.0, COUNT),
    "domain_ratio": np.array([0.0, 0.5, 0.99, 1.0, 0.9, 0.1]),
    "start_loss": np.array([0.0, 3.0, 2.5, 4.0, 2.0, 2.2]),
}
TYPICAL: list[tuple[Law, list[float]]] = [
    (ACCURACY_COMPUTE, [0.5, 0.3]),
    (ACCURACY_PARAMS_TOKENS, [0.3, 0.4, 0.35, 0.3]),
    (ACCURACY_CEILING, [0.2, 0.5, 0.3]),
    (ACCURACY_SAMPLES, [0.2, -0.1, -0.2, 0.02]),
    (ACCURACY_BROKEN, [0.9, -0.5, 0.1, 0.3, 0.7, 0.4]),
    (ACCURACY_BROKEN, [0.25, 0.1, -0.3, 0.25, 3.0, 0.05]),
    (ACCURACY_LOSS_LINEAR, [1.2, -0.2]),
    (ACCURACY_LOSS_LOGISTIC, [0.05, 0.75, -2.0, 1.5]),
    (LOSS_COMPUTE, [2000.0, 0.13]),
    (FORGETTING, [0.3, 900.0, 0.5, 0.4]),
    (TRANSFER, [9.85, 0.18, 0.38]),
    (PERPLEXITY_SIZE, [4.0, 0.12]),
    (SGER, [1.34, 0.44]),
]


@pytest.mark.parametrize(("law", "truth"), TYPICAL)
def test_jacobian_agrees_with_differences(law: Law, truth: list[float]) -> None:
    theta = np.array(truth)
    value, slopes = law.jacobian(theta, ROWS)
    np.testing.assert_allclose(value, law.predict(theta, ROWS), rtol=1e-13)
    assert np.isfinite(slopes).all()
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5 * max(0.05, abs(theta[i]))
        difference = (law.predict(theta + step, ROWS) - law.predict(theta - step, ROWS)) / (2 * step[i])
        np.testing.assert_allclose(slopes[:, i], difference, rtol=2e-6, atol=1e-11 + 1e-9 * np.abs(slopes[:, i]).max())


@pytest.mark.parametrize(("law", "truth"), [case for case in TYPICAL if case[0].link is not None])
def test_a_link_and_its_inverse_undo_each_other(law: Law, truth: list[float]) -> None:
    assert law.link is not None
    bends = law.named_bends(np.array(truth)[list(law.nonlinear)])
    x = law.scaled(ROWS)
    u = sum(truth[column] * term for column, term in zip(law.linear, law.terms(bends, x), strict=True))
    y = law.link.value(np.asarray(u), bends, x)
    known = (y > 1e-12) & (y < 1 - 1e-9) if law.output == "accuracy" else np.isfinite(y)
    known &= y - x["chance"] > 1e-9 if "chance" in x else True
    assert known.sum() >= 3
    np.testing.assert_allclose(law.link.inverse(y, bends, x)[known], np.asarray(u)[known], rtol=1e-5)


def test_accuracy_lies_between_chance_and_one() -> None:
    x = {"chance": np.array([0.0, 0.25, 0.25, 0.5])}
    q = ABOVE_CHANCE.value(np.array([0.0, np.log(2), 1e9, np.log(4)]), {}, x)
    np.testing.assert_allclose(q, [1.0, 0.625, 0.25, 0.625], rtol=1e-15)
    known = ABOVE_CHANCE.inverse(np.array([1.0, 0.625, 0.25, 0.4]), {}, x)
    np.testing.assert_allclose(known[:2], [0.0, np.log(2)], atol=1e-15)
    assert np.isnan(known[2:]).all()  # at and below chance there is no logarithm


def test_pass_at_k_is_the_ratio_of_binomials() -> None:
    cases = [(n, c, k) for n in (1, 5, 12) for c in range(n + 1) for k in range(1, n + 1)]
    wanted = [1 - comb(n - c, k) / comb(n, k) for n, c, k in cases]
    n, c, k = np.array(cases).T
    np.testing.assert_allclose(pass_at_k(n, c, k), wanted, rtol=1e-12, atol=1e-15)


def test_pass_at_k_counts_subsets() -> None:
    right = [True, False, True, False, False, False]
    subsets = list(combinations(right, 3))
    np.testing.assert_allclose(pass_at_k(6, 2, 3), sum(map(any, subsets)) / len(subsets), rtol=1e-14)


def test_pass_at_k_keeps_small_chances_and_takes_large_counts() -> None:
    np.testing.assert_allclose(pass_at_k(10**12, 1, 1), 1e-12, rtol=1e-12)
    np.testing.assert_allclose(pass_at_k(10**6, 1, 10**4), 1e-2, rtol=1e-12)
    grid = pass_at_k(200, np.arange(201)[:, None], np.array([1, 10, 100]))
    assert grid.shape == (201, 3)
    assert (np.diff(grid, axis=0) >= 0).all() and (np.diff(grid, axis=1) >= 0).all()
    assert (grid[0] == 0).all() and (grid[-1] == 1).all()


@pytest.mark.parametrize(
    ("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6), (5, 2.5, 1), (5, 1, float("nan"))]
)
def test_pass_at_k_refuses_impossible_counts(n: float, c: float, k: float) -> None:
    with pytest.raises(UserError, match="whole numbers"):
        pass_at_k(n, c, k)
