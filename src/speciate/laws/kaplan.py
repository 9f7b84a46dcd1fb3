"""Loss from model size and training tokens, no floor (Kaplan et al. 2001.08361 eq. 1.5)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """N^-g, 1/D for a_N, D_c."""
    return np.exp(-nonlinear["g"] * np.log(x["params"])), 1.0 / x["tokens"]


def value(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """u^alpha_D."""
    power: Array = np.exp(nonlinear["alpha_D"] * np.log(u))
    return power


def inverse(y: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """y^(1/alpha_D); NaN where y has no logarithm."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        root: Array = np.exp(np.log(y) / nonlinear["alpha_D"])
    return root


def published(theta: Array) -> Mapping[str, Array]:
    """The paper's N_c = a_N^(1/g), D_c, alpha_N = g alpha_D, alpha_D: theta (..., 4) -> each (...).

    >>> {name: float(f"{found:.3g}") for name, found in published(np.array(PUBLISHED)).items()}
    {'N_c': 64000000000000.0, 'D_c': 18000000000000.0, 'alpha_N': 0.076, 'alpha_D': 0.103}
    """
    a, d, g, power = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
    with np.errstate(divide="ignore", over="ignore"):
        size = np.exp(np.log(a) / g)
    return {"N_c": size, "D_c": d, "alpha_N": g * power, "alpha_D": power}


KAPLAN = Law(
    name="kaplan",
    formula="loss = (a_N / params^g + D_c / tokens)^alpha_D,  a_N = N_c^g,  g = alpha_N / alpha_D",
    latex=r"L(N, D) = \left[\left(\frac{N_c}{N}\right)^{\alpha_N / \alpha_D} + \frac{D_c}{D}\right]^{\alpha_D}",
    parameters=(
        Parameter("a_N", "parameters^g", "N_c^g: how much size matters", 0, np.inf, "log", True, ">=0"),
        Parameter("D_c", "tokens", "how much data matters", 0, np.inf, "log", True, ">=0"),
        Parameter("g", "1", "alpha_N / alpha_D", 0, 5, "logit-scaled", False, search=(0.1, 3.0)),
        Parameter(
            "alpha_D", "1", "how fast data pays in a large model", 0, 1, "logit-scaled", False, search=(0.02, 0.8)
        ),
    ),
    inputs=(Input("params", "non-embedding parameters"), Input("tokens", "tokens")),
    output="loss",
    source="Kaplan et al. 2020 (arXiv 2001.08361) eq. 1.5",
    status="as published",
    terms=terms,
    objective="log-huber",
    constant=("domain_ratio", "seed_tokens"),
    link=Link(value, inverse, reads=("alpha_D",)),
    published=published,
)

# Kaplan et al. eq. 1.5 (N_c 6.4e13, D_c 1.8e13, alpha_N .076, alpha_D .103), in the order of KAPLAN.parameters.
PUBLISHED = (6.4e13 ** (0.076 / 0.103), 1.8e13, 0.076 / 0.103, 0.103)
