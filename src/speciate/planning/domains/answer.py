"""What was asked about several domains, what was fitted, and what the search found: the parts of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speciate.planning.domains.horizon import AtHorizon
from speciate.planning.domains.law import SetLaw
from speciate.planning.domains.repeats import PilotRepeats
from speciate.planning.domains.rows import DomainRuns
from speciate.planning.domains.search import Search
from speciate.planning.domains.simplex import Hull
from speciate.planning.mixture.repetition import Lasting

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]
NEAR, FAR = 0.05, 0.15  # share beyond the tried mixtures from which the choice is extrapolated, and not decided


@dataclass(frozen=True)
class Asked:
    """The question. ``weights`` of every set sum to 1; ``tolerances`` and ``unique`` tokens by domain, where given."""

    horizon: float
    tolerance: float
    tolerances: Mapping[str, float]
    weights: Mapping[str, float]
    unique: Mapping[str, float]
    level: float
    draws: int
    seed: int
    most_regret: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that was fitted: losses at the horizon and laws by set, and what repeats."""

    runs: DomainRuns
    at: Mapping[str, AtHorizon]
    laws: Mapping[str, SetLaw]
    lasting: Lasting
    repeats: PilotRepeats


@dataclass(frozen=True, eq=False)
class Answer:
    """The best shares (1 + B, K) and their objective (1 + B,): row 0 is the choice, the others each draw's own."""

    asked: Asked
    fitted: Fitted
    search: Search
    shares: Array
    value: Array
    grid: Array

    @property
    def runs(self) -> DomainRuns:
        """The runs it rests on."""
        return self.fitted.runs

    @property
    def choice(self) -> Array:
        """Shares (K,) of the best estimate."""
        return np.asarray(self.shares[0], dtype=float)

    @property
    def sure(self) -> bool:
        """Whether there are draws."""
        return len(self.shares) > 1

    @cached_property
    def hull(self) -> Hull:
        """What the runs have tried."""
        return Hull(self.runs.shares)

    @cached_property
    def beyond(self) -> float:
        """Share by which the choice lies outside what was tried."""
        return float(self.hull.beyond(self.choice[None])[0])

    @cached_property
    def at_choice(self) -> Array:
        """The objective (1 + B,) of the choice in every draw."""
        return np.asarray(self.search.objective(self.choice[None])[:, 0], dtype=float)

    @cached_property
    def p_feasible(self) -> float | None:
        """Share of draws in which the choice keeps every tolerance."""
        return float(self.search.feasible(self.choice[None])[1:, 0].mean()) if self.sure else None

    @cached_property
    def regret(self) -> float | None:
        """What the choice is expected to lose against each draw's own best, nats/token."""
        return float(np.maximum(self.at_choice - self.value, 0.0)[1:].mean()) if self.sure else None

    @cached_property
    def overshoot(self) -> float | None:
        """By how much the choice is expected to exceed a tolerance, the one worst kept, nats/token."""
        if not self.sure:
            return None
        over = [self.search.loss(bound.law, self.choice[None])[1:, 0] - bound.most for bound in self.search.bounds]
        return max(float(np.maximum(one, 0.0).mean()) for one in over)

    def named(self, shares: Array) -> dict[str, float]:
        """Shares (K,) by domain."""
        return {name: float(share) for name, share in zip(self.runs.domains, shares, strict=True)}

    def ends(self, values: Array) -> Ends:
        """Interval of draws (rows 1..) about the estimate (row 0)."""
        if len(values) < 2:
            return None, None
        low, high = np.quantile(values[1:], [(1 - self.asked.level) / 2, (1 + self.asked.level) / 2])
        return min(float(low), float(values[0])), max(float(high), float(values[0]))
