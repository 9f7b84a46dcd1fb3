"""Accuracy from model size and training tokens, at any ratio of the two (Krajewski et al. 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.accuracy import ABOVE_CHANCE, CHANCE
from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """n^-alpha, d^-beta for A, B."""
    size = np.exp(-nonlinear["alpha"] * np.log(x["params"]))
    data = np.exp(-nonlinear["beta"] * np.log(x["tokens"]))
    return size, data


ACCURACY_PARAMS_TOKENS = Law(
    name="accuracy-params-tokens",
    formula="accuracy = chance + (1 - chance) * exp(-A / n^alpha - B / d^beta),  n, d: params, tokens / scale",
    latex=r"-\ln \frac{Q - Q_0}{1 - Q_0} = \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}",
    parameters=(
        Parameter("A", "nats", "what a model of n = 1 leaves to learn on endless data", 0, np.inf, "log", True, ">=0"),
        Parameter("B", "nats", "what d = 1 tokens leave to learn at endless size", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False),
        Parameter("beta", "1", "how fast data pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("params", "non-embedding parameters", 1e9), Input("tokens", "tokens", 1e9), CHANCE),
    output="accuracy",
    source="Krajewski et al. 2025 (arXiv 2512.08894), any ratio of tokens to parameters; its ceiling is 1",
    status="as published",
    terms=terms,
    objective="squared",
    constant=("domain_ratio", "seed_tokens"),
    link=ABOVE_CHANCE,
)
