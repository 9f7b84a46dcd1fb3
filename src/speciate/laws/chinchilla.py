"""Loss from model size and training tokens (Hoffmann et al. 2203.15556; refit by Besiroglu et al. 2404.10102)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, N^-alpha, D^-beta for E, A, B."""
    size = np.exp(-nonlinear["alpha"] * np.log(x["params"]))
    data = np.exp(-nonlinear["beta"] * np.log(x["tokens"]))
    return 1.0, size, data


def slopes(
    nonlinear: Mapping[str, Array], x: Inputs, terms: tuple[Array | float, ...]
) -> dict[str, tuple[Array | None, ...]]:
    """-ln N N^-alpha and -ln D D^-beta."""
    _, size, data = terms
    return {"alpha": (None, -np.log(x["params"]) * size, None), "beta": (None, None, -np.log(x["tokens"]) * data)}


CHINCHILLA = Law(
    name="chinchilla",
    formula="loss = E + A / params^alpha + B / tokens^beta",
    latex=r"L(N, D) = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}",
    parameters=(
        Parameter("E", "nats/token", "loss of an endless model on endless data", 0, np.inf, "log", True, ">=0"),
        Parameter("A", "nats/token", "what a one-parameter model would lose", 0, np.inf, "log", True, ">=0"),
        Parameter("B", "nats/token", "what one token of data would lose", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False),
        Parameter("beta", "1", "how fast data pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("params", "non-embedding parameters"), Input("tokens", "tokens")),
    output="loss",
    source="Hoffmann et al. 2022 (arXiv 2203.15556) eq. 2; Besiroglu et al. 2024 (arXiv 2404.10102)",
    status="as published",
    terms=terms,
    slopes=slopes,
    objective="log-huber",
    constant=("domain_ratio", "seed_tokens"),
)

# Besiroglu et al. 2404.10102, in the order of CHINCHILLA.parameters.
PUBLISHED = (1.8172, 482.01, 2085.43, 0.3478, 0.3658)


def optimum(theta: Array | tuple[float, ...], flops: float) -> tuple[float, float]:
    """Parameters N* and tokens D* of least loss at compute C = 6 N D.

    G = (alpha A / (beta B))^(1/(alpha+beta)), N* = G (C/6)^(beta/(alpha+beta)), D* = (C/6)/N*.

    >>> size, tokens = optimum(PUBLISHED, 5.76e23)
    >>> round(size / 1e9), round(tokens / 1e9)
    (72, 1329)
    """
    _, a, b, alpha, beta = (float(value) for value in theta)
    ratio = np.exp(np.log(alpha * a / (beta * b)) / (alpha + beta))
    size = float(ratio * (flops / 6) ** (beta / (alpha + beta)))
    return size, flops / 6 / size
