"""Loss from size, tokens and the shares of any number of domains (additive law, Shukor et al. 2507.09404)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def power(share: Array, exponent: Array) -> Array:
    """share^exponent, 0 at no share; complex exponents allowed.

    >>> power(np.array([0.0, 0.25]), np.array([0.5]))
    array([0. , 0.5])
    """
    some = share > 0
    raised: Array = np.where(some, np.exp(exponent * np.log(np.where(some, share, 1.0))), 0.0)
    return raised


def optimal_mixture(domains: Sequence[str]) -> Law:
    """The law for these domains: loss = E + 1 / sum_i C_i share_i^gamma_i + A / n^alpha + B / d^beta.

    Written with M = 1 / C of the first domain and w_i = C_i / C of the first, so that M is linear.

    >>> law = optimal_mixture(["web", "code"])
    >>> law.predict([1.0, 0.5, 0.5, 0.1, 0.3, 0.3, 0.5, 0.5, 2.0],
    ...             {"params": [1e9], "tokens": [1e9], "share_web": [0.25], "share_code": [0.25]}).round(6)
    array([2.066667])
    """
    assert len(domains) > 1, domains
    first, *others = domains

    def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
        """1, n^-alpha, d^-beta, 1 / (share_1^gamma_1 + sum w_i share_i^gamma_i) for E, A, B, M."""
        fed = power(x[f"share_{first}"], nonlinear[f"gamma_{first}"])
        for name in others:
            fed = fed + nonlinear[f"w_{name}"] * power(x[f"share_{name}"], nonlinear[f"gamma_{name}"])
        size = np.exp(-nonlinear["alpha"] * np.log(x["params"]))
        return 1.0, size, np.exp(-nonlinear["beta"] * np.log(x["tokens"])), 1.0 / fed

    def published(theta: Array) -> Mapping[str, Array]:
        """E, A, B, alpha, beta, C_i and gamma_i: theta (..., 5 + 2K) -> each (...)."""
        theta = np.asarray(theta, dtype=float)
        found = {name: theta[..., column] for column, name in enumerate(law.names)}
        with np.errstate(divide="ignore"):
            scale = 1.0 / found.pop("M")
        weights = {f"C_{name}": scale * found.pop(f"w_{name}") for name in others}
        return found | {f"C_{first}": scale} | weights

    fed = [f"share_{first}^gamma_{first}", *(f"w_{name} share_{name}^gamma_{name}" for name in others)]
    law = Law(
        name="optimal-mixture",
        formula=f"loss = E + A/n^alpha + B/d^beta + M / ({' + '.join(fed)}),  n = params / scale, d = tokens / scale",
        latex=r"L = E + \frac{1}{\sum_i C_i h_i^{\gamma_i}} + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}",
        parameters=(
            Parameter("E", "nats/token", "loss of an endless model on endless data", 0, np.inf, "log", True, ">=0"),
            Parameter("A", "nats/token", "what a model of one unit of size adds", 0, np.inf, "log", True, ">=0"),
            Parameter("B", "nats/token", "what one unit of tokens leaves", 0, np.inf, "log", True, ">=0"),
            Parameter("M", "nats/token", f"what {first} alone leaves: 1 / C_{first}", 0, np.inf, "log", True, ">=0"),
            Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False, search=(0.05, 1.5)),
            Parameter("beta", "1", "how fast tokens pay", 0, 3, "logit-scaled", False, search=(0.05, 1.5)),
            *(
                Parameter(
                    f"gamma_{name}",
                    "1",
                    f"how fast a share of {name} pays",
                    0,
                    5,
                    "logit-scaled",
                    False,
                    search=(0.02, 2.0),
                )
                for name in domains
            ),
            *(
                Parameter(
                    f"w_{name}",
                    "1",
                    f"worth of {name}, with {first} as 1",
                    0,
                    np.inf,
                    "log",
                    False,
                    search=(0.02, 50.0),
                )
                for name in others
            ),
        ),
        inputs=(
            Input("params", "non-embedding parameters", 1e9),
            Input("tokens", "tokens", 1e9),
            *(Input(f"share_{name}", "share 0..1", zero=True) for name in domains),
        ),
        output="loss",
        source="Shukor et al. 2025 (arXiv 2507.09404), additive law; C_i = w_i / M",
        status="as published",
        terms=terms,
        objective="log-huber",
        constant=("seed_tokens",),
        published=published,
        family=optimal_mixture,
        domains=tuple(domains),
    )
    return law


OPTIMAL_MIXTURE = optimal_mixture(("1", "2", "3"))
