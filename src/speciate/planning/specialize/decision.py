"""The answer to "filtered domain text or everything?": frozen values, their JSON, and five lines for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from speciate.laws.sger import SGER
from speciate.planning.specialize.budget import BudgetChoice
from speciate.planning.specialize.curves import Names
from speciate.planning.specialize.forgetting import Forgetting
from speciate.planning.specialize.law import Bound, SgerLaw
from speciate.planning.specialize.minimum import Minimum


@dataclass(frozen=True)
class NextRun:
    """The cheapest run that would settle what is open; ``start_tokens``: what is trained already."""

    why: str
    params: float
    train_on: str
    start_tokens: float
    tokens: float

    @property
    def flops(self) -> float:
        """C = 6 N D of what is still to be trained."""
        return 6.0 * self.params * (self.tokens - self.start_tokens)

    def to_json(self) -> dict[str, Any]:
        """{text, spec {params, train_on, start_tokens, tokens, flops}}."""
        how = "go on with" if self.start_tokens else "train anew"
        spec = {
            "params": round(self.params), "train_on": self.train_on, "start_tokens": self.start_tokens,
            "tokens": self.tokens, "flops": self.flops,
        }  # fmt: skip
        text = f"{self.why}: {how} {self.params:,.0f} params on {self.train_on} to {billions(self.tokens)} tokens"
        return {"text": f"{text} ({self.flops:.2g} FLOPs)", "spec": spec}


@dataclass(frozen=True)
class SizeSger:
    """One model size: both minima and their ratio, SGER = D_g / D_s (None where these rows do not hold it).

    ``bound``: "lower" (the general run ended before its minimum), "upper", or "". ``low`` and ``high`` None: not
    bounded on that side. ``near``: a minimum lies so near its run's end that it may be none.
    ``p_specialized_better``: chance that the specialised minimum is the lower one, None without replicates.
    """

    params: float
    sger: float | None
    low: float | None
    high: float | None
    bound: Bound
    near: bool
    general: Minimum
    specialized: Minimum
    p_specialized_better: float | None
    status: str

    @property
    def specialized_is_better(self) -> bool:
        """By the least measured perplexity."""
        return self.specialized.best < self.general.best

    def to_json(self) -> dict[str, Any]:
        """One entry of ``sizes``."""
        g, s = self.general, self.specialized
        return {
            "params": round(self.params),
            "sger": self.sger,
            "low": self.low,
            "high": self.high,
            "censored": self.bound != "" or self.sger is None,
            "near_censored": self.near,
            "bound": self.bound or None,
            "sger_by_checkpoint": None if self.sger is None else g.checkpoint / s.checkpoint,
            "general_tokens": g.tokens,
            "specialized_tokens": s.tokens,
            "general_best": g.best,
            "specialized_best": s.best,
            "p_specialized_better": self.p_specialized_better,
            "general_minimum": minimum_json(g),
            "specialized_minimum": minimum_json(s),
            "status": self.status,
        }


def minimum_json(found: Minimum) -> dict[str, Any]:
    """{tokens, low, high, checkpoint, last, perplexity, censored, near_censored, bound, runs}."""
    return {
        "tokens": found.tokens,
        "low": found.low,
        "high": found.high,
        "checkpoint": found.checkpoint,
        "last": found.last,
        "perplexity": found.best,
        "censored": found.censored,
        "near_censored": found.near,
        "bound": found.bound or None,
        "runs": found.runs,
    }


@dataclass(frozen=True)
class SpecializeDecision:
    """The decision, and all that it rests on. It speaks of the largest size that has both regimes."""

    names: Names
    level: float
    decided: bool
    status: str
    sizes: tuple[SizeSger, ...]
    law: SgerLaw | None
    law_if_censored: SgerLaw | None
    law_status: str
    perplexity_laws: Mapping[str, Mapping[str, Any]]
    forgetting: tuple[Forgetting, ...]
    optimal_size: tuple[BudgetChoice, ...]
    remedy: NextRun | None
    method: Mapping[str, Any]
    rows: pd.DataFrame = field(repr=False, compare=False)

    @property
    def largest(self) -> SizeSger:
        """The size the decision speaks of."""
        return self.sizes[-1]

    @property
    def regime(self) -> str | None:
        """What to train on; None where that is not decided."""
        if not self.decided:
            return None
        return self.names.specialized if self.largest.specialized_is_better else self.names.general

    @property
    def chosen(self) -> Minimum:
        """The minimum of the regime that is better at the largest size."""
        return self.largest.specialized if self.largest.specialized_is_better else self.largest.general

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan specialize --json``; missing is null."""
        law = {"formula": SGER.formula, "A": None, "b": None} if self.law is None else self.law.to_json()
        cautious = None if self.law_if_censored is None else self.law_if_censored.to_json()
        tokens = self.chosen.checkpoint
        choice = {
            "regime": self.regime, "params": round(self.largest.params), "tokens": tokens,
            "perplexity": self.chosen.best, "flops": 6.0 * self.largest.params * tokens,
        }  # fmt: skip
        return {
            "kind": "specialize",
            "general": self.names.general,
            "specialized": self.names.specialized,
            "eval_on": self.names.eval_on,
            "level": self.level,
            "decided": self.decided,
            "status": self.status,
            "choice": choice if self.decided else None,
            "sizes": [size.to_json() for size in self.sizes],
            "sger_law": {**law, "if_near_is_censored": cautious, "status": self.law_status},
            "perplexity_laws": {role: dict(found) for role, found in self.perplexity_laws.items()},
            "forgetting": [one.to_json() for one in self.forgetting],
            "optimal_size": [one.to_json() for one in self.optimal_size],
            "remedy": None if self.remedy is None else self.remedy.to_json(),
            "method": dict(self.method),
        }

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        text = None if self.remedy is None else self.remedy.to_json()["text"]
        then = (
            "plan again with its rows added: speciate plan specialize TABLE"
            if self.remedy is not None
            else f"train {self.largest.params:,.0f} params on {self.regime}, then: speciate plan specialize TABLE"
        )
        change = text or f"a limit on forgetting, or exams other than {self.names.eval_on}"
        return "\n".join(
            [self._choice(), self._sure(), self._cost(), f"What would change it: {change}.", f"Next: {then}"]
        )

    def _choice(self) -> str:
        size, other = self.largest, self.largest.general
        if not self.decided:
            return f"Choice: none yet for {size.params:,.0f} params; {self.status}"
        if self.chosen is size.general:
            other = size.specialized
        line = (
            f"Choice: train {size.params:,.0f} params on {self.regime}: {self.names.eval_on} perplexity "
            f"{self.chosen.best:.4g} after {billions(self.chosen.checkpoint)} tokens, against {other.best:.4g} after "
            f"{billions(other.checkpoint)}"
        )
        sizes = [one for one in self.optimal_size if one.regime == self.regime and one.params is not None]
        if sizes:
            most = sizes[-1]
            line += f"; {most.params:,.0f} params are best within {most.flops:.3g} FLOPs"
        return line + "."

    def _sure(self) -> str:
        size, share = self.largest, f"{self.level:.0%}"
        chance = size.p_specialized_better
        if chance is None:
            better = "without a second seed it is unknown whether another would turn it"
        else:
            name = self.names.specialized if chance >= 0.5 else self.names.general
            better = f"{min(max(chance, 1 - chance), 0.99):.0%} or more that {name} is the better at this size"
        grows = ""
        if self.law is not None:
            low, high = ("?" if end is None else f"{end:.2f}" for end in (self.law.b_low, self.law.b_high))
            grows = f", growing as params^{self.law.b:.2f} ({share} {low} to {high})"
        return f"How sure: {better}; SGER {sger_words(size, share)}{grows}."

    def _cost(self) -> str:
        size = self.largest
        line = (
            f"Cost: {6 * size.params * self.chosen.checkpoint:.3g} FLOPs (6 params tokens) to that checkpoint; "
            f"{self.names.general} takes {6 * size.params * size.general.checkpoint:.3g}, "
            f"{self.names.specialized} {6 * size.params * size.specialized.checkpoint:.3g} to its own"
        )
        for one in self.forgetting:
            if one.params == size.params and one.difference is not None:
                ends = "" if one.low is None or one.high is None else f" ({one.low:+.3g} to {one.high:+.3g})"
                line += f"; {one.eval_on} perplexity {one.difference:+.3g}{ends} if specialised"
        return line + "."


def sger_words(size: SizeSger, share: str) -> str:
    """A ratio with its interval in words: "4.33 (90% 3.7 to 5.1)", "at least 4.33"."""
    if size.sger is None:
        return "unknown"
    if size.bound:
        return f"{'at least' if size.bound == 'lower' else 'at most'} {size.sger:.3g}"
    ends = ["?" if end is None else f"{end:.3g}" for end in (size.low, size.high)]
    return f"{size.sger:.3g} ({share} {ends[0]} to {ends[1]}{', near-censored' if size.near else ''})"


def billions(tokens: float) -> str:
    """Tokens for a person.

    >>> billions(5.38e10), billions(229376)
    ('53.8B', '0.000229B')
    """
    return f"{tokens / 1e9:.3g}B"
