from __future__ import annotations

import numpy as np

from speciate.laws.loss_compute import LOSS_COMPUTE


def test_is_kaplans_law_of_compute() -> None:
    c_n, alpha = 1.6e27, 0.057  # loss = (C_N / C)^alpha
    flops = np.array([1e18, 1e22, 1e25])
    theta = np.array([c_n**alpha, alpha])
    np.testing.assert_allclose(LOSS_COMPUTE.predict(theta, {"flops": flops}), (flops / c_n) ** -alpha, rtol=1e-12)
    assert LOSS_COMPUTE.published is not None
    constants = LOSS_COMPUTE.published(theta)
    np.testing.assert_allclose(constants["C_N"], c_n, rtol=1e-9)
    np.testing.assert_allclose(constants["alpha_N"], -alpha)
