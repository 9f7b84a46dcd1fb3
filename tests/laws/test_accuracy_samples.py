from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_samples import ACCURACY_SAMPLES


def test_formula_by_hand() -> None:
    x = {"flops": [1e23, 1e21], "samples": [8.0, 1.0]}
    log_c, log_k = np.log(100), np.log(8)
    u = 0.2 - 0.1 * log_c - 0.2 * log_k + 0.02 * log_c * log_k
    np.testing.assert_allclose(ACCURACY_SAMPLES.predict([0.2, -0.1, -0.2, 0.02], x), np.exp(-np.exp([u, 0.2])))


def test_one_sample_is_the_power_law_of_compute() -> None:
    flops = np.geomspace(1e19, 1e24, 5)
    q = ACCURACY_SAMPLES.predict([np.log(0.5), -0.3, -0.2, 0.0], {"flops": flops, "samples": np.ones(5)})
    np.testing.assert_allclose(-np.log(q), 0.5 / (flops / 1e21) ** 0.3)


def test_hopeless_rows_are_zero_and_have_slopes() -> None:
    value, slopes = ACCURACY_SAMPLES.jacobian(
        [900.0, 0.0, 0.0, 0.0], {"flops": np.array([1e21]), "samples": np.ones(1)}
    )
    assert value[0] == 0 and (slopes == 0).all()
