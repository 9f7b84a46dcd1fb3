from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from speciate.laws.chinchilla import CHINCHILLA, PUBLISHED, optimum


def test_formula_by_hand() -> None:
    e, a, b, alpha, beta = PUBLISHED
    loss = CHINCHILLA.predict(PUBLISHED, {"params": [1e9], "tokens": [2e10]})
    np.testing.assert_allclose(loss, e + a / 1e9**alpha + b / 2e10**beta, rtol=1e-14)


def test_optimum_is_the_least_loss_at_that_compute() -> None:
    flops = 1e21
    size, tokens = optimum(PUBLISHED, flops)
    np.testing.assert_allclose(6 * size * tokens, flops, rtol=1e-12)

    def loss(log_size: float) -> float:
        n = np.exp(log_size)
        return float(CHINCHILLA.predict(PUBLISHED, {"params": [n], "tokens": [flops / 6 / n]})[0])

    found = minimize_scalar(loss, bounds=(np.log(1e7), np.log(1e12)), method="bounded", options={"xatol": 1e-9})
    np.testing.assert_allclose(np.log(size), found.x, atol=1e-4)
