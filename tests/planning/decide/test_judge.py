"""Which option is best, by hand-made draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speciate.errors import UserError
from speciate.planning.decide.across import Spread, across_sizes
from speciate.planning.decide.continued import fresh
from speciate.planning.decide.judge import flops_for, judge
from speciate.planning.decide.options import Missing, Option
from speciate.planning.decide.question import Question
from speciate.planning.decide.words import not_considered

Array = NDArray[np.float64]
ASKED = Question(1e20, tolerance=0.05)


def option(draws: Array, forgets: Array, slope: float = -0.1) -> Option:
    return Option("mixture", 1e9, 1e10, 6e19, float(draws.mean()), draws, float(forgets.mean()), forgets, slope, 1.0)


def test_probability_and_regret_are_those_of_the_draws() -> None:
    keeps = np.zeros(100)
    first = option(np.repeat([2.0, 2.3], [70, 30]), keeps)
    second = option(np.full(100, 2.2), keeps)
    found = judge([second, first], ASKED)
    assert (found.best, found.second) == (1, 0)
    assert found.p_best == (0.3, 0.7)
    assert found.regret == pytest.approx(0.3 * 0.1)
    assert found.regret_flops == pytest.approx(6e19 * np.expm1(0.03 / 0.1))


def test_errors_in_common_leave_no_doubt() -> None:
    common = np.random.default_rng(0).normal(0, 1, 400)
    found = judge([option(2 + common, np.zeros(400)), option(2.001 + common, np.zeros(400))], ASKED)
    assert found.best == 0 and found.p_best == (1.0, 0.0) and found.regret == 0.0


def test_what_breaks_the_limit_is_neither_chosen_nor_best() -> None:
    lower = option(np.full(100, 1.0), np.full(100, 0.06))
    keeps = option(np.full(100, 2.0), np.full(100, 0.04))
    found = judge([lower, keeps], ASKED)
    assert (found.best, found.second, found.p_best) == (1, None, (0.0, 1.0))
    assert judge([lower, keeps], replace(ASKED, tolerance=None)).best == 0
    often = option(np.full(100, 1.0), np.repeat([0.04, 0.06], [80, 20]))  # keeps it in 80 of 100: not safe enough
    found = judge([often, keeps], ASKED)
    assert found.best == 1 and found.p_best == (0.8, 0.2) and found.regret == pytest.approx(0.8)
    assert judge([lower], ASKED).best is None


def test_no_draws_no_probability() -> None:
    known, unknown = option(np.full(100, 2.0), np.zeros(100)), replace(option(np.ones(100), np.zeros(100)), draws=None)
    found = judge([known, unknown], ASKED)
    assert found.best == 1 and found.p_best is None and found.regret is None


def test_flops_to_close_a_gap() -> None:
    one = option(np.full(100, 2.0), np.zeros(100))
    assert flops_for(one, 0.0) == 0.0
    assert flops_for(one, 0.1 * np.log(2)) == pytest.approx(one.flops)  # twice the compute: its own once more
    assert flops_for(one, 1.0) is None  # e^10 times
    assert flops_for(replace(one, slope=0.01), 0.001) is None


def test_sizes_on_a_line_give_the_line() -> None:
    sizes = np.array([1e8, 2e8, 4e8, 8e8])
    curve = 2 + 100 * np.append(sizes, 1.6e9) ** -0.25
    losses = [Spread(np.array([value, 1.0]), np.tile([value, 1.0], (2000, 1))) for value in curve[:-1]]
    found = across_sizes(sizes, losses, 1.6e9, 0)
    assert found.draws is not None and found.value[0] == pytest.approx(curve[-1], abs=1e-6)
    low, high = np.quantile(found.draws[:, 0], [0.05, 0.95])
    assert low < curve[-1] < high and high - low < 0.15
    assert found.draws[:, 1] == pytest.approx(1.0)


def test_repeats_are_worth_less_and_general_text_keeps_its_worth() -> None:
    tokens, shares = fresh(np.array([1e9, 1e10, 1e12]), np.array([0.5, 0.5, 0.5]), 1e9)
    assert (tokens[0], shares[0]) == (1e9, 0.5)
    assert tokens[1] < 1e10 and tokens[1] * (1 - shares[1]) == pytest.approx(5e9)
    assert tokens[2] * shares[2] == pytest.approx((1 + 15.39) * 1e9, rel=1e-3)


def test_every_wrong_option_is_told_at_once() -> None:
    with pytest.raises(UserError) as told:
        Question(-1.0, tolerance=-1, domains=1, sure=2, reach=0.5, level=1.0, draws=3).check()
    assert len(told.value.problems) == 7


def test_what_shares_a_reason_is_told_together() -> None:
    missing = [Missing("general", 1e9, "why", "how"), Missing("split", None, "else", "so"),
               Missing("mixture", 1e9, "why", "how"), Missing("general", 2e9, "why", "how")]  # fmt: skip
    assert not_considered(missing) == [("general, mixture at 1B, 2B params", "why", "how"), ("split", "else", "so")]
