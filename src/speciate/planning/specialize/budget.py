"""Which model size a compute budget is best spent on, in each regime: read off the curves, never beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.planning.specialize.curves import Curve, Names
from speciate.planning.specialize.minimum import Differences

Array = NDArray[np.float64]
DEFAULT_BUDGETS = 3


@dataclass(frozen=True)
class Reached:
    """What one size reaches within a budget: tokens of the best checkpoint by then (None: not measured there)."""

    params: float
    perplexity: float | None
    tokens: float | None
    why: str | None


@dataclass(frozen=True)
class BudgetChoice:
    """The size of least perplexity within ``flops``; ``p_best`` None where differences between runs are unknown.

    ``edge``: it is the smallest or largest of the sizes that were measured at this budget, so the best may lie beyond.
    """

    flops: float
    regime: str
    params: float | None
    perplexity: float | None
    tokens: float | None
    p_best: float | None
    edge: bool
    sizes: tuple[Reached, ...]

    def to_json(self) -> dict[str, Any]:
        """{flops, regime, params, perplexity, tokens, p_best, edge, sizes[{params, perplexity, tokens, why}]}."""
        params = None if self.params is None else round(self.params)
        sizes = [{**vars(size), "params": round(size.params)} for size in self.sizes]
        return {**vars(self), "params": params, "sizes": sizes}


def reached(curve: Curve, flops: float) -> Reached:
    """The least perplexity that a size reaches with D = flops / (6 N) tokens or fewer: it may stop at its minimum.

    >>> import numpy as np
    >>> y = np.log(np.array([[4.0, 2.0, 3.0]]))
    >>> curve = Curve(1e9, "law", np.array([1e9, 2e9, 4e9]), y, y[0], np.ones(3), ("r",), (None,), None)
    >>> [round(reached(curve, 6e9 * tokens).perplexity or 0.0, 3) for tokens in (1e9, 2e9, 4e9, 8e9)]
    [4.0, 2.0, 2.0, 0.0]
    """
    tokens = flops / (6 * curve.params)
    here = float(curve.perplexity(np.array([tokens]))[0])
    if not np.isfinite(here):
        side = "before its first checkpoint" if tokens < curve.tokens[0] else "beyond its last checkpoint"
        return Reached(curve.params, None, None, f"{tokens:.3g} tokens are {side}")
    past = curve.tokens <= tokens
    if past.any() and np.exp(curve.mean[past].min()) <= here:
        best = int(np.argmin(np.where(past, curve.mean, np.inf)))
        return Reached(curve.params, float(np.exp(curve.mean[best])), float(curve.tokens[best]), None)
    return Reached(curve.params, here, tokens, None)


def default_budgets(curves: Mapping[tuple[float, str], Curve], names: Names) -> list[float]:
    """Budgets at which each regime has two sizes measured, spread evenly in logarithms; [] if there are none."""
    low, high = 0.0, np.inf
    for regime in names.regimes:
        mine = [curve for (_, of), curve in curves.items() if of == regime]
        firsts = sorted(6 * curve.params * curve.tokens[0] for curve in mine)
        lasts = sorted(6 * curve.params * curve.tokens[-1] for curve in mine)
        if len(mine) < 2:
            return []
        low, high = max(low, firsts[1]), min(high, lasts[-2])
    inside = np.geomspace(1.01 * low, high / 1.01, DEFAULT_BUDGETS)  # rounding must not lead outside
    return [float(f"{flops:.3g}") for flops in inside] if 1.01 * low < high / 1.01 else []


def best_sizes(
    curves: Mapping[tuple[float, str], Curve], names: Names, budgets: Sequence[float], differ: Differences,
    draws: int, rng: np.random.Generator,
) -> tuple[BudgetChoice, ...]:  # fmt: skip
    """The best size for every budget and regime."""
    found = []
    for flops in budgets:
        for regime in names.regimes:
            mine = [curve for (_, of), curve in sorted(curves.items()) if of == regime]
            sizes = [reached(curve, flops) for curve in mine]
            known = [(size, curve) for size, curve in zip(sizes, mine, strict=True) if size.perplexity is not None]
            if not known:
                found.append(BudgetChoice(flops, regime, None, None, None, None, False, tuple(sizes)))
                continue
            values = np.array([size.perplexity for size, _ in known], dtype=float)
            best = int(np.argmin(values))
            counts = np.array([len(curve.runs) for _, curve in known], dtype=float)
            chance = None
            if differ.freedom:
                noise = rng.standard_t(differ.freedom, (draws, len(known))) * differ.level / np.sqrt(counts)
                chance = float(np.mean(np.argmin(np.log(values) + noise, axis=1) == best))
            size = known[best][0]
            edge = best in (0, len(known) - 1)
            found.append(
                BudgetChoice(flops, regime, size.params, size.perplexity, size.tokens, chance, edge, tuple(sizes))
            )
    return tuple(found)
