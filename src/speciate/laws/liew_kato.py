"""Loss of bootstrapped pretraining, the rival of the split law (Liew & Kato 2510.06548)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Parameter


def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """1, d^-a1 t^(-a2 + a3 ln d), n^-b for E, A, B."""
    log_seed, log_tokens = np.log(x["seed_tokens"]), np.log(x["tokens"])
    fade = -nonlinear["a2"] + nonlinear["a3"] * log_seed
    return 1.0, np.exp(fade * log_tokens - nonlinear["a1"] * log_seed), np.exp(-nonlinear["b"] * np.log(x["params"]))


LIEW_KATO = Law(
    name="liew-kato",
    formula=(
        "loss = E + A d^-a1 t^(-a2 + a3 ln d) + B / n^b,  "
        "d = seed_tokens / scale, t = tokens / scale, n = params / scale"
    ),
    latex=r"L = E + A\, D^{-a_1}\, D'^{\,-a_2 + a_3 \ln D} + \frac{B}{N^{b}}",
    parameters=(
        Parameter("E", "nats/token", "loss of an endless model on endless data", 0, np.inf, "log", True, ">=0"),
        Parameter("A", "nats/token", "what is left at one unit of either stage", 0, np.inf, "log", True, ">=0"),
        Parameter("B", "nats/token", "what a model of one unit of size adds", 0, np.inf, "log", True, ">=0"),
        Parameter("a1", "1", "how fast the first stage pays", -1, 3, "logit-scaled", False, search=(0.0, 0.8)),
        Parameter("a2", "1", "how fast the second stage pays", -1, 3, "logit-scaled", False, search=(0.0, 0.8)),
        Parameter(
            "a3",
            "1",
            "how much a longer first stage slows the second",
            -1,
            1,
            "logit-scaled",
            False,
            search=(-0.05, 0.1),
        ),
        Parameter("b", "1", "how fast size pays", 0, 3, "logit-scaled", False, search=(0.05, 1.5)),
    ),
    inputs=(
        Input("params", "non-embedding parameters", 1e9),
        Input("seed_tokens", "tokens of the first stage, above 0", 1e9),
        Input("tokens", "tokens of the second stage, above 0", 1e9),
    ),
    output="loss",
    source="Liew & Kato 2025 (arXiv 2510.06548); Seto et al. 2026 (arXiv 2603.19149) eq. H.1",
    status="as published",
    terms=terms,
    objective="log-huber",
    constant=("domain_ratio",),
)


def terms_at_one_size(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
    """The terms for E, which then holds B / n^b, and A."""
    one, both, _ = terms({**nonlinear, "b": np.zeros(1)}, {**x, "params": np.ones(1)})
    return one, both


LIEW_KATO_ONE_SIZE = replace(
    LIEW_KATO,
    name="liew-kato-one-size",
    formula="loss = E + A d^-a1 t^(-a2 + a3 ln d),  d = seed_tokens / scale, t = tokens / scale",
    latex=r"L = E + A\, D^{-a_1}\, D'^{\,-a_2 + a_3 \ln D}",
    parameters=tuple(given for given in LIEW_KATO.parameters if given.name not in ("B", "b")),
    inputs=LIEW_KATO.inputs[1:],
    source="speciate.laws.liew_kato at one size, where E holds B / n^b",
    status="ours",
    terms=terms_at_one_size,
    constant=("params", "domain_ratio"),
)
