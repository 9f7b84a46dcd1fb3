"""Loss when text is repeated: tokens seen again count for less (Muennighoff et al. 2305.16264).

The paper's law is Chinchilla's with effective parameters and tokens. Its U_N, the parameters that U
unique tokens deserve, follows from A, B, alpha and beta; so that E, A and B stay linear here, U_N is
U / 19.613 instead, the ratio at the paper's own constants (where alpha = beta, so it is one number).
At those constants the two are the same law.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter

# The paper's decoder fit, in the order of REPETITION.parameters: E, A, B, alpha, beta, R*_D, R*_N.
PUBLISHED = (
    float(np.exp(0.6254804)),
    float(np.exp(6.255414)),
    float(np.exp(7.3049974)),
    0.3526596,
    0.3526596,
    15.387756,
    5.309743,
)
TOKENS_PER_PARAMETER = float(np.exp((7.3049974 - 6.255414) / 0.3526596))  # (B / A)^(1 / alpha) = 19.613


def effective(unique: Array, extra: Array, lasting: Array) -> Array:
    """U (1 + R* (1 - exp(-r / R*))): what unique amounts, and r >= 0 times as much on top, are worth.

    unique, extra (n,); lasting = R* (..., 1) -> (..., n). One token read four times at R* = 15.4:

    >>> effective(np.array([1.0]), np.array([3.0]), np.array([15.4])).round(3)
    array([3.726])
    """
    worth: Array = unique * (1.0 - lasting * np.expm1(-extra / lasting))
    return worth


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, N_eff^-alpha, D_eff^-beta for E, A, B."""
    fresh = np.minimum(x["tokens"], x["unique_tokens"])
    deserved = np.minimum(x["params"], fresh / TOKENS_PER_PARAMETER)
    size = effective(deserved, x["params"] / deserved - 1.0, nonlinear["R_N"])
    data = effective(fresh, x["tokens"] / fresh - 1.0, nonlinear["R_D"])
    return 1.0, np.exp(-nonlinear["alpha"] * np.log(size)), np.exp(-nonlinear["beta"] * np.log(data))


REPETITION = Law(
    name="repetition",
    formula=(
        "loss = E + A / N_eff^alpha + B / D_eff^beta,  D_eff = U (1 + R_D (1 - exp(-r / R_D))),  "
        "U = unique_tokens (at most tokens), r = tokens / U - 1;  N_eff likewise from R_N and U / 19.6 parameters"
    ),
    latex=(
        r"L = E + \frac{A}{N_\mathrm{eff}^{\alpha}} + \frac{B}{D_\mathrm{eff}^{\beta}},\quad "
        r"D_\mathrm{eff} = U + U R^{*}_D \left(1 - e^{-r / R^{*}_D}\right)"
    ),
    parameters=(
        Parameter("E", "nats/token", "loss of an endless model on endless data", 0, np.inf, "log", True, ">=0"),
        Parameter("A", "nats/token", "what a one-parameter model would lose", 0, np.inf, "log", True, ">=0"),
        Parameter("B", "nats/token", "what one token of data would lose", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False),
        Parameter("beta", "1", "how fast data pays", 0, 3, "logit-scaled", False),
        Parameter("R_D", "1", "repeats after which a token is worth 1/e", 0, np.inf, "log", False, search=(0.5, 200.0)),
        Parameter("R_N", "1", "the same of parameters beyond U / 19.6", 0, np.inf, "log", False, search=(0.5, 200.0)),
    ),
    inputs=(
        Input("params", "non-embedding parameters"),
        Input("tokens", "tokens, repeats counted"),
        Input("unique_tokens", "tokens, repeats not counted"),
    ),
    output="loss",
    source="Muennighoff et al. 2023 (arXiv 2305.16264); U_N at the published A, B, alpha, beta",
    status="as published",
    terms=terms,
    objective="log-huber",
    constant=("domain_ratio", "seed_tokens"),
)
