"""SGER against model size where some ratios are only bounds: sger = A n^b by maximum likelihood, with intervals.

    ln sger_i = ln A + b ln n_i + e_i,   e_i ~ normal(0, sigma^2 + v_i),   n = params / 1e9

v_i is the variance of a measured ratio (its minima are only located so well), sigma the scatter of the sizes
themselves. A ratio whose general run ended before its minimum is a lower bound: it contributes the probability that
the ratio lies above it (Tobin 1958). Taking bounds for values, as a naive fit does, flattens the law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, ndtri, stdtrit

from speciate.fitting.fit import fit
from speciate.laws.sger import SGER

Array = NDArray[np.float64]
Bound = Literal["", "lower", "upper"]
SCALE = SGER.inputs[0].scale
SIGMAS = np.concatenate([[0.0], np.geomspace(3e-3, 3.0, 32)])  # scatter of ln sger that is tried
CELLS = 2_000_000  # bounds times scatters times values that are held at a time
STEPS = 30  # of Newton, at most: the likelihood is concave
LEAST_VARIANCE = 1e-6  # of ln sger: no ratio is known better than to a thousandth
FARTHEST = 20.0  # ends of an interval are sought this many standard errors away, then it has no end


@dataclass(frozen=True, eq=False)
class Ratios:
    """What the law is fitted to: params, ln sger, its variance (each (n,)), and whether it is only a bound."""

    params: Array
    log_sger: Array
    variance: Array
    bounds: tuple[Bound, ...]

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which are values, (n,)."""
        return np.array([bound == "" for bound in self.bounds], dtype=bool)


@dataclass(frozen=True, eq=False)
class SgerLaw:
    """A and b with intervals (None: no end), scatter ``sigma`` of ln sger; ``naive`` takes bounds for values."""

    a: float
    a_low: float | None
    a_high: float | None
    b: float
    b_low: float | None
    b_high: float | None
    sigma: float
    values: int
    lower_bounds: int
    upper_bounds: int
    naive: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """{formula, scale, A{value, low, high}, b{...}, sigma, values, lower_bounds, upper_bounds, naive{A, b}}."""
        return {
            "formula": SGER.formula,
            "scale": SCALE,
            "A": {"value": self.a, "low": self.a_low, "high": self.a_high},
            "b": {"value": self.b, "low": self.b_low, "high": self.b_high},
            "sigma": self.sigma,
            "values": self.values,
            "lower_bounds": self.lower_bounds,
            "upper_bounds": self.upper_bounds,
            "naive": dict(self.naive),
        }


