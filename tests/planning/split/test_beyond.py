"""What the law has wrong beyond its rows, in the interval of what splitting gains."""

from __future__ import annotations

import numpy as np
import pytest
from tests.planning.split.test_split import MORE, B, study

from speciate.laws.split import PRESET, splitting_point
from speciate.planning.split.plan import plan_split


def test_a_gain_within_the_laws_own_error_is_not_told_from_none() -> None:
    table = study(0, **MORE)
    sure = plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300)
    doubt = plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300, beyond=0.05)
    assert sure.choice == "split" and doubt.choice is None
    assert (doubt.seed_tokens, doubt.loss, doubt.gain) == (sure.seed_tokens, sure.loss, sure.gain)  # the same estimate
    assert doubt.p_split is not None and 0.5 < doubt.p_split < 0.95
    assert doubt.remedy is not None and not doubt.remedy.settles  # no row as far from the total can take it away
    low, high = doubt.intervals["gain"]
    assert low is not None and high is not None
    expected = 2 * 1.645 * 0.05 * np.hypot(sure.loss, sure.loss_unsplit)
    assert high - low == pytest.approx(expected, rel=0.15)


def test_the_interval_of_a_gain_grows_with_the_error_and_a_small_one_leaves_the_choice() -> None:
    table = study(0, **MORE)
    plans = [
        plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300, beyond=beyond)
        for beyond in (0.0, 0.001, 0.004)
    ]
    widths = [plan.intervals["gain"][1] - plan.intervals["gain"][0] for plan in plans]  # type: ignore[operator]
    assert widths == sorted(widths) and widths[0] < widths[2]
    assert {plan.choice for plan in plans} == {"split"}


def test_where_the_plan_is_not_to_split_its_own_error_is_no_gain() -> None:
    total = 0.6 * splitting_point(PRESET, 1.3 * B, 16)
    plan = plan_split(study(4, noise=0.003), total_tokens=total, domains=16, draws=300, beyond=1e-5)
    assert plan.choice == "never split" and plan.loss == plan.loss_unsplit
