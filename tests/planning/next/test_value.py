"""The value of a sample against closed forms (Raiffa and Schlaifer 1961, chapter 5)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from speciate.planning.next.value import Outcome, expected_regret, value_of

THETA = np.random.default_rng(0).standard_normal((2000, 1))
SQUARED = (np.linspace(-3, 3, 61) - THETA) ** 2


@pytest.mark.parametrize(("noise", "repeats"), [(2.0, 1), (1.0, 1), (1.0, 3)])
def test_squared_error_loses_the_share_of_the_variance_that_is_explained(noise: float, repeats: int) -> None:
    found = value_of(SQUARED, Outcome(THETA, np.full_like(THETA, noise)).times(repeats))
    assert found.widened == 1
    assert found.drop == pytest.approx(repeats / (repeats + noise**2), abs=0.05)


def test_two_actions_have_the_unit_normal_loss_integral() -> None:
    mean, noise = 0.5, 1.0
    gain = THETA[:, 0] + mean  # of the second action over the first
    regret = np.stack([np.maximum(gain, 0), np.maximum(-gain, 0)], axis=1)
    spread = 1 / np.sqrt(1 + noise**2)
    at = mean / spread
    found = value_of(regret, Outcome(gain[:, None], np.full_like(THETA, noise)))
    assert found.drop == pytest.approx(spread * (norm.pdf(at) - at * norm.sf(at)), abs=0.015)


def test_what_has_nothing_to_do_with_the_question_is_worth_nothing() -> None:
    other = np.random.default_rng(1).standard_normal((2000, 1))
    found = value_of(SQUARED, Outcome(other, np.full_like(other, 0.5)))
    assert found.drop < 0.02


def test_nothing_is_worth_more_than_knowing_all_and_a_sharp_outcome_is_a_lower_bound() -> None:
    found = value_of(SQUARED, Outcome(THETA, np.full_like(THETA, 1e-6)))
    assert found.widened > 1
    assert 0.9 < found.drop <= expected_regret(SQUARED)


def test_where_one_action_is_best_in_every_draw_no_run_is_worth_anything() -> None:
    regret = np.stack([np.zeros(2000), np.abs(THETA[:, 0])], axis=1)
    found = value_of(regret, Outcome(THETA, np.full_like(THETA, 0.5)))
    assert found.drop == 0 and expected_regret(regret) == 0
