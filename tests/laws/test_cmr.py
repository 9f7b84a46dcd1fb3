from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from speciate.laws.cmr import CMR, clipped, power_form

TABLE5 = Path(__file__).parents[3] / "shared" / "data" / "cmr_table5.csv"


def test_power_form_is_the_same_curve() -> None:
    theta = [-0.2, 0.1, 0.25]
    a, s, b = power_form(theta)
    t = np.array([3.0, 40.0])
    np.testing.assert_allclose(CMR.predict(theta, {"tokens": t * 0.2e9}), a * t**s + b, rtol=1e-13)
    assert np.isnan(power_form([0.1, 0.2, 0.0])[0])


def test_clipped_flags_what_it_clips() -> None:
    value, flag = clipped([-0.1, 0.5, 1.2])
    assert value.tolist() == [0.0, 0.5, 1.0] and flag.tolist() == [True, False, True]


@pytest.mark.skipif(not TABLE5.exists(), reason="needs ../shared/data/cmr_table5.csv")
def test_printed_coefficients_give_the_printed_ratios() -> None:
    with TABLE5.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            a, s, b = float(row["alpha4"]), float(row["s4"]), float(row["beta3"])
            ratio = CMR.predict([a + b, a * s, s], {"tokens": [20e9]})[0]
            assert 100 * ratio == pytest.approx(float(row["published_cmr_pct_T100"]), abs=0.06)
