from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_compute import ACCURACY_COMPUTE


def test_formula_by_hand() -> None:
    x = {"flops": [1e21, 1e23, 1e21], "chance": [0.25, 0.25, 0.0]}
    above = np.exp([-0.5, -0.5 / 100**0.3, -0.5])
    np.testing.assert_allclose(
        ACCURACY_COMPUTE.predict([0.5, 0.3], x), [0.25 + 0.75 * above[0], 0.25 + 0.75 * above[1], above[2]]
    )


def test_is_a_straight_line_of_ln_minus_ln_of_the_accuracy_above_chance() -> None:
    flops = np.geomspace(1e19, 1e24, 6)
    q = ACCURACY_COMPUTE.predict([0.5, 0.3], {"flops": flops, "chance": np.full(6, 0.25)})
    line = np.log(-np.log((q - 0.25) / 0.75))
    np.testing.assert_allclose(np.polyfit(np.log(flops / 1e21), line, 1), [-0.3, np.log(0.5)], rtol=1e-10)


def test_no_compute_is_too_small_or_large_for_it() -> None:
    q = ACCURACY_COMPUTE.predict([0.5, 2.9], {"flops": [1.0, 1e40], "chance": [0.2, 0.2]})
    np.testing.assert_allclose(q, [0.2, 1.0], rtol=1e-14)
