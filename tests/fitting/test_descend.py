from __future__ import annotations

import numpy as np

from speciate.fitting.descend import Rows, descend, gram, settle, spread, whitening
from speciate.fitting.objective import Loss
from speciate.laws import LAWS

LAW = LAWS["mixture-general"]
X = {"tokens": np.geomspace(1e7, 1e11, 20) / 0.2e9}


def rows(weights: np.ndarray) -> Rows:
    clean = LAW.predict([0.1, 0.3, -0.02, 0.4], {"tokens": X["tokens"] * 0.2e9})
    return Rows(X, clean + np.random.default_rng(0).normal(0, 0.01, 20), weights)


def test_whitening_makes_the_metric_the_identity_even_on_a_ridge() -> None:
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(2, 30, 3))
    slopes[..., 2] = slopes[..., 1] * 1e6 + 1e-1 * slopes[..., 2]  # nearly a multiple
    weights = rng.uniform(0.5, 2, (2, 30))
    white = slopes @ whitening(slopes, weights)
    np.testing.assert_allclose(gram(white, weights), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-6)


def test_a_direction_nobody_sees_is_left_at_rest() -> None:
    slopes = np.random.default_rng(0).normal(size=(1, 30, 3))
    slopes[..., 2] = slopes[..., 1]
    inward = whitening(slopes, np.ones((1, 30)))
    assert np.isfinite(inward).all() and (np.abs(inward).sum(axis=-2) == 0).sum() == 1


def test_settling_never_raises_the_objective() -> None:
    data = rows(np.random.default_rng(1).multinomial(20, np.full(20, 0.05), size=6).astype(float))
    free = np.tile([0.0, 0.1, 0.1, 0.3], (6, 1))
    for loss in (Loss("huber", 0.01), Loss("squared")):
        settled = settle(LAW, data, free, loss)
        for i in range(6):
            theta = [free[i].copy(), settled[i].copy()]
            for t in theta:
                t[3] = 3 * np.tanh(t[3] / 2)  # the logit-scaled transform of (-3, 3)
            before, after = (
                loss.total(LAW.predict(t, {"tokens": X["tokens"] * 0.2e9}), data.y, data.weights[i]) for t in theta
            )
            assert after <= before


def test_fits_of_a_batch_do_not_touch_each_other() -> None:
    weights = np.random.default_rng(1).multinomial(20, np.full(20, 0.05), size=5).astype(float)
    start = np.tile([0.1, 0.3, -0.02, 0.4], (5, 1))
    loss = Loss("huber", 0.01)
    together = descend(LAW, rows(weights), start, loss)
    assert together.converged.all()
    for i in range(5):
        alone = descend(LAW, rows(weights[[i]]), start[[i]], loss)
        np.testing.assert_allclose(alone.objective[0], together.objective[i], rtol=1e-12)


def test_spread_is_a_weighted_sum_of_squares() -> None:
    data = Rows({}, np.array([1.0, 2.0, 4.0]), np.array([[1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(spread(data, Loss("squared")), [0.5])
