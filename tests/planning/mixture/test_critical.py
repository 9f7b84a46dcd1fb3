from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.planning.mixture.critical import (
    fit_critical_law,
    fit_ratio_law,
    ratio_law,
    rising_with_ratio,
    tolerated_ratio,
    turned_ratio,
    turning_draws,
    turning_point,
)

RATIOS = np.array([0.125, 0.25, 1 / 3, 0.5])


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2), st.floats(0.3, 2.8), st.floats(0.05, 0.95))
def test_ratio_law_is_recovered_and_inverted(c: float, k: float, s: float, at: float) -> None:
    losses = ratio_law(np.array(c), np.array(k), np.array(s), RATIOS)
    fitted = fit_ratio_law(RATIOS, losses)
    assert ratio_law(*fitted, RATIOS) == pytest.approx(losses, abs=2e-4 * k)
    level = float(ratio_law(np.array(c), np.array(k), np.array(s), at))
    assert float(tolerated_ratio(np.array(c), np.array(k), np.array(s), level)) == pytest.approx(at, rel=1e-6)


def test_tolerated_ratio_at_its_ends() -> None:
    one = np.ones(1)
    assert tolerated_ratio(one, one, one, -5.0) == 0  # nothing is tolerated
    assert tolerated_ratio(-one, -one, one, 0.0) == np.inf  # falls with the ratio, within tolerance at 1
    assert tolerated_ratio(one, -one, one, 0.0) == 0


def test_turning_point_takes_the_root_seen_from_the_horizon() -> None:
    def two_roots(log_t: np.ndarray) -> np.ndarray:  # rises from 1e3 to 1e5 only
        return (log_t - np.log(1e3)) * (np.log(1e5) - log_t)

    assert turning_point(two_roots, 1e2, 1e6, 1e9) == pytest.approx(1e5)
    assert turning_point(two_roots, 1e2, 1e4, 1e9) == pytest.approx(1e5)
    assert turning_point(lambda x: -np.ones_like(x), 1e2, 1e4, 1e9) == 0
    assert turning_point(lambda x: np.ones_like(x), 1e2, 1e4, 1e9) == np.inf


def test_turning_draws_agree_with_turning_point() -> None:
    tokens = np.geomspace(1e3, 1e8, 400)
    peaks = np.array([1e2, 3e4, 2e6, 5e7, 1e10])
    curves = -((np.log(tokens) - np.log(peaks)[:, None]) ** 2)
    at = int(np.searchsorted(tokens, 1e7))
    found = turning_draws(curves, tokens, at)
    assert found[0] == 0 and found[4] == np.inf
    assert found[1:4] == pytest.approx(peaks[1:4], rel=0.01)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_isotonic_regression(values: list[float]) -> None:
    fitted = rising_with_ratio(np.array(values))
    assert np.all(np.diff(fitted) >= -1e-9)
    assert fitted.sum() == pytest.approx(sum(values), abs=1e-9)
    if np.all(np.diff(values) >= 0):
        assert fitted == pytest.approx(values)


def test_turned_ratio_in_its_bracket_and_without_bound() -> None:
    turning = np.array([[39.8, 79.9, 117.1, 233.5]])
    law = fit_critical_law(turning, RATIOS, 100.0)
    slopes = np.log(turning / 100.0)
    assert turned_ratio(law, slopes, RATIOS, 100.0, 100.0) == pytest.approx(0.298, abs=0.003)
    assert turned_ratio(law, -np.ones((1, 4)), RATIOS, 100.0, 100.0) == np.inf
    assert turned_ratio(law, np.ones((1, 4)), RATIOS, 100.0, 100.0) == 0
    few = fit_critical_law(np.array([[0.0, 10.0, np.inf, np.inf]]), RATIOS, 100.0)
    assert not few[3][0]
    between = turned_ratio(few, np.array([[-2.0, -1.0, 1.0, 2.0]]), RATIOS, 100.0, 100.0)
    assert between == pytest.approx((0.25 + 1 / 3) / 2)
