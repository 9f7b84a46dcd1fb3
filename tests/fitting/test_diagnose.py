from __future__ import annotations

import numpy as np

from speciate.fitting.diagnose import describe, on_bounds, traded
from speciate.laws import LAWS

X = {"tokens": np.geomspace(1e8, 1e11, 9)}


def test_converged_is_one_word() -> None:
    assert describe(LAWS["mixture-general"], np.array([0.0, 1.0, -0.1, 0.5]), X, True) == "converged"


def test_edges_are_named() -> None:
    assert on_bounds(LAWS["mixture-general"], np.array([0.0, 1.0, -0.1, 2.9999]), X) == ["s = 3"]


def test_a_bend_near_zero_is_said_to_be_undecidable() -> None:
    status = describe(LAWS["mixture-general"], np.array([0.0, 1.0, -0.1, 0.003]), X, True)
    assert status.startswith("ill-conditioned") and "p" in status and "b" in status


def test_condition_of_a_healthy_law() -> None:
    assert traded(LAWS["cmr"], np.array([0.1, 0.1, 0.2]), X)[0] < 100


def test_not_converged_says_what_to_do() -> None:
    assert "more starts" in describe(LAWS["cmr"], np.array([0.1, 0.1, 0.2]), X, False)
    assert "check units" in describe(LAWS["cmr"], np.full(3, np.nan), X, False)
