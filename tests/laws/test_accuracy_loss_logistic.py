from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC, candidates


def test_formula_by_hand() -> None:
    loss = np.array([0.0, 0.8, 1.5])
    by_hand = 0.7 / (1 + np.exp(4.0 * (loss - 0.9))) + 0.25
    np.testing.assert_allclose(
        ACCURACY_LOSS_LOGISTIC.predict([0.7, 0.25, -4.0, 0.9], {"loss": loss}), by_hand, rtol=1e-13
    )


def test_a_steep_step_does_not_overflow() -> None:
    value, slopes = ACCURACY_LOSS_LOGISTIC.jacobian([0.7, 0.25, -1e6, 2.0], {"loss": np.array([0.0, 4.0])})
    np.testing.assert_allclose(value, [0.95, 0.25], rtol=1e-14)
    assert np.isfinite(slopes).all()


def test_starts_scale_with_the_losses() -> None:
    nats = np.array([2.0, 3.0, 4.0])
    points, shifted = candidates({"loss": nats}, nats), candidates({"loss": 10 * nats}, nats)
    np.testing.assert_allclose(shifted, points * [0.1, 10.0], rtol=1e-12)
    assert (points[:, 0] < 0).all()
