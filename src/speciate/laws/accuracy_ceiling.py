"""Accuracy from compute with a ceiling below 1 (Krajewski et al. 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.accuracy import ABOVE_CHANCE, CHANCE
from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, c^-alpha for E, A."""
    return 1.0, np.exp(-nonlinear["alpha"] * np.log(x["flops"]))


def published(theta: Array) -> Mapping[str, Array]:
    """Q'_max = exp(-E): the accuracy above chance, rescaled, of endless compute."""
    return {"Q_max": np.exp(-theta[..., 0])}


ACCURACY_CEILING = Law(
    name="accuracy-ceiling",
    formula="accuracy = chance + (1 - chance) * exp(-(E + A / c^alpha)),  c = flops / scale",
    latex=r"-\ln \frac{Q - Q_0}{1 - Q_0} = \frac{A}{C^{\alpha}} + E",
    parameters=(
        Parameter("E", "nats", "what endless compute leaves; the ceiling is exp(-E)", 0, np.inf, "log", True, ">=0"),
        Parameter("A", "nats", "what compute c = 1 leaves beyond that", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast compute pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("flops", "training FLOPs, at one ratio of tokens to parameters", 1e21), CHANCE),
    output="accuracy",
    source="Krajewski et al. 2025 (arXiv 2512.08894), with a ceiling",
    status="as published",
    terms=terms,
    objective="squared",
    link=ABOVE_CHANCE,
    published=published,
)
