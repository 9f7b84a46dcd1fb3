"""What may be chosen, and what the rows cannot speak of: the one form in which every kind answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speciate.planning.decide.question import SAFE, Question
from speciate.planning.words import short

Array = NDArray[np.float64]
Kind = Literal["general", "filtered", "mixture", "split"]
KINDS: tuple[Kind, ...] = ("general", "filtered", "mixture", "split")


@dataclass(frozen=True, eq=False)
class Option:
    """One way to spend what is left of the budget on one size.

    ``tokens`` of the final run (of seed and experts together); ``domain_ratio`` of a continued run; ``seed_tokens``
    that a split's seed has seen when it is copied, its past included, and ``expert_tokens`` of each of ``experts``.
    ``loss`` nats/token on the domain, its ``draws`` (B,) of the law's expected loss; ``forgetting`` nats/token that
    the general loss ends above its start, None: unknown; draws None: the noise is unknown. ``slope``: d loss / d ln
    FLOPs. ``beyond``: tokens over those of the longest pilot. ``noise``, ``forgetting_noise`` (B,): standard deviations
    of one run's measured losses about those expected. ``epochs`` over the domain text, None: enough text.
    """

    kind: Kind
    params: float
    tokens: float
    flops: float
    loss: float
    draws: Array | None
    forgetting: float | None
    forgetting_draws: Array | None
    slope: float
    beyond: float
    noise: Array | None = None
    forgetting_noise: Array | None = None
    domain_ratio: float | None = None
    seed_tokens: float | None = None
    expert_tokens: float | None = None
    experts: int = 1
    epochs: float | None = None
    untried: bool = False  # a size that no run has; extrapolated over those that were tried

    def within(self, question: Question) -> float:
        """Probability that it keeps the limit on forgetting; without draws 0 or 1, by the estimate."""
        if question.tolerance is None:
            return 1.0
        if self.forgetting_draws is not None:
            return float(np.mean(self.forgetting_draws <= question.tolerance))
        return float(self.forgetting is not None and self.forgetting <= question.tolerance)

    def feasible(self, question: Question) -> bool:
        """Whether it keeps the limit with probability SAFE."""
        return self.within(question) >= SAFE

    def plan(self) -> dict[str, Any]:
        """What would be run."""
        return {
            "kind": self.kind, "params": self.params, "tokens": self.tokens, "domain_ratio": self.domain_ratio,
            "seed_tokens": self.seed_tokens, "expert_tokens": self.expert_tokens, "experts": self.experts,
        }  # fmt: skip

    def name(self) -> str:
        """For a person.

        >>> Option("mixture", 5e8, 2e9, 6e18, 2.0, None, 0.0, None, 0.0, 1.0, domain_ratio=0.35).name()
        'a mixture with 35% domain text at 500M params'
        """
        at = f"at {short(self.params)} params"
        if self.kind == "split":
            assert self.seed_tokens is not None and self.expert_tokens is not None
            parts = f"a seed of {short(self.seed_tokens)}, then {self.experts} x {short(self.expert_tokens)}"
            return f"a split {at}: {parts}"
        if self.kind == "mixture":
            return f"a mixture with {100 * (self.domain_ratio or 0.0):.3g}% domain text {at}"
        return f"{self.kind} text {at}"


@dataclass(frozen=True)
class Missing:
    """A kind, at one size or (``params`` None) at all, that was not considered: why, and what would let it be."""

    kind: Kind
    params: float | None
    reason: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "params": self.params, "reason": self.reason, "remedy": self.remedy}
