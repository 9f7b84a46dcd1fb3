from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC, candidates

A, B, K, L0 = 0.7, 0.25, -4.0, 0.9  # as the source writes it
THETA = [1 - A - B, 1 - B, K, L0]


def test_formula_by_hand() -> None:
    loss = np.array([0.0, 0.8, 1.5])
    by_hand = A / (1 + np.exp(-K * (loss - L0))) + B
    np.testing.assert_allclose(ACCURACY_LOSS_LOGISTIC.predict(THETA, {"loss": loss}), by_hand, rtol=1e-13)
    assert ACCURACY_LOSS_LOGISTIC.published is not None
    constants = ACCURACY_LOSS_LOGISTIC.published(np.array(THETA))
    np.testing.assert_allclose([constants["a"], constants["b"]], [A, B], rtol=1e-13)


def test_a_steep_step_does_not_overflow() -> None:
    value, slopes = ACCURACY_LOSS_LOGISTIC.jacobian([0.05, 0.75, -1e6, 2.0], {"loss": np.array([0.0, 4.0])})
    np.testing.assert_allclose(value, [0.95, 0.25], rtol=1e-14)
    assert np.isfinite(slopes).all()


def test_no_parameters_that_a_fit_may_reach_pass_an_accuracy_of_one() -> None:
    rng = np.random.default_rng(0)
    thetas = np.column_stack([rng.exponential(1, (200, 2)), -rng.exponential(5, 200), rng.normal(1, 3, 200)])
    assert (ACCURACY_LOSS_LOGISTIC.predict(thetas, {"loss": np.linspace(0, 5, 9)}) <= 1).all()


def test_starts_scale_with_the_losses() -> None:
    nats = np.array([2.0, 3.0, 4.0])
    points, shifted = candidates({"loss": nats}, nats), candidates({"loss": 10 * nats}, nats)
    np.testing.assert_allclose(shifted, points * [0.1, 10.0], rtol=1e-12)
    assert (points[:, 0] < 0).all()
