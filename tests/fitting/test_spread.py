"""Leverage and degrees of freedom against least squares worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from speciate.fitting.descend import Rows
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve
from speciate.fitting.spread import MANY, degrees, sandwich_turn, spread_of, t_over_normal
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR as LINE  # y = a + b x

X = {"loss": np.array([2.0, 2.1, 2.9, 3.0, 3.1, 4.0, 4.2, 5.0])}
UNITS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
DESIGN = np.stack([np.ones(8), X["loss"]], axis=1)
SQUARED = Loss("squared")


def fitted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, Rows]:
    y = 1.0 - 0.1 * X["loss"] + np.random.default_rng(seed).normal(0, 0.1, 8)
    theta = solve(LINE, X, y).theta
    return theta, y - DESIGN @ theta, Rows(LINE.scaled(X), y, np.ones((1, 8)))


def test_rows_of_their_own_get_the_usual_leverage() -> None:
    theta, residuals, rows = fitted()
    spread = spread_of(LINE, theta, rows, SQUARED, residuals, np.arange(8))
    hat = DESIGN @ np.linalg.inv(DESIGN.T @ DESIGN) @ DESIGN.T
    np.testing.assert_allclose(spread.residuals, residuals / np.sqrt(1 - np.diag(hat)), rtol=1e-9)


def test_a_unit_of_rows_gets_the_inverse_root_of_its_block() -> None:
    theta, residuals, rows = fitted()
    spread = spread_of(LINE, theta, rows, SQUARED, residuals, UNITS)
    hat = DESIGN @ np.linalg.inv(DESIGN.T @ DESIGN) @ DESIGN.T
    for unit in range(4):
        here = unit == UNITS
        values, vectors = np.linalg.eigh(np.eye(2) - hat[np.ix_(here, here)])
        expected = (vectors / np.sqrt(values)) @ vectors.T @ residuals[here]
        np.testing.assert_allclose(spread.residuals[here], expected, rtol=1e-9)


def test_replicates_are_turned_from_one_sandwich_to_the_other() -> None:
    theta, residuals, rows = fitted()
    spread = spread_of(LINE, theta, rows, SQUARED, residuals, UNITS)
    bread = np.linalg.inv(DESIGN.T @ DESIGN)

    def sandwich(r: np.ndarray) -> np.ndarray:
        scores = np.stack([DESIGN[unit == UNITS].T @ r[unit == UNITS] for unit in range(4)])
        return bread @ scores.T @ scores @ bread

    turned = spread.turn @ sandwich(residuals) @ spread.turn.T
    np.testing.assert_allclose(turned, sandwich(spread.residuals), rtol=1e-6)


def test_degrees_of_freedom_count_the_units_that_matter() -> None:
    shares = np.zeros((6, 2, 2))
    shares[:, 0, 0] = 1.0  # the first direction rests on six units alike
    shares[0, 1, 1] = 1.0  # the second on one
    np.testing.assert_allclose(degrees(shares, np.eye(2)), [6.0, 1.0])
    assert t_over_normal(np.array([1.0]), 0.9)[0] == pytest.approx(3.838, abs=1e-3)


def test_a_direction_that_few_units_decide_is_widened_more() -> None:
    theta, residuals, rows = fitted()
    alone = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    few = spread_of(LINE, theta, rows, SQUARED, residuals, alone).widening(np.eye(2), 0.9)
    many = spread_of(LINE, theta, rows, SQUARED, residuals, np.arange(8)).widening(np.eye(2), 0.9)
    assert (few > many).all() and (many > 1).all()


def test_many_units_need_no_t() -> None:
    x = {"loss": np.linspace(2, 5, MANY + 1)}
    y = 1.0 - 0.1 * x["loss"]
    rows = Rows(LINE.scaled(x), y, np.ones((1, len(y))))
    spread = spread_of(LINE, np.array([1.0, -0.1]), rows, SQUARED, y * 0 + 0.01, np.arange(len(y)))
    assert spread.shares is None and (spread.widening(np.eye(2), 0.9) == 1).all()


def test_no_scores_no_turn() -> None:
    np.testing.assert_array_equal(sandwich_turn(np.zeros((3, 2)), np.zeros((3, 2))), np.eye(2))
