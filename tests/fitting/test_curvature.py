"""Scores, Hessian and variance about an optimum, against what least squares and refits say."""

from __future__ import annotations

import numpy as np
import pytest

from speciate.fitting.curvature import bandwidth, curvature
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve
from speciate.laws import LAWS
from speciate.laws.law import Array

LINE = LAWS["accuracy-loss-linear"]  # a + b loss


def line(n: int = 40, seed: int = 0) -> tuple[dict[str, Array], Array]:
    rng = np.random.default_rng(seed)
    loss = rng.uniform(1, 5, n)
    return {"loss": loss}, 2 + 0.5 * loss + rng.normal(0, 0.1 * loss)


def test_a_straight_line_has_the_textbook_sandwich() -> None:
    x, y = line()
    theta = solve(LINE, x, y).theta
    about = curvature(LINE, x, y, np.ones(40), theta, Loss("squared"))
    design = np.stack([np.ones(40), x["loss"]], axis=1)
    bread = np.linalg.inv(design.T @ design)
    meat = (design * (design @ theta - y)[:, None] ** 2).T @ design
    np.testing.assert_allclose(about.inverse, bread, rtol=1e-9)
    np.testing.assert_allclose(about.variance(np.arange(40)), bread @ meat @ bread * 40 / 38, rtol=1e-7)  # HC1
    pairs = np.repeat(np.arange(20), 2)
    assert about.variance(pairs)[1, 1] != pytest.approx(about.variance(np.arange(40))[1, 1], rel=1e-3)


def test_one_step_says_where_a_row_left_out_takes_the_line() -> None:
    x, y = line()
    theta = solve(LINE, x, y).theta
    about = curvature(LINE, x, y, np.ones(40), theta, Loss("squared"))
    design = np.stack([np.ones(40), x["loss"]], axis=1)
    leverage = np.sum((design @ about.inverse) * design, axis=1)
    for row in (0, 7):
        left = solve(LINE, {"loss": np.delete(x["loss"], row)}, np.delete(y, row)).theta
        np.testing.assert_allclose(left - theta, about.moves[row] / (1 - leverage[row]), rtol=1e-6)  # exact for a line


def test_a_narrow_corner_gives_the_variance_of_many_refits() -> None:
    law, loss = LAWS["cmr"], Loss("huber", 1e-3)
    x = {"tokens": np.geomspace(1e10, 1e12, 60)}
    truth, rng = [0.4, 0.1, 0.1], np.random.default_rng(1)
    fits, said = [], []
    for _ in range(40):
        y = law.predict(truth, x) + rng.normal(0, 0.01, 60)
        theta = solve(law, x, y, starts=3).theta
        fits.append(theta)
        about = curvature(law, x, y, np.ones(60), theta, loss)
        said.append(np.sqrt(np.diag(about.variance(np.arange(60)))) * about.chain)
    ratio = np.median(said, axis=0) / np.std(fits, axis=0)
    assert ((ratio > 0.65) & (ratio < 1.5)).all(), (
        ratio
    )  # rows inside the corner alone, or the majoriser: off by 2 to 4


def test_corners_that_differ_by_row_are_those_of_scaled_residuals() -> None:
    x, y = line()
    theta = solve(LINE, x, y).theta
    one = curvature(LINE, x, y, np.ones(40), theta, Loss("huber", 0.05))
    same = curvature(LINE, x, y, np.ones(40), theta, Loss("huber", np.full(40, 0.05)))
    np.testing.assert_allclose(one.inverse, same.inverse)


def test_what_rows_do_not_see_has_no_variance() -> None:
    x = {"loss": np.full(10, 2.0)}
    about = curvature(LINE, x, np.linspace(1, 2, 10), np.ones(10), np.array([0.5, 0.5]), Loss("squared"))
    assert np.linalg.matrix_rank(about.inverse) == 1 and np.isfinite(about.inverse).all()


def test_the_window_grows_with_the_spread_and_shrinks_with_rows() -> None:
    noise = np.random.default_rng(0).normal(size=4000)
    assert bandwidth(3 * noise) == pytest.approx(3 * bandwidth(noise))
    assert bandwidth(noise) < bandwidth(noise[:100])
