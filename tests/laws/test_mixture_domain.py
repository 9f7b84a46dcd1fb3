from __future__ import annotations

import numpy as np

from speciate.laws.mixture_domain import MIXTURE_DOMAIN


def test_is_the_papers_power_law_in_other_coordinates() -> None:
    a, s, b = -2.43854, 0.02229, 2.24461  # 460M at 100 %, printed
    t = np.array([1.0, 10.0, 100.0])
    theta = [a + b, a * s, s]
    np.testing.assert_allclose(MIXTURE_DOMAIN.predict(theta, {"tokens": t * 0.2e9}), a * t**s + b, rtol=1e-10)
