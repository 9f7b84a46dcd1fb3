from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_broken import ACCURACY_BROKEN, candidates, softplus

THETA = [0.9, -0.5, 0.1, 0.3, 0.7, 0.4]


def test_formula_by_hand() -> None:
    a, b, c0, c1, d1, f1 = THETA
    c = np.array([0.01, 0.7, 50.0])
    by_hand = a + b * c**-c0 * (1 + (c / d1) ** (1 / f1)) ** (-c1 * f1)
    np.testing.assert_allclose(ACCURACY_BROKEN.predict(THETA, {"flops": c * 1e21}), by_hand, rtol=1e-13)


def test_exponents_far_from_the_break() -> None:
    a, b, c0, c1, d1, f1 = THETA
    early = ACCURACY_BROKEN.predict(THETA, {"flops": np.array([1e-9, 1e-8]) * 1e21}) - a
    late = ACCURACY_BROKEN.predict(THETA, {"flops": np.array([1e8, 1e9]) * 1e21}) - a
    np.testing.assert_allclose(np.log10(early[1] / early[0]), -c0, rtol=1e-6)
    np.testing.assert_allclose(np.log10(late[1] / late[0]), -(c0 + c1), rtol=1e-6)


def test_a_sharp_break_does_not_overflow() -> None:
    sharp = [0.9, -0.5, 0.1, 0.3, 0.7, 1e-4]  # (c/d1)^(1/f1) would be 1e90000, and fits stay above .05
    q = ACCURACY_BROKEN.predict(sharp, {"flops": np.array([1e12, 1e30])})
    late = 0.7**-0.1 * (1e9 / 0.7) ** -0.4
    np.testing.assert_allclose(q, [0.9 - 0.5 * 1e-9**-0.1, 0.9 - 0.5 * late], rtol=1e-9)


def test_softplus_takes_complex_numbers_on_both_sides() -> None:
    z = np.array([-800.0, -2.0, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(softplus(z), np.logaddexp(0, z), rtol=1e-14)
    slope = softplus(z + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(slope, [0.0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 1.0], atol=1e-15)


def test_starts_break_within_the_rows() -> None:
    points = candidates({"flops": np.array([0.01, 3.0])}, np.array([0.3, 0.6]))
    assert ((points[:, 2] > 0.01) & (points[:, 2] < 3.0)).all() and (points[:, 1] != 0).all()
    assert len(np.unique(points, axis=0)) == len(points) > 500
