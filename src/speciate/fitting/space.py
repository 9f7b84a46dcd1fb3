"""The unbounded space a fit moves in, and the way back to the law's parameters."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from speciate.laws.law import Array, Law

EDGE = 1e-9  # a start on a bound is moved inside by this share of the range
LARGEST = 300.0  # |ln| of a parameter: its products with others are still finite
LOG_FLOOR = 1e-30  # a parameter that a projection set to zero
LOWEST = float(np.log(LOG_FLOOR))


def inside(law: Law, theta: Array) -> Array:
    """theta (..., P) moved off its bounds so that its transform is finite."""
    theta = np.array(theta, dtype=float)
    for i, parameter in enumerate(law.parameters):
        if parameter.transform == "log":
            theta[..., i] = np.maximum(theta[..., i], LOG_FLOOR)
        elif parameter.transform == "logit-scaled":
            margin = EDGE * (parameter.high - parameter.low)
            theta[..., i] = np.clip(theta[..., i], parameter.low + margin, parameter.high - margin)
    return theta


def to_free(law: Law, theta: Array) -> Array:
    """Parameters (..., P) -> unbounded coordinates (..., P)."""
    free = inside(law, theta)
    for i, parameter in enumerate(law.parameters):
        if parameter.transform == "log":
            free[..., i] = np.log(free[..., i])
        elif parameter.transform == "logit-scaled":
            free[..., i] = np.log((free[..., i] - parameter.low) / (parameter.high - free[..., i]))
    return free


def from_free(law: Law, free: Array) -> tuple[Array, Array]:
    """Unbounded coordinates -> parameters and d parameter / d coordinate, each (..., P).

    At its floor a positive parameter is 0 to all ends, and its slope is exactly 0: descents leave it there.
    """
    theta, slope = np.array(free), np.ones_like(free)
    held = np.minimum(np.maximum(free, LOWEST), LARGEST)
    for i, parameter in enumerate(law.parameters):
        if parameter.transform == "log":
            theta[..., i] = slope[..., i] = np.exp(held[..., i])
            above = free[..., i] > LOWEST + 0.1
            slope[..., i] *= above
            if parameter.linear:  # a nonlinear one may be divided by
                theta[..., i] *= above
        elif parameter.transform == "logit-scaled":
            share = expit(free[..., i])
            width = parameter.high - parameter.low
            theta[..., i] = parameter.low + width * share
            slope[..., i] = width * share * (1 - share)
    return theta, slope
