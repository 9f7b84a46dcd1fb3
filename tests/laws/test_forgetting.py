from __future__ import annotations

import numpy as np

from speciate.laws.forgetting import FORGETTING

THETA = [0.3, 900.0, 0.5, 0.4]


def rows(ratio: list[float], tokens: float = 2e8, params: float = 3e8) -> dict[str, np.ndarray]:
    count = len(ratio)
    return {
        "tokens": np.full(count, tokens),
        "params": np.full(count, params),
        "domain_ratio": np.array(ratio),
        "start_loss": np.full(count, 3.0),
    }


def test_formula_by_hand() -> None:
    a, b, alpha, beta = THETA
    wanted = [3.0 + a * 0.2**beta / ((1 + b * general) * 0.3) ** alpha for general in (0.0, 0.01, 1.0)]
    np.testing.assert_allclose(FORGETTING.predict(THETA, rows([1.0, 0.99, 0.0])), wanted, rtol=1e-13)


def test_one_percent_of_general_text_nearly_freezes_it() -> None:
    none, little = FORGETTING.predict(THETA, rows([1.0, 0.99])) - 3.0
    np.testing.assert_allclose(little / none, 10**-0.5, rtol=1e-12)  # (1 + 900 / 100)^-alpha


def test_it_starts_at_the_start_loss() -> None:
    assert abs(FORGETTING.predict(THETA, rows([1.0], tokens=1e-9))[0] - 3.0) < 1e-6
