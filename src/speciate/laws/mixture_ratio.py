"""Loss from the domain share of the mixture, at one size and one token count (Gu et al. 2407.17467)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, R^s for b, a."""
    return 1.0, np.exp(nonlinear["s"] * np.log(x["domain_ratio"]))


MIXTURE_RATIO = Law(
    name="mixture-ratio",
    formula="loss = b + a * domain_ratio^s",
    latex=r"L(R) = b + a R^{s}",
    parameters=(
        Parameter("b", "nats/token", "loss towards which the power term vanishes", -np.inf, np.inf, "identity", True),
        Parameter("a", "nats/token", "what pure domain text adds to b", -np.inf, np.inf, "identity", True),
        Parameter("s", "1", "bend; a and b part without bound as it nears 0", -3, 3, "logit-scaled", False),
    ),
    inputs=(Input("domain_ratio", "share 0..1, above 0"),),
    output="loss",
    source="Gu et al. 2024 (arXiv 2407.17467), loss by mixture ratio",
    status="as published",
    terms=terms,
    constant=("params", "seed_tokens", "tokens"),
)
