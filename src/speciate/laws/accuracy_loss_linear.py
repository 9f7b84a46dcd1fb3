"""Accuracy as a straight line in the loss: stage two of two (rival in Krajewski et al. 2512.08894)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, loss for a, b."""
    return 1.0, x["loss"]


ACCURACY_LOSS_LINEAR = Law(
    name="accuracy-loss-linear",
    formula="accuracy = a + b * loss",
    latex=r"Q = a + b L",
    parameters=(
        Parameter("a", "share", "accuracy at a loss of 0, were the line true there", -np.inf, np.inf, "identity", True),
        Parameter("b", "share per nat", "what a nat of loss changes", -np.inf, np.inf, "identity", True),
    ),
    inputs=(Input("loss", "nats per token (or bits per byte), of the row that has the accuracy", values=2, zero=True),),
    output="accuracy",
    source="Krajewski et al. 2025 (arXiv 2512.08894), second of two stages, linear",
    status="as published",
    terms=terms,
    objective="squared",
)
