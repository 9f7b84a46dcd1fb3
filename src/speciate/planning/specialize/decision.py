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
from speciate.planning.words import no_interval, none_yet, run_next, seal_next, short


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
        spec = {
            "params": round(self.params), "train_on": self.train_on, "start_tokens": self.start_tokens,
            "tokens": self.tokens, "flops": self.flops,
        }  # fmt: skip
        return {"text": f"{self.why}: {self.run()}", "spec": spec}

    def run(self) -> str:
        """What is to be run, for a person."""
        how = "go on with" if self.start_tokens else "train anew"
        what = f"{how} {short(self.params)} params on {self.train_on} to {short(self.tokens)} tokens"
        return f"{what} ({self.flops:.2g} FLOPs, 6 N D)"


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
        return self.better if self.decided else None

    @property
    def better(self) -> str:
        """The regime of the lower minimum at the largest size, decided or not."""
        return self.names.specialized if self.largest.specialized_is_better else self.names.general

    @property
    def chosen(self) -> Minimum:
        """The minimum of the regime that is better at the largest size."""
        return self.largest.specialized if self.largest.specialized_is_better else self.largest.general

    @property
    def flops(self) -> float:
        """Of training to the chosen minimum's checkpoint: 6 N D."""
        return 6.0 * self.largest.params * self.chosen.checkpoint

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan specialize --json``; missing is null."""
        law = {"formula": SGER.formula, "A": None, "b": None} if self.law is None else self.law.to_json()
        cautious = None if self.law_if_censored is None else self.law_if_censored.to_json()
        tokens = self.chosen.checkpoint
        choice = {
            "regime": self.regime, "params": round(self.largest.params), "tokens": tokens,
            "perplexity": self.chosen.best, "flops": self.flops,
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
        change = f"a limit on forgetting, or exams other than {self.names.eval_on}"
        if self.remedy is not None:
            change = self.remedy.to_json()["text"]
        then = seal_next("specialize")
        if not self.decided:
            settling = f"{self.names.specialized} from another starting model, or with other settings"
            change = change if self.remedy is not None else settling
            then = run_next(settling if self.remedy is None else self.remedy.run())
        return "\n".join([self._choice(), self._sure(), self._cost(), f"What would change it: {change}.", then])

    def _choice(self) -> str:
        size, other = self.largest, self.largest.general
        if not self.decided:
            return none_yet(f"{self.status.rstrip('.')} ({short(size.params)} params)")
        if self.chosen is size.general:
            other = size.specialized
        line = (
            f"Choice: train {short(size.params)} params on {self.regime}: {self.names.eval_on} perplexity "
            f"{self.chosen.best:.4g} after {short(self.chosen.checkpoint)} tokens, against {other.best:.4g} after "
            f"{short(other.checkpoint)}"
        )
        sizes = [one for one in self.optimal_size if one.regime == self.regime and one.params is not None]
        if sizes:
            most = sizes[-1]
            line += f"; {short(most.params or 0)} params are best within {most.flops:.3g} FLOPs"
        return line + "."

    def _sure(self) -> str:
        size, share = self.largest, f"{self.level:.0%}"
        told = f"SGER {sger_words(size, share)}"
        if self.law is not None:
            low, high = ("?" if end is None else f"{end:.2f}" for end in (self.law.b_low, self.law.b_high))
            told += f", growing as params^{self.law.b:.2f} ({share} {low} to {high})"
        chance = size.p_specialized_better
        if chance is None:
            why = "without a second seed it is unknown whether another would turn it"
            return no_interval(self.level, why) if size.low is None is size.high else f"How sure: {why}; {told}."
        name = self.names.specialized if chance >= 0.5 else self.names.general
        better = f"{min(max(chance, 1 - chance), 0.99):.0%} or more that {name} is the better at this size"
        return f"How sure: {better}; {told}."

    def _cost(self) -> str:
        size = self.largest
        other, least = self.names.general, size.general
        if self.chosen is least:
            other, least = self.names.specialized, size.specialized
        line = f"Cost: {self.flops:.3g} FLOPs (6 N D) on {self.better} to its best checkpoint"
        line += f", {6 * size.params * least.checkpoint:.3g} on {other}"
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
