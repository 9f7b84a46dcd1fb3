"""Accuracy as a logistic curve of the loss: stage two of two (OLMo ladder 2412.04403; Krajewski 2512.08894).

The source's  Q = a/(1 + exp(-k (loss - l0))) + b  is written by what each end misses, p = 1 - a - b and
q = 1 - b, because both are then linear and at least 0: no accuracy passes 1. The OLMo ladder bounds its fit
likewise. Without that bound fits to small models run off along an exponential (held-out accuracies of 30 were seen).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter

STEEPNESS = 8  # values of k tried, over the range of the rows
PLACES = 13  # of l0


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """The logistic step and what it leaves, for p, q."""
    half = nonlinear["k"] / 2 * (x["loss"] - nonlinear["l0"])
    step = 0.5 + 0.5 * np.tanh(half)  # 1/(1 + exp(-2 half)), which no k overflows
    return step, 1 - step


def right(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """The accuracy, from the share u that is missed."""
    return 1 - u


def candidates(x: Inputs, y: Array) -> Array:
    """(k, l0) to start from: (G, 2), scaled to the range of the losses, curves that fall with the loss."""
    low, high = float(np.min(x["loss"])), float(np.max(x["loss"]))
    width = (high - low) or 1.0
    steep = -np.geomspace(0.3, 40.0, STEEPNESS) / width
    return np.array(list(product(steep, np.linspace(low - width, high + width, PLACES))))


def published(theta: Array) -> Mapping[str, Array]:
    """a and b of the source's a/(1 + exp(-k (loss - l0))) + b."""
    p, q = theta[..., 0], theta[..., 1]
    return {"a": q - p, "b": 1 - q}


ACCURACY_LOSS_LOGISTIC = Law(
    name="accuracy-loss-logistic",
    formula="accuracy = 1 - q + (q - p) / (1 + exp(-k * (loss - l0)))",
    latex=r"Q = \frac{a}{1 + e^{-k (L - l_0)}} + b,\quad a = q - p,\ b = 1 - q",
    parameters=(
        Parameter("p", "share", "what a perfect loss still misses", 0, np.inf, "log", True, ">=0"),
        Parameter("q", "share", "what a hopeless model misses", 0, np.inf, "log", True, ">=0"),
        Parameter("k", "1 per nat", "steepness, below 0", -np.inf, np.inf, "identity", False, search=(-30.0, -0.1)),
        Parameter("l0", "nats/token", "loss half way up", -np.inf, np.inf, "identity", False, search=(0.0, 10.0)),
    ),
    inputs=(Input("loss", "nats per token (or bits per byte), of the row that has the accuracy", values=4, zero=True),),
    output="accuracy",
    source="Bhagia et al. 2024 (arXiv 2412.04403) eq. 2; Krajewski et al. 2025 (arXiv 2512.08894), second stage",
    status="as published",
    terms=terms,
    objective="squared",
    link=Link(right, right),  # its own inverse
    candidates=candidates,
    published=published,
)
