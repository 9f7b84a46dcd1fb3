from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import linregress, t

from speciate.planning.specialize.law import Bound, Ratios, deviance, fit_law

SIZES = np.geomspace(5e8, 14e9, 8)
A, B = 1.34, 0.44


def ratios(
    rng: np.random.Generator, sigma: float, variance: float, sizes: np.ndarray = SIZES, censored: float = np.inf
) -> Ratios:
    """ln sger with errors; ratios above ``censored`` are seen as bounds there."""
    log = np.log(A) + B * np.log(sizes / 1e9) + rng.normal(0, np.sqrt(sigma**2 + variance), len(sizes))
    bounds: list[Bound] = ["lower" if value > np.log(censored) else "" for value in log]
    return Ratios(sizes, np.minimum(log, np.log(censored)), np.full(len(sizes), variance), tuple(bounds))


def test_without_bounds_it_is_least_squares_with_its_t_interval() -> None:
    seen = ratios(np.random.default_rng(0), 0.1, 1e-6)
    law = fit_law(seen, 0.9)
    line = linregress(np.log(seen.params / 1e9), seen.log_sger)
    assert law is not None and law.b == pytest.approx(line.slope, abs=1e-5)
    assert law.naive["b"] == pytest.approx(line.slope, abs=1e-5)
    assert law.a == pytest.approx(np.exp(line.intercept), rel=1e-4)
    half = t.ppf(0.95, 6) * line.stderr
    assert (law.b_low, law.b_high) == pytest.approx((line.slope - half, line.slope + half), abs=0.05 * half)


def test_the_deviance_is_the_tobit_likelihood() -> None:
    seen = ratios(np.random.default_rng(1), 0.1, 0.01, censored=2.0)
    assert seen.bounds.count("lower") >= 2
    least, sigma = deviance(seen, np.array([0.4]), 1)
    levels = np.linspace(-1, 1, 4001)
    spread = np.sqrt(sigma[0] ** 2 + 0.01)
    apart = (seen.log_sger - levels[:, None] - 0.4 * np.log(seen.params / 1e9)) / spread
    exact = seen.exact
    direct = (apart[:, exact] ** 2 + 2 * np.log(spread)).sum(1) - 2 * log_ndtr(-apart[:, ~exact]).sum(1)
    assert least[0] == pytest.approx(direct.min(), abs=1e-4)


def test_intervals_cover_and_bounds_do_not_bias() -> None:
    rng = np.random.default_rng(2)
    inside, estimates, naive = [], [], []
    for _ in range(40):
        law = fit_law(ratios(rng, 0.08, 0.004, censored=2.6), 0.9)
        assert law is not None
        low, high = (-9 if law.b_low is None else law.b_low), (9 if law.b_high is None else law.b_high)
        inside.append(low <= B <= high)
        estimates.append(law.b)
        naive.append(law.naive["b"])
    assert 0.8 <= np.mean(inside) <= 1.0
    assert np.mean(estimates) == pytest.approx(B, abs=0.03)
    assert np.mean(naive) < B - 0.06


def test_bounds_far_below_the_law_say_nothing() -> None:
    seen = ratios(np.random.default_rng(3), 0.05, 0.002)
    more = Ratios(np.append(seen.params, 2e10), np.append(seen.log_sger, -5.0), np.append(seen.variance, 0.002),
                  (*seen.bounds, "lower"))  # fmt: skip
    one, other = fit_law(seen, 0.9), fit_law(more, 0.9)
    assert one is not None and other is not None
    assert (other.b, other.b_low, other.b_high) == pytest.approx((one.b, one.b_low, one.b_high), abs=1e-4)
    assert other.naive["b"] < one.naive["b"] - 0.1


def test_an_upper_bound_below_the_law_pulls_it_down() -> None:
    sizes, log = SIZES[:3], np.log(A) + B * np.log(SIZES[:3] / 1e9)
    seen = Ratios(np.append(sizes, 14e9), np.append(log, np.log(2.0)), np.full(4, 0.01), ("", "", "", "upper"))
    law = fit_law(seen, 0.9)
    assert law is not None and law.b < B - 0.05 and law.upper_bounds == 1


def test_fewer_than_two_sizes_with_values_have_no_law() -> None:
    log = np.log(np.array([1.5, 2.0, 3.0]))
    assert fit_law(Ratios(SIZES[:3], log, np.full(3, 0.01), ("", "lower", "lower")), 0.9) is None
    assert fit_law(Ratios(SIZES[:0], log[:0], log[:0], ()), 0.9) is None
