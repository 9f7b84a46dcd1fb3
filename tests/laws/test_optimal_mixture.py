from __future__ import annotations

import numpy as np
import pytest

from speciate.laws.optimal_mixture import OPTIMAL_MIXTURE, optimal_mixture, power

LAW = optimal_mixture(("web", "code"))
THETA = [1.1, 0.4, 0.9, 0.6, 0.35, 0.3, 0.2, 0.5, 1.7]
X = {
    "params": np.array([1e9, 4e9, 1e9]),
    "tokens": np.array([8e9, 8e9, 64e9]),
    "share_web": np.array([0.25, 1.0, 0.0]),
    "share_code": np.array([0.75, 0.0, 1.0]),
}


def test_formula_by_hand() -> None:
    e, a, b, m, alpha, beta, gamma_web, gamma_code, w_code = THETA
    c_web, c_code = 1 / m, w_code / m
    fed = c_web * X["share_web"] ** gamma_web + c_code * X["share_code"] ** gamma_code
    by_hand = e + 1 / fed + a / (X["params"] / 1e9) ** alpha + b / (X["tokens"] / 1e9) ** beta
    np.testing.assert_allclose(LAW.predict(THETA, X), by_hand, rtol=1e-13)
    assert LAW.published is not None
    found = LAW.published(np.array(THETA))
    assert found["C_web"] == pytest.approx(c_web) and found["C_code"] == pytest.approx(c_code)
    assert set(found) == {"E", "A", "B", "alpha", "beta", "gamma_web", "gamma_code", "C_web", "C_code"}


def test_no_share_is_no_food_even_in_a_complex_step() -> None:
    np.testing.assert_allclose(power(np.array([0.0, 0.25]), np.array([0.5 + 0j])), [0.0, 0.5])
    assert np.isfinite(LAW.jacobian(THETA, X)[1]).all()


def test_a_family_by_domains() -> None:
    assert OPTIMAL_MIXTURE.domains == ("1", "2", "3")
    for count in (2, 5):
        law = optimal_mixture([str(i) for i in range(count)])
        assert len(law.parameters) == 5 + 2 * count  # as many as in the paper
        assert len(law.inputs) == 2 + count
    with pytest.raises(AssertionError):
        optimal_mixture(["alone"])
