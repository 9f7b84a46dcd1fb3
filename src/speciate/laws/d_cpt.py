"""Loss of continued pretraining from size, tokens and mixture at once (D-CPT, Que et al. 2406.01375)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, N^-alpha, r^eta D^-beta, (r + eps)^-gamma for E, A, B, C."""
    share = x["domain_ratio"]
    some = share > 0
    power = np.where(some, np.exp(nonlinear["eta"] * np.log(np.where(some, share, 1.0))), 0.0)
    size = np.exp(-nonlinear["alpha"] * np.log(x["params"]))
    data = power * np.exp(-nonlinear["beta"] * np.log(x["tokens"]))
    return 1.0, size, data, np.exp(-nonlinear["gamma"] * np.log(share + nonlinear["eps"]))


D_CPT = Law(
    name="d-cpt",
    formula=(
        "loss = E + A / n^alpha + B domain_ratio^eta / d^beta + C / (domain_ratio + eps)^gamma,  "
        "n = params / scale, d = tokens / scale"
    ),
    latex=r"L(N, D, r) = E + \frac{A}{N^{\alpha}} + \frac{B\, r^{\eta}}{D^{\beta}} + \frac{C}{(r + \epsilon)^{\gamma}}",
    parameters=(
        Parameter("E", "nats/token", "loss of an endless model on endless data", 0, np.inf, "log", True, ">=0"),
        Parameter("A", "nats/token", "what a model of one unit of size adds", 0, np.inf, "log", True, ">=0"),
        Parameter("B", "nats/token", "what one unit of pure domain tokens leaves", 0, np.inf, "log", True, ">=0"),
        Parameter("C", "nats/token", "what a thin share costs", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False, search=(0.05, 1.5)),
        Parameter("beta", "1", "how fast tokens pay", 0, 3, "logit-scaled", False, search=(0.05, 1.5)),
        Parameter(
            "eta", "1", "how much more tokens pay at a high share", 0, 5, "logit-scaled", False, search=(0.05, 3.0)
        ),
        Parameter("gamma", "1", "how fast a share pays", 0, 5, "logit-scaled", False, search=(0.05, 3.0)),
        Parameter("eps", "share", "share that the other text is worth", 0, np.inf, "log", False, search=(0.005, 1.0)),
    ),
    inputs=(
        Input("params", "non-embedding parameters", 1e9),
        Input("tokens", "tokens of the second stage, above 0", 1e9),
        Input("domain_ratio", "share 0..1 of the text whose loss is predicted", zero=True),
    ),
    output="loss",
    source="Que et al. 2024 (arXiv 2406.01375), D-CPT law; A and B in the units of n and d",
    status="as published",
    terms=terms,
    objective="log-huber",
    constant=("seed_tokens",),
)
