"""Accuracy from compute as a power law with one break (Caballero et al. 2210.14891; rival in Krajewski 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter

# A break narrower than .05 in ln c is a corner between two rows, of which every gap has its own: no fit can tell.
NARROWEST = 0.05
SLOPES = (-1.0, -0.4, -0.15, -0.05, 0.05, 0.15, 0.4, 1.0)  # exponents before and after the break
WIDTHS = (0.07, 0.4, 1.2)
STEEP = 100.0  # powers of e beyond it have a break far outside any rows, and squares without a float
BREAKS = 12  # places tried within the range of the rows


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, c^-c0 (1 + (c/d1)^(1/f1))^(-c1 f1) for a, b."""
    log_c, width = np.log(x["flops"]), nonlinear["f1"]
    bend = softplus((log_c - np.log(nonlinear["d1"])) / width) * width
    power = -nonlinear["c0"] * log_c - nonlinear["c1"] * bend
    return 1.0, np.exp(np.where(np.abs(np.real(power)) > STEEP, np.sign(np.real(power)) * STEEP, power))


def softplus(z: Array) -> Array:
    """ln(1 + e^z) without overflow; complex z as their real parts."""
    positive = np.real(z) > 0
    value: Array = np.where(positive, z, 0.0) + np.log1p(np.exp(np.where(positive, -z, z)))
    return value


def candidates(x: Inputs, y: Array) -> Array:
    """(c0, c1, d1, f1) to start from: (G, 4), breaks spread over the range of the rows, no c1 of 0."""
    low, high = float(np.min(x["flops"])), float(np.max(x["flops"]))
    places = np.geomspace(low, high, BREAKS + 2)[1:-1]
    slopes = [(before, after - before) for before, after in product(SLOPES, SLOPES) if before != after]
    return np.array([(*slope, place, width) for slope, place, width in product(slopes, places, WIDTHS)])


ACCURACY_BROKEN = Law(
    name="accuracy-broken",
    formula="accuracy = a + b * c^-c0 * (1 + (c / d1)^(1 / f1))^(-c1 * f1),  c = flops / scale",
    latex=r"Q = a + b C^{-c_0} \left(1 + (C / d_1)^{1 / f_1}\right)^{-c_1 f_1}",
    parameters=(
        Parameter("a", "share", "accuracy towards which the power law runs", -np.inf, np.inf, "identity", True),
        Parameter("b", "share", "size of the power law", -np.inf, np.inf, "identity", True),
        Parameter("c0", "1", "exponent before the break", -3, 3, "logit-scaled", False),
        Parameter("c1", "1", "change of the exponent at the break", -3, 3, "logit-scaled", False),
        Parameter("d1", "scale", "compute c of the break", 0, np.inf, "log", False, search=(1e-6, 1e6)),
        Parameter("f1", "1", "width of the break, in ln c", NARROWEST, 10, "logit-scaled", False),
    ),
    inputs=(Input("flops", "training FLOPs, at one ratio of tokens to parameters", 1e21, values=6),),
    output="accuracy",
    source="Caballero et al. 2023 (arXiv 2210.14891) eq. 1 with one break; Krajewski et al. 2025 (arXiv 2512.08894)",
    status="as published",
    terms=terms,
    objective="squared",
    candidates=candidates,
)
