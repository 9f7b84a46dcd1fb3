"""Effective data transferred from pretraining (Hernandez et al. 2102.01293)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter

STEEP = 700.0  # beyond it exp(u) has no float


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, ln D_F, ln N for log_k, alpha, beta."""
    return 1.0, np.log(x["tokens"]), np.log(x["params"])


def exponential(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """D_T = e^u."""
    value: Array = np.exp(np.where(u.real > STEEP, STEEP, u))
    return value


def logarithm(transferred: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """u = ln D_T; NaN at and below 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(transferred > 0, np.log(np.where(transferred > 0, transferred, 1.0)), np.nan)


def published(theta: Array) -> Mapping[str, Array]:
    """k of the source's D_T = k D_F^alpha N^beta."""
    return {"k": np.exp(theta[..., 0])}


TRANSFER = Law(
    name="transfer",
    formula="transferred_tokens = exp(log_k) * tokens^alpha * params^beta",
    latex=r"D_T = k D_F^{\alpha} N^{\beta}",
    parameters=(
        Parameter("log_k", "1", "ln k: how near the two texts are", -np.inf, np.inf, "identity", True),
        Parameter("alpha", "1", "growth with the tokens of this stage", -np.inf, np.inf, "identity", True),
        Parameter("beta", "1", "growth with size", -np.inf, np.inf, "identity", True),
    ),
    inputs=(Input("tokens", "tokens of this stage, D_F", values=2), Input("params", "parameters", values=2)),
    output="transferred_tokens",
    source="Hernandez et al. 2021 (arXiv 2102.01293) eq. 1.1",
    status="as published",
    terms=terms,
    objective="log-huber",
    link=Link(exponential, logarithm),
    published=published,
)

# Text to Python, with data counted as the source counts it (characters); in another unit of u characters
# k is k u^(alpha - 1), alpha and beta stay.
PUBLISHED = (float(np.log(1.9e4)), 0.18, 0.38)


def effective_tokens(theta: ArrayLike, tokens: ArrayLike, params: ArrayLike) -> Array:
    """Data a model from scratch would need for the same loss, D_E = D_F + D_T: theta (..., 3) -> (..., n).

    ``tokens`` of this stage and ``params`` broadcast against each other to (n,).

    >>> effective_tokens(PUBLISHED, 3e8, 4e7).round(-6)
    array([7.94e+08])
    """
    tokens, params = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, dtype=float)) for value in (tokens, params)))
    value: Array = tokens + TRANSFER.predict(theta, {"tokens": tokens, "params": params})
    return value