def deviance(ratios: Ratios, fixed: Array, column: int) -> tuple[Array, Array]:
    """Least -2 ln likelihood with ln A (column 0) or b (column 1) held at ``fixed`` (m,), and the sigma of it (m,).

    Measured ratios enter by sums over them, taken about their own line; bounds one by one, CELLS at a time.
    """
    exact = ratios.exact
    size = max(1, CELLS // (len(SIGMAS) * max(int(np.sum(~exact)), 1)))
    if len(fixed) > size:
        parts = [deviance(ratios, fixed[i : i + size], column) for i in range(0, len(fixed), size)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    x = np.log(ratios.params / SCALE)
    line = np.polyfit(x[exact], ratios.log_sger[exact], 1)[::-1]  # ln A and b; both are counted from there
    design = np.stack([np.ones(len(x)), x])
    y = ratios.log_sger - line @ design
    held = (fixed - line[column])[:, None]  # (m, 1)
    spread = np.sqrt(SIGMAS[:, None] ** 2 + np.maximum(ratios.variance, LEAST_VARIANCE))  # (S, n)
    slope, along, rest = (part / spread for part in (design[1 - column], design[column], y))
    s, a, r = slope[:, exact], along[:, exact], rest[:, exact]
    pull_0, bend_0 = (s * r).sum(-1) - held * (s * a).sum(-1), (s**2).sum(-1)  # (m, S), (S,)
    square = (r**2).sum(-1) - 2 * held * (a * r).sum(-1) + held**2 * (a**2).sum(-1)
    free = pull_0 / bend_0
    sign = np.array([1.0 if bound == "lower" else -1.0 for bound in ratios.bounds])[~exact]
    s, lie = slope[:, ~exact], rest[:, ~exact] - held[..., None] * along[:, ~exact]  # (m, S, bounds)
    for _ in range(STEPS if len(sign) else 0):
        reach = sign * (free[..., None] * s - lie)  # how many deviations a bound allows the law
        mills = np.exp(-0.5 * reach**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(reach))
        pull = pull_0 - free * bend_0 + (sign * mills * s).sum(-1)
        step = pull / (bend_0 + (mills * (mills + reach) * s**2).sum(-1))
        free = free + step
        if np.abs(step).max() < 1e-9:
            break
    total = square - 2 * free * pull_0 + free**2 * bend_0 + 2 * np.log(spread[:, exact]).sum(-1)
    total = total - 2 * log_ndtr(sign * (free[..., None] * s - lie)).sum(-1)
    best = np.argmin(total, axis=-1)
    return np.take_along_axis(total, best[:, None], -1)[:, 0], SIGMAS[best]


def fit_law(ratios: Ratios, level: float) -> SgerLaw | None:
    """The law with profile intervals; None where fewer than two sizes have values.

    >>> sizes = np.array([1e9, 2e9, 4e9, 8e9])
    >>> seen = Ratios(sizes, 0.5 * np.log(np.array([1.0, 2, 4, 5])), np.full(4, 1e-4), ("", "", "", "lower"))
    >>> law = fit_law(seen, 0.9)
    >>> round(law.b, 2), round(law.naive["b"], 2)
    (0.5, 0.4)
    """
    exact = ratios.exact
    if len(np.unique(ratios.params[exact])) < 2:
        return None
    x, y = np.log(ratios.params / SCALE), ratios.log_sger
    line = np.polyfit(x[exact], y[exact], 1)
    ends = [_profile(ratios, column, float(line[1 - column]), level) for column in (0, 1)]
    (log_a, a_low, a_high, _), (b, b_low, b_high, sigma) = ends
    table = pd.DataFrame({"params": ratios.params, "sger": np.exp(y)})
    least_squares = 100.0  # a corner beyond all residuals of logarithms
    naive = fit(SGER, table, bootstrap=0, delta=least_squares).parameters
    return SgerLaw(
        a=float(np.exp(log_a)),
        a_low=None if a_low is None else float(np.exp(a_low)),
        a_high=None if a_high is None else float(np.exp(a_high)),
        b=b,
        b_low=b_low,
        b_high=b_high,
        sigma=sigma,
        values=int(exact.sum()),
        lower_bounds=ratios.bounds.count("lower"),
        upper_bounds=ratios.bounds.count("upper"),
        naive={name: float(found["value"]) for name, found in naive.items() if found["value"] is not None},
    )


def _profile(
    ratios: Ratios, column: int, start: float, level: float
) -> tuple[float, float | None, float | None, float]:
    """Estimate of one parameter, its interval's ends (None: none within reach), and sigma there."""

    def at(value: float) -> float:
        return float(deviance(ratios, np.array([value]), column)[0][0])

    x = np.log(ratios.params / SCALE)
    width = float(np.std(x[ratios.exact])) if column == 1 else 1.0
    error = max(float(np.sqrt(np.mean(ratios.variance[ratios.exact]))), 0.02) / width
    grid = start + error * np.linspace(-FARTHEST, FARTHEST, 81)
    values, _ = deviance(ratios, grid, column)
    low = int(np.argmin(values))
    around = grid[max(low - 1, 0)], grid[min(low + 1, len(grid) - 1)]
    value = float(minimize_scalar(at, bounds=around, method="bounded", options={"xatol": 1e-7 * error}).x)
    least, found = deviance(ratios, np.array([value]), column)
    sigma = float(found[0])
    limit = float(least[0]) + threshold(ratios, sigma, level)
    ends: list[float | None] = []
    for side in (-1, 1):
        far = value + side * error * FARTHEST
        ends.append(float(brentq(lambda v: at(v) - limit, value, far)) if at(far) > limit else None)
    return value, ends[0], ends[1], sigma


def threshold(ratios: Ratios, sigma: float, level: float) -> float:
    """By how much the deviance rises to the interval's ends: that of t where the scatter had to be estimated.

    For a line with scatter from n values it is n ln(1 + t^2 / (n - 2)), exactly. Known variances add to the
    degrees of freedom (Satterthwaite), up to z^2. A scatter from n values is as likely too small by
    (n - 2) / n, also where it came out as 0: it is taken to be what it may well be.
    """
    tail = (1 + level) / 2
    count = int(ratios.exact.sum())
    if count <= 2:  # a line through two values shows no scatter
        return float(ndtri(tail) ** 2)
    known = float(np.mean(np.maximum(ratios.variance[ratios.exact], LEAST_VARIANCE)))
    total = (sigma**2 + known) * count / (count - 2)
    freedom = min((count - 2) * (total / (total - known)) ** 2, 1e6)
    return float((freedom + 2) * np.log1p(stdtrit(freedom, tail) ** 2 / freedom))
