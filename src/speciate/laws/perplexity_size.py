"""Exam perplexity from model size, at the best checkpoint of each (Malaquias Junior et al. 2501.02068)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """n^-alpha for A."""
    return (np.exp(-nonlinear["alpha"] * np.log(x["params"])),)


PERPLEXITY_SIZE = Law(
    name="perplexity-size",
    formula="perplexity = A / n^alpha,  n = params / scale",
    latex=r"\mathrm{PPL}(N) = \frac{A}{N^{\alpha}}",
    parameters=(
        Parameter("A", "1", "lowest perplexity of a model of n = 1", 0, np.inf, "log", True, ">=0"),
        Parameter("alpha", "1", "how fast size pays", 0, 3, "logit-scaled", False),
    ),
    inputs=(Input("params", "non-embedding parameters", 1e9, values=2),),
    output="perplexity",
    source="Malaquias Junior et al. 2025 (arXiv 2501.02068) fig. 1a",
    status="as published",
    terms=terms,
    objective="log-huber",
)
