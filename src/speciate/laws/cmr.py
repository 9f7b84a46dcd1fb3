"""The critical mixture ratio against training tokens (Gu et al. 2407.17467 eq. 8, in a stable form)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from speciate.laws.law import Array, Input, Inputs, Law, Parameter, box_cox


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, (t^s - 1)/s for c, k."""
    return 1.0, box_cox(np.log(x["tokens"]), nonlinear["s"])


CMR = Law(
    name="cmr",
    formula="critical domain_ratio = c + k * (t^s - 1) / s,  t = tokens / scale  (k ln t at s = 0)",
    latex=r"R^{*}(T) = c + k \frac{t^{s} - 1}{s}",
    parameters=(
        Parameter("c", "share", "critical ratio at t = 1", -np.inf, np.inf, "identity", True),
        Parameter("k", "share", "gain per ln t at t = 1", -np.inf, np.inf, "identity", True),
        Parameter("s", "1", "bend: below 0 it levels off, at 0 it is a logarithm", -3, 3, "logit-scaled", False),
    ),
    inputs=(Input("tokens", "tokens of the second stage, above 0", 0.2e9),),
    output="domain_ratio",
    source="Gu et al. 2024 (arXiv 2407.17467) eq. 8 with a4 = k/s, b3 = c - k/s",
    status="as published",
    terms=terms,
    objective="squared",
    constant=("params",),
)


def clipped(ratio: ArrayLike) -> tuple[Array, Array]:
    """A ratio the law extrapolated, held to [0, 1], and whether it had left it.

    >>> clipped([-0.1, 0.4])
    (array([0. , 0.4]), array([ True, False]))
    """
    ratio = np.asarray(ratio, dtype=float)
    return np.clip(ratio, 0.0, 1.0), (ratio < 0) | (ratio > 1)


def power_form(theta: ArrayLike) -> Array:
    """The paper's (a, s, b) of R = a t^s + b: theta (..., 3) = (c, k, s) -> (..., 3); NaN at s = 0.

    >>> power_form([0.3, 0.1, 0.5]).round(3)
    array([0.2, 0.5, 0.1])
    """
    c, k, s = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(s == 0, np.nan, k / s)
    return np.stack([a, s, c - a], axis=-1)
