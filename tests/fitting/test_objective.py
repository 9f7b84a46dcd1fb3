from __future__ import annotations

import numpy as np
import pytest

from speciate.fitting.objective import Loss


def test_log_huber_by_hand() -> None:
    loss = Loss("log-huber", 0.1)
    value, y = np.exp([0.05, -0.3]), np.ones(2)
    assert loss.total(value, y, np.array([2.0, 1.0])) == pytest.approx(2 * 0.05**2 / 2 + 0.1 * (0.3 - 0.05), rel=1e-14)


def test_a_prediction_without_a_logarithm_is_infinitely_bad_unless_it_has_no_weight() -> None:
    loss = Loss("log-huber")
    assert loss.total(np.array([1.0, -1.0]), np.ones(2), np.ones(2)) == np.inf
    assert loss.total(np.array([1.0, -1.0]), np.ones(2), np.array([1.0, 0.0])) == 0.0


@pytest.mark.parametrize("kind", ["log-huber", "huber", "squared"])
def test_majoriser_is_above_the_curvature(kind: str) -> None:
    residual = np.linspace(-3, 3, 61)
    slope, curvature, above = Loss(kind, 0.5).derivatives(residual)  # type: ignore[arg-type]
    assert (above >= curvature - 1e-15).all()
    np.testing.assert_allclose(slope, above * residual, atol=1e-15)
