"""Accuracy from compute at a fixed ratio of tokens to parameters (Krajewski et al. 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.accuracy import ABOVE_CHANCE, CHANCE
from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """c^-alpha for A."""
    return (np.exp(-nonlinear["alpha"] * np.log(x["flops"])),)


ACCURACY_COMPUTE = Law(
    name="accuracy-compute",
    formula="accuracy = chance + (1 - chance) * exp(-A / c^alpha),  c = flops / scale",
    latex=r"-\ln \frac{Q - Q_0}{1 - Q_0} = \frac{A}{C^{\alpha}}",
    parameters=(
        Parameter("A", "nats", "-ln of the accuracy above chance at c = 1", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast compute pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("flops", "training FLOPs, at one ratio of tokens to parameters", 1e21, values=2), CHANCE),
    output="accuracy",
    source="Krajewski et al. 2025 (arXiv 2512.08894), fixed tokens per parameter",
    status="as published",
    terms=terms,
    objective="squared",
    link=ABOVE_CHANCE,
)
