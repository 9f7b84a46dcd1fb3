from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_ceiling import ACCURACY_CEILING


def test_formula_by_hand() -> None:
    x = {"flops": [1e23], "chance": [0.25]}
    np.testing.assert_allclose(
        ACCURACY_CEILING.predict([0.2, 0.5, 0.3], x), 0.25 + 0.75 * np.exp(-0.2 - 0.5 / 100**0.3)
    )


def test_endless_compute_reaches_the_ceiling() -> None:
    theta = np.array([0.2, 0.5, 0.3])
    assert ACCURACY_CEILING.published is not None
    ceiling = ACCURACY_CEILING.published(theta)["Q_max"]
    np.testing.assert_allclose(ceiling, np.exp(-0.2))
    top = ACCURACY_CEILING.predict(theta, {"flops": [1e60], "chance": [0.25]})
    np.testing.assert_allclose(top, 0.25 + 0.75 * ceiling, rtol=1e-9)
