"""Loss from the shares of any number of domains, at one size and token count (Ye et al. 2403.16952).

The paper writes c + k exp(sum_j t_j r_j). Where mixtures differ little in loss that is nearly a straight
line, and c, k and t run away together. The same curves are written here as base + k (exp(sum_j w_j r_j / k) - 1)
with k = base (1 - floor): the level, the slopes and the bend, each of which the rows see for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter

FLOORS = (0.05, 0.3, 0.5, 0.65, 0.75, 0.82, 0.87, 0.91, 0.94, 0.96, 0.975, 0.985, 0.993, 0.998)  # c / least loss


def value(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """base + k (exp(u / k) - 1), k = base (1 - floor)."""
    k = nonlinear["base"] * (1.0 - nonlinear["floor"])
    bent: Array = nonlinear["base"] + k * np.expm1(u / k)
    return bent


def inverse(y: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """k ln(1 + (y - base) / k); NaN where y is not above the floor."""
    k = nonlinear["base"] * (1.0 - nonlinear["floor"])
    with np.errstate(invalid="ignore", divide="ignore"):
        straight: Array = k * np.log1p((y - nonlinear["base"]) / k)
    return straight


def mixing(domains: Sequence[str]) -> Law:
    """The law for these domains, of which the last is the reference: its w is 0.

    The shares of a row sum to 1, so a constant added to every t and taken from ln k changes nothing. That
    freedom is spent on the last domain: base is the loss on it alone, w_NAME what moving text from it to
    NAME does at first. Text outside the named shares counts as the last domain's.

    >>> law = mixing(["web", "code"])
    >>> law.predict([3.0, 2 / 3, -0.5], {"share_web": [0.0, 1.0], "share_code": [1.0, 0.0]}).round(4)
    array([3.    , 2.6065])
    """
    assert len(domains) > 1, domains
    *named, last = domains

    def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
        """The shares but the last, for each w."""
        return tuple(x[f"share_{name}"] for name in named)

    def candidates(x: Inputs, y: Array) -> Array:
        """(base, floor) of regressions of ln(y - c) on the shares, for floors c below the least loss: (G, 2)."""
        design = np.stack([np.ones_like(y), *terms({}, x)], axis=1)
        starts = []
        for c in np.array(FLOORS) * y.min():
            above = y - c  # as weights they make the regression one of y
            log_k = np.linalg.lstsq(design * above[:, None], np.log(above) * above, rcond=None)[0][0]
            base = c + np.exp(np.clip(log_k, -20.0, 20.0))
            starts.append((base, c / base))
        return np.array(starts)

    def published(theta: Array) -> Mapping[str, Array]:
        """The paper's c, k and t_j (the last 0): theta (..., K + 1) -> each (...)."""
        base, floor, *slopes = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        k = base * (1.0 - floor)
        rates = {f"t_{name}": w / k for name, w in zip(named, slopes, strict=True)}
        return {"c": base * floor, "k": k} | rates | {f"t_{last}": np.zeros_like(base)}

    slopes = [
        Parameter(f"w_{name}", "nats/token", f"slope from {last} towards {name}", -np.inf, np.inf, "identity", True)
        for name in named
    ]
    return Law(
        name="mixing",
        formula=f"loss = base + k (exp(({' + '.join(f'w_{name} share_{name}' for name in named)}) / k) - 1),  "
        "k = base (1 - floor),  shares sum to 1",
        latex=r"L(r) = c + k \exp\Big(\sum_j t_j r_j\Big),\quad c = L_0 \phi,\ k = L_0 (1 - \phi),\ t_j = w_j / k",
        parameters=(
            Parameter("base", "nats/token", f"loss on {last} alone", 0, np.inf, "log", False, search=(0.1, 10.0)),
            Parameter("floor", "1", "share of base that no mixture removes", 0, 1, "logit-scaled", False),
            *slopes,
        ),
        inputs=tuple(Input(f"share_{name}", "share 0..1", values=2, zero=True) for name in domains),
        output="loss",
        source="Ye et al. 2024 (arXiv 2403.16952); c = base floor, k = base (1 - floor), t_j = w_j / k, last t 0",
        status="as published",
        terms=terms,
        objective="log-huber",
        constant=("params", "seed_tokens", "tokens"),
        link=Link(value, inverse, reads=("base", "floor")),
        candidates=candidates,
        published=published,
        family=mixing,
        domains=tuple(domains),
    )


MIXING = mixing(("1", "2", "3"))
