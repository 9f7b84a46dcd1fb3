"""Accuracy under repeated sampling, pass@k, from training compute and k (Krajewski et al. 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter

STEEP = 700.0  # beyond it exp(u) has no float, and the accuracy is 0


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, ln c, ln k, ln c ln k for log_A, alpha, beta, delta."""
    compute, samples = np.log(x["flops"]), np.log(x["samples"])
    return 1.0, compute, samples, compute * samples


def pass_rate(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """Q = exp(-exp(u))."""
    value: Array = np.exp(-np.exp(np.where(u.real > STEEP, STEEP, u)))
    return value


def log_log(accuracy: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """u = ln(-ln Q); NaN at 0, 1 and outside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (accuracy > 0) & (accuracy < 1)
        return np.where(inside, np.log(-np.log(np.where(inside, accuracy, 0.5))), np.nan)


ACCURACY_SAMPLES = Law(
    name="accuracy-samples",
    formula="accuracy = exp(-exp(log_A + alpha ln c + beta ln k + delta ln c ln k)),  c = flops / scale, k = samples",
    latex=r"\ln(-\ln Q) = \ln A + \alpha \ln C + \beta \ln k + \delta \ln C \ln k",
    parameters=(
        Parameter("log_A", "1", "ln(-ln Q) of one sample at c = 1", -np.inf, np.inf, "identity", True),
        Parameter(
            "alpha", "1", "how compute pays with one sample (below 0: it does)", -np.inf, np.inf, "identity", True
        ),
        Parameter("beta", "1", "how samples pay at c = 1 (below 0: they do)", -np.inf, np.inf, "identity", True),
        Parameter("delta", "1", "how compute changes what samples pay", -np.inf, np.inf, "identity", True),
    ),
    inputs=(
        Input("flops", "training FLOPs, at one ratio of tokens to parameters", 1e21, values=2),
        Input("samples", "k of pass@k (see pass_at_k), at least 1", values=2),
    ),
    output="accuracy",
    source="Krajewski et al. 2025 (arXiv 2512.08894), repeated sampling",
    status="as published",
    terms=terms,
    objective="squared",
    link=Link(pass_rate, log_log),
)
