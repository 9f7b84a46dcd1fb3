from __future__ import annotations

import numpy as np

from speciate.fitting.solve import solve
from speciate.laws.sger import SGER, THROUGH_STATED


def test_the_stated_ratios() -> None:
    ratios = SGER.predict(THROUGH_STATED, {"params": [1.5e9, 14e9]})
    np.testing.assert_allclose(ratios, [1.6, 4.3], rtol=1e-9)


def test_two_ratios_give_the_curve_through_them() -> None:
    found = solve(SGER, {"params": np.array([1.5e9, 14e9])}, np.array([1.6, 4.3]))
    np.testing.assert_allclose(found.theta, THROUGH_STATED, rtol=1e-6)
