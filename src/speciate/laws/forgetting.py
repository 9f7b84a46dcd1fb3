"""General loss after finetuning on a domain, with general text mixed in (Bethune et al. 2502.06042)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """d^beta / ((1 + B g) n)^alpha for A, g = 1 - domain_ratio."""
    general = 1 - x["domain_ratio"]
    size = np.log(1 + nonlinear["B"] * general) + np.log(x["params"])
    return (np.exp(nonlinear["beta"] * np.log(x["tokens"]) - nonlinear["alpha"] * size),)


def from_start(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """The loss, from the rise u since the start."""
    return x["start_loss"] + u


def since_start(loss: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """The rise u since the start, from the loss."""
    return loss - x["start_loss"]


FORGETTING = Law(
    name="forgetting",
    formula="loss = start_loss + A * d^beta / ((1 + B g) n)^alpha,  g = 1 - domain_ratio; d, n: tokens, params / scale",
    latex=r"L = L_0 + \frac{A D^{\beta}}{((1 + B (1 - R)) N)^{\alpha}}",
    parameters=(
        Parameter("A", "nats/token", "rise at d = n = 1 on domain text alone", 0, np.inf, "log", True, ">=0"),
        Parameter(
            "B",
            "1",
            "how many times larger pure general text makes the model, less 1",
            0,
            np.inf,
            "log",
            False,
            search=(0.3, 3e5),
        ),
        Parameter("alpha", "1", "how fast size protects", 0, 3, "logit-scaled", False),
        Parameter("beta", "1", "how fast tokens erode", 0, 3, "logit-scaled", False),
    ),
    inputs=(
        Input("tokens", "tokens of this stage, above 0", 1e9, values=2),
        Input("params", "non-embedding parameters", 1e9, values=2),
        Input("domain_ratio", "share 0..1; 1 less the general share p of the source", zero=True),
        Input("start_loss", "nats per token, of the starting model", values=1, zero=True),
    ),
    output="loss",
    source="Bethune et al. 2025 (arXiv 2502.06042), pretraining loss after finetuning with injected general text",
    status="as published",
    terms=terms,
    link=Link(from_start, since_start),
)
