"""General loss of a continued run from its tokens: it rises, then falls (Gu et al. 2407.17467, in a stable form).

The paper's a2 t^s2 + a3 t^s3 + b2 has s2 and s3 nearly equal and opposite a2 and a3 in all that it
prints: a difference quotient. Its limit t^s (p + q ln t) + b is what is fitted here; it follows the
printed curves to 6e-6 nats for ratios up to 75 %.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, t^s, t^s ln t for b, p, q."""
    log_t = np.log(x["tokens"])
    power = np.exp(nonlinear["s"] * log_t)
    return 1.0, power, power * log_t


MIXTURE_GENERAL = Law(
    name="mixture-general",
    formula="loss = b + t^s * (p + q ln t),  t = tokens / scale",
    latex=r"L_\mathrm{gen}(T) = b + t^{s} (p + q \ln t)",
    parameters=(
        Parameter("b", "nats/token", "level left by the re-warmed learning rate", -np.inf, np.inf, "identity", True),
        Parameter("p", "nats/token", "power term at t = 1", -np.inf, np.inf, "identity", True),
        Parameter("q", "nats/token", "logarithmic bend; q s < 0 turns it down", -np.inf, np.inf, "identity", True),
        Parameter("s", "1", "growth; p and b part without bound as it nears 0", -3, 3, "logit-scaled", False),
    ),
    inputs=(Input("tokens", "tokens of the second stage, above 0", 0.2e9, values=4),),
    output="loss",
    source="Gu et al. 2024 (arXiv 2407.17467), general loss, as the limit s2 -> s3",
    status="ours",
    terms=terms,
    constant=("params", "domain_ratio"),
)


def turning_tokens(theta: ArrayLike, scale: float) -> Array:
    """Tokens at which the general loss turns from rising to falling: theta (..., 4) -> (...).

    dL/d ln t = t^s (s p + q + s q ln t) has one root, t = exp(-(s p + q)/(s q)); it is a maximum
    iff s q < 0. Without one the answer is NaN (it rises in the end, or is flat: it never turns
    down; so does a maximum too late for a float) or 0.0 (it falls all the way). b does not matter.

    >>> float(turning_tokens([0.0, 0.0, -1.0, 1.0], 1.0).round(4))  # -t ln t: maximum at exp(-1)
    0.3679
    """
    _, p, q, s = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
    slope = s * q  # of the bracket against ln t
    level = s * p + q  # the bracket at t = 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.exp(-level / slope) * scale
        root = np.where(np.isfinite(root), root, np.nan)
    straight = np.where(level < 0, 0.0, np.nan)  # no bend at all
    return np.where(slope < 0, root, np.where(slope > 0, np.nan, straight))
