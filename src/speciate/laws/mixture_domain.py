"""Domain loss of a continued run from its tokens (Gu et al. 2407.17467 eq. 6, in a stable form)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter, box_cox


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, (t^s - 1)/s for c, k."""
    return 1.0, box_cox(np.log(x["tokens"]), nonlinear["s"])


MIXTURE_DOMAIN = Law(
    name="mixture-domain",
    formula="loss = c + k * (t^s - 1) / s,  t = tokens / scale  (k ln t at s = 0)",
    latex=r"L_\mathrm{dom}(T) = c + k \frac{t^{s} - 1}{s}",
    parameters=(
        Parameter("c", "nats/token", "loss (or change of loss) at t = 1", -np.inf, np.inf, "identity", True),
        Parameter("k", "nats/token", "slope against ln t at t = 1", -np.inf, np.inf, "identity", True),
        Parameter("s", "1", "bend: below 0 it levels off, at 0 it is a logarithm", -3, 3, "logit-scaled", False),
    ),
    inputs=(Input("tokens", "tokens of the second stage, above 0", 0.2e9),),
    output="loss",
    source="Gu et al. 2024 (arXiv 2407.17467) eq. 6 with a1 = k/s, b1 = c - k/s",
    status="as published",
    terms=terms,
    constant=("params", "domain_ratio"),
)
