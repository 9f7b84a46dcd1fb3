from __future__ import annotations

import numpy as np

from speciate.fitting.solve import solve
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR


def test_formula_by_hand() -> None:
    np.testing.assert_allclose(ACCURACY_LOSS_LINEAR.predict([1.2, -0.2], {"loss": [0.0, 3.0]}), [1.2, 0.6])


def test_a_fit_is_least_squares() -> None:
    rng = np.random.default_rng(0)
    loss = np.linspace(2.5, 4.0, 12)
    q = 1.1 - 0.2 * loss + rng.normal(0, 0.01, 12)
    b, a = np.polyfit(loss, q, 1)
    np.testing.assert_allclose(solve(ACCURACY_LOSS_LINEAR, {"loss": loss}, q).theta, [a, b], rtol=1e-8)
