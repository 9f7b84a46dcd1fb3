from __future__ import annotations

import numpy as np

from speciate.laws.d_cpt import D_CPT

THETA = [1.2, 0.6, 0.4, 0.15, 0.35, 0.3, 0.5, 0.8, 0.05]


def test_formula_by_hand() -> None:
    e, a, b, c, alpha, beta, eta, gamma, eps = THETA
    x = {"params": [1.8e9], "tokens": [10e9], "domain_ratio": [0.33]}
    by_hand = e + a / 1.8**alpha + b * 0.33**eta / 10**beta + c / (0.33 + eps) ** gamma
    np.testing.assert_allclose(D_CPT.predict(THETA, x), by_hand, rtol=1e-13)


def test_no_domain_text_leaves_size_and_the_thin_share() -> None:
    e, a, _, c, alpha, _, _, gamma, eps = THETA
    x = {"params": [1.8e9, 1.8e9], "tokens": [10e9, 80e9], "domain_ratio": [0.0, 0.0]}
    np.testing.assert_allclose(D_CPT.predict(THETA, x), e + a / 1.8**alpha + c / eps**gamma, rtol=1e-13)
    assert np.isfinite(D_CPT.jacobian(THETA, x)[1]).all()


def test_nine_parameters_as_in_the_paper() -> None:
    assert len(D_CPT.parameters) == 9


def test_more_of_the_domain_helps_and_so_do_more_tokens() -> None:
    shares = np.linspace(0.05, 1.0, 9)
    x = {"params": np.full(9, 1e9), "tokens": np.full(9, 5e9), "domain_ratio": shares}
    loss = D_CPT.predict(THETA, x)
    assert loss[0] > loss[4]
    assert (D_CPT.predict(THETA, {**x, "tokens": np.full(9, 50e9)}) < loss).all()
