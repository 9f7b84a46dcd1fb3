from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speciate.laws.law import Law
from speciate.laws.split import (
    AT_ONE_SIZE,
    PRESET,
    SPLIT,
    at_size,
    best_seed,
    best_seeds,
    splitting_point,
    splitting_points,
    with_size,
)

SIZES = [0.1, 0.35, 0.76, 1.3, 2.7, 6.7]


def loss(size: float, seed: float, tokens: float) -> float:
    x = {"params": [size * 1e9], "seed_tokens": [seed * 1e9], "tokens": [tokens * 1e9]}
    return float(SPLIT.predict(PRESET, x)[0])


def test_formula_by_hand() -> None:
    e, a, b, b_max, alpha, beta, kappa, gamma, c, nu, s = PRESET
    bias = b_max / (1 + np.exp(-(c - nu * np.log(1.3) - s * np.log(1 + 20))))
    by_hand = e + bias + a / 1.3e9**alpha + b / (20e9 + kappa * 1e9 * 80**gamma) ** beta
    assert loss(1.3, 80, 20) == pytest.approx(by_hand, rel=1e-13)
    assert len(SPLIT.parameters) == len(PRESET) == 11 and SPLIT.status == "ours"


def test_what_the_paper_requires_of_the_law() -> None:
    e, a, b, _, alpha, beta, kappa, gamma, *_ = PRESET
    specialised = e + a / 1.3e9**alpha
    ends = [loss(1.3, seed, 1e60) for seed in (0, 10, 1e4)]
    np.testing.assert_allclose(ends, specialised, rtol=1e-9)  # (iii) the same floor whatever D
    assert loss(1.3, 1e60, 0) > specialised + 0.05  # (i) a higher one without D'
    seeds = np.array([10.0, 100.0, 1000.0])  # (ii) a power law in D alone
    above = np.array([loss(1.3, seed, 0) for seed in seeds]) - loss(1.3, 1e60, 0)
    np.testing.assert_allclose(above, b / (kappa * 1e9 * seeds**gamma) ** beta, rtol=1e-6)
    assert loss(1.3, 0, 10) == pytest.approx(specialised + b / 1e10**beta + bias_at(1.3, 10), rel=1e-12)


def bias_at(size: float, tokens: float) -> float:
    b_max, c, nu, s = PRESET[3], *PRESET[8:]
    return float(b_max / (1 + np.exp(-(c - nu * np.log(size) - s * np.log1p(tokens)))))


def test_no_tokens_at_all_is_infinite_not_a_number() -> None:
    assert loss(1.3, 0, 0) == np.inf


@pytest.mark.parametrize(("size", "expected"), list(zip(SIZES, [24.0, 26.0, 30.5, 35.3, 44.9, 63.2], strict=True)))
def test_splitting_points_of_the_preset(size: float, expected: float) -> None:
    found = splitting_point(PRESET, size * 1e9, 16)
    assert found / 1e9 == pytest.approx(expected, abs=0.08)  # laws.md prints 30.5 where the preset's digits give 30.43
    before, after = (slopes(size, found / 1e9 * factor) for factor in (0.99, 1.01))
    assert before[0] / 16 > before[1] and after[0] / 16 < after[1]  # (5.2), and both slopes fall
    assert max(*before, *after) < 0


def slopes(size: float, seed: float) -> tuple[float, float]:
    """dL/dD' (one-sided, at D' = 0) and dL/dD, per 1e9 tokens, by differences."""
    step = 1e-4
    at = loss(size, seed, 0)
    tokens = (4 * loss(size, seed, step) - loss(size, seed, 2 * step) - 3 * at) / (2 * step)
    return tokens, (loss(size, seed + step, 0) - loss(size, seed - step, 0)) / (2 * step)


def test_splitting_points_at_the_edges() -> None:
    at_once = np.array(PRESET)
    at_once[6] = 0.05  # a seed token is worth less than 1/16 of a domain token
    assert splitting_point(at_once, 1.3e9, 16) == 0.0
    never = np.array(PRESET)
    never[3], never[7] = 0.0, 1.0  # no bias to lose, and a seed token always worth more than 1/16
    assert splitting_point(never, 1.3e9, 16) == np.inf
    assert splitting_point(PRESET, 1.3e9, 4) < splitting_point(PRESET, 1.3e9, 16)


@pytest.mark.parametrize(
    ("size", "budget", "expected"),
    [(1.3, 20, 20), (1.3, 60, 50), (1.3, 120, 83), (1.3, 240, 145), (1.3, 360, 201), (1.3, 721, 357), (2.7, 347, 225)],
)
def test_best_seeds_of_the_preset(size: float, budget: float, expected: float) -> None:
    found = best_seed(PRESET, size * 1e9, budget * 1e9, 16) / 1e9
    assert found == pytest.approx(expected, abs=1.0)
    dense = np.linspace(0, budget, 4001)
    least = min(loss(size, seed, (budget - seed) / 16) for seed in dense)
    assert loss(size, found, (budget - found) / 16) <= least + 1e-12


def test_a_seed_without_worth_is_not_trained() -> None:
    useless = np.array(PRESET)
    useless[6] = 1e-6
    assert best_seed(useless, 1.3e9, 100e9, 16) == 0.0


def rows() -> dict[str, np.ndarray]:
    return {
        "params": np.array([1e8, 1e9, 2.7e9, 1.3e9]),
        "seed_tokens": np.array([0.0, 1e9, 5e10, 2e11]),
        "tokens": np.array([1e9, 0.0, 3e9, 3e10]),
    }


@pytest.mark.parametrize(
    ("law", "theta"), [(SPLIT, PRESET), (AT_ONE_SIZE, tuple(at_size(PRESET, 2e9)))], ids=["split", "one size"]
)
def test_slopes_in_closed_form_are_those_of_the_terms(law: Law, theta: tuple[float, ...]) -> None:
    stepped = replace(law, slopes=None).jacobian(theta, rows())
    for mine, other in zip(law.jacobian(theta, rows()), stepped, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-15)


def test_the_law_of_one_size_is_the_law_at_that_size() -> None:
    own = at_size(PRESET, 2.7e9)
    at = {**rows(), "params": np.full(4, 2.7e9)}
    np.testing.assert_allclose(AT_ONE_SIZE.predict(own, at), SPLIT.predict(PRESET, at), rtol=1e-13)
    np.testing.assert_allclose(SPLIT.predict(with_size(own), rows()), SPLIT.predict(PRESET, at), rtol=1e-13)
    assert splitting_point(with_size(own), 1.0, 16) == pytest.approx(splitting_point(PRESET, 2.7e9, 16), rel=1e-9)


def test_many_parameter_vectors_at_once_are_each_by_itself() -> None:
    thetas = np.array(PRESET) * np.random.default_rng(0).uniform(0.9, 1.1, (20, 11))
    np.testing.assert_allclose(
        best_seeds(thetas, 1.3e9, 200e9, 8), [best_seed(theta, 1.3e9, 200e9, 8) for theta in thetas], rtol=1e-4
    )
    each = [splitting_point(theta, 1.3e9, 8) for theta in thetas]
    np.testing.assert_allclose(splitting_points(thetas, 1.3e9, 8), each, rtol=1e-9)
    assert np.ptp(each) > 0.1 * np.mean(each)
