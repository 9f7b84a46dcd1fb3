from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.actuals import Correction
from speciate.runs.devices import Device, device_named
from speciate.runs.estimate import TRAINING_MFU, decision_cost, estimate, rounded, wall_time

PRICED = Device("mine", 1e15, 80e9, "", price=2.0)
HALF_A_DAY = 1e15 * 0.4 * 43200  # FLOPs on one of them


def test_time_and_money_by_hand() -> None:
    found = estimate(HALF_A_DAY, PRICED, 1)
    assert found.mfu == TRAINING_MFU == (0.25, 0.4, 0.5)
    assert found.seconds.to_json() == pytest.approx({"low": 43200 * 0.8, "expected": 43200, "high": 43200 * 1.6})
    assert found.device_hours.expected == pytest.approx(12)
    assert found.money is not None
    assert found.money.to_json() == pytest.approx({"low": 24 * 0.8, "expected": 24, "high": 24 * 1.6})


@given(st.floats(0, 1e26), st.integers(1, 10**5), st.integers(1, 8))
def test_more_devices_take_less_time_and_the_same_device_hours(flops: float, count: int, times: int) -> None:
    one, more = estimate(flops, PRICED, count), estimate(flops, PRICED, count * times)
    assert one.seconds.low <= one.seconds.expected <= one.seconds.high
    assert more.seconds.expected == pytest.approx(one.seconds.expected / times)
    assert more.device_hours.expected == pytest.approx(one.device_hours.expected)
    assert more.money is not None and more.money.low == pytest.approx(2 * more.device_hours.low)


def test_a_correction_takes_the_place_of_the_assumed_range() -> None:
    found = estimate(HALF_A_DAY, PRICED, 1, correction=Correction(1.5, 2.0, 3.0, 7, 1))
    assert found.seconds.to_json() == pytest.approx({"low": 64800, "expected": 86400, "high": 129600})


def test_no_correction_beats_the_peak() -> None:
    """A run logged at 95 % of the peak makes an interval that reaches beyond it."""
    found = estimate(HALF_A_DAY, PRICED, 1, correction=Correction(0.27, 0.43, 0.68, 1, 1))
    assert found.seconds.to_json() == pytest.approx({"low": 43200 * 0.4, "expected": 43200 * 0.43, "high": 29376})


def test_a_price_that_is_unknown_stays_unknown() -> None:
    found = estimate(1e20, device_named("H100"))
    assert found.money is None and "money unknown" in found.told()
    free = estimate(1e20, Device("free", 1e15, None, "", price=0.0))
    assert free.money is not None and free.money.high == 0  # 0 is a price


def test_all_that_is_wrong_at_once() -> None:
    with pytest.raises(UserError) as caught:
        estimate(-1.0, PRICED, 0, mfu=(0.5, 0.4, 0.6))
    assert [problem.where for problem in caught.value.problems] == ["mfu", "count", "flops"]
    for mfu in ((0.0, 0.1, 0.2), (0.1, 0.2, 1.2), (math.nan, 0.2, 0.3)):
        with pytest.raises(UserError, match="utilisation"):
            estimate(1.0, PRICED, mfu=mfu)


def test_the_cost_of_a_decision() -> None:
    told = decision_cost(9e20, 1e20, PRICED)
    assert told.to_json()["pilot_flops"] == 1e20 and told.to_json()["flops"] == 1e21
    both = estimate(1e21, PRICED)
    assert told.to_json()["device_hours"] == both.device_hours.to_json()
    assert told.told() == f"1e+21 FLOPs, the pilots 1e+20 of them (10%); {both.told()}; at 25% to 50% of its peak"
    learned = decision_cost(9e20, 1e20, PRICED, correction=Correction(1.5, 2.0, 3.0, 7, 1))
    assert "corrected by 2 (1.5 to 3)" in learned.told()
    alone = decision_cost(9e20)
    assert alone.told() == "9e+20 FLOPs"
    unknown = {"pilot_flops": None, "device": None, "device_hours": None, "money": None}
    assert json.loads(json.dumps(alone.to_json())) == {"final_flops": 9e20, "flops": 9e20} | unknown
    assert decision_cost(0.0, 0.0).told() == "0 FLOPs"
    with pytest.raises(UserError) as caught:
        decision_cost(math.inf, -1.0)
    assert [problem.where for problem in caught.value.problems] == ["final_flops", "pilot_flops"]


@given(st.floats(1e-3, 9e11))
def test_rounding_keeps_two_digits_and_never_writes_an_exponent_for_what_people_read(value: float) -> None:
    text = rounded(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.05)
    assert value < 1e-3 or "e+" not in text


def test_durations_for_a_person() -> None:
    told = [wall_time(x) for x in (0.4, 119, 121, 3599, 3601, 47 * 3600, 49 * 3600, 3e9)]
    assert told == ["0.4 s", "119 s", "2 min", "60 min", "1 h", "47 h", "2 days", "34,700 days"]
