"""Loss from compute without a floor: stage one of predicting accuracy by way of the loss (Krajewski 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """C^-alpha for A."""
    return (np.exp(-nonlinear["alpha"] * np.log(x["flops"])),)


def published(theta: Array) -> Mapping[str, Array]:
    """C_N in FLOPs and alpha_N of the source's loss = (C / C_N)^alpha_N."""
    return {"C_N": np.exp(np.log(theta[..., 0]) / theta[..., 1]), "alpha_N": -theta[..., 1]}


LOSS_COMPUTE = Law(
    name="loss-compute",
    formula="loss = A / flops^alpha",
    latex=r"L(C) = \frac{A}{C^{\alpha}} = (C / C_N)^{\alpha_N}",
    parameters=(
        Parameter("A", "nats/token", "what one FLOP would leave", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast compute pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("flops", "training FLOPs, at one ratio of tokens to parameters", values=2),),
    output="loss",
    source="Krajewski et al. 2025 (arXiv 2512.08894), first of two stages, with A = C_N^alpha, alpha = -alpha_N",
    status="as published",
    terms=terms,
    objective="log-huber",
    published=published,
)
