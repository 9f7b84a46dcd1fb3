"""The best seed's share of a budget against size: one fit for every size, then f* = a N^b (Seto et al. G.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from speciate.laws.law import Array
from speciate.planning.split.budget import Budget, budget_of
from speciate.planning.split.fit import Fitted, at_each_size

UNIT = 1e9  # parameters in which the power law is written
DRAWS = 300  # of every size's own fit


@dataclass(frozen=True, eq=False)
class ShareBySize:
    """The best seed's share at every size, from that size's own rows, and the power law through them.

    ``a`` and ``b`` of share = a (params/1e9)^b, and ``share`` at ``params``, are None with fewer than two sizes.
    Triples are (value, low, high).
    """

    sizes: tuple[tuple[float, float, float | None, float | None], ...]
    a: float | None
    b: float | None
    params: float
    share: tuple[float | None, float | None, float | None]
    note: str

    def to_json(self) -> dict[str, Any]:
        """{sizes [{params, share, low, high}], a, b, params, share, low, high, note}; missing is null."""
        names = ("params", "share", "low", "high")
        return {
            "sizes": [dict(zip(names, one, strict=True)) for one in self.sizes],
            "a": self.a,
            "b": self.b,
            **dict(zip(names, (self.params, *self.share), strict=True)),
            "note": self.note,
        }


def share_by_size(fitted: Fitted, params: float, total: float, domains: int, level: float, seed: int) -> ShareBySize:
    """The best seed's share of ``total`` at every size in the rows, and what the power law says at ``params``."""
    tails = ((1 - level) / 2, (1 + level) / 2)
    found: dict[float, Budget] = {
        size: budget_of(own, size, total, domains, level)
        for size, own in at_each_size(fitted, DRAWS, seed).items()
    }  # fmt: skip
    rows = []
    for size, budget in found.items():
        low, high = ends(budget.seed_draws, tails)
        share = budget.seed / total
        rows.append((size, share, None if low is None else min(low / total, share),
                     None if high is None else max(high / total, share)))  # fmt: skip
    used = {size: one for size, one in found.items() if one.seed > 0}
    none = (None, None, None)
    if len(used) < 2:
        note = f"{len(used)} sizes have enough rows of their own and a seed worth training: no law over sizes"
        return ShareBySize(tuple(rows), None, None, params, none, note)
    a, b = power_law(used, {size: one.seed / total for size, one in used.items()})
    share, low, high = at(a, b, params), None, None
    if all(one.seed_draws is not None for one in used.values()):
        drawn = power_draws({size: np.asarray(one.seed_draws) / total for size, one in used.items()})
        low, high = (float(q) for q in np.quantile(np.clip(drawn[0] * (params / UNIT) ** drawn[1], 0, 1), tails))
        low, high = min(low, share), max(high, share)
    left = len(found) - len(used)
    note = f"{left} sizes without a seed have no logarithm and were left out" if left else ""
    return ShareBySize(tuple(rows), a, b, params, (share, low, high), note)


def ends(draws: Array | None, tails: tuple[float, float]) -> tuple[float | None, float | None]:
    """Ends of an interval that are themselves among the draws, which may be infinite; (None, None) without draws."""
    if draws is None:
        return None, None
    low, high = np.quantile(draws, tails, method="nearest")
    return float(low), float(high)


def at(a: float, b: float, params: float) -> float:
    """A share: a (N/1e9)^b, at most 1."""
    return float(min(a * (params / UNIT) ** b, 1.0))


def power_law(sizes: Mapping[float, object], shares: Mapping[float, float]) -> tuple[float, float]:
    """a and b by least squares of logarithms."""
    coefficients = np.polyfit(np.log(np.array(list(sizes)) / UNIT), np.log(list(shares.values())), 1)
    return float(np.exp(coefficients[1])), float(coefficients[0])


def power_draws(shares: Mapping[float, Array]) -> tuple[Array, Array]:
    """a and b of every draw, each (B,); a draw without a seed at some size counts it as a thousandth."""
    drawn = np.log(np.maximum(np.stack(list(shares.values())), 1e-3))
    coefficients = np.polyfit(np.log(np.array(list(shares)) / UNIT), drawn, 1)
    return np.exp(coefficients[1]), np.asarray(coefficients[0])
