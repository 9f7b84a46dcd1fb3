"""The answer across kinds and sizes: a frozen value and its JSON; ``words`` has it for a person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.planning.decide import words
from speciate.planning.decide.continued import repeating
from speciate.planning.decide.judge import Verdict, flops_for, judge
from speciate.planning.decide.ledger import MEASURES, Ledger
from speciate.planning.decide.options import Missing, Option
from speciate.planning.decide.promise import promises
from speciate.planning.decide.question import Question

Ends = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class DecideDecision:
    """``options`` by size and kind, ``missing`` what was not considered; ``left``: FLOPs for final run and serving."""

    question: Question
    ledger: Ledger = field(repr=False)
    options: tuple[Option, ...]
    missing: tuple[Missing, ...]
    verdict: Verdict
    left: float

    @property
    def choice(self) -> Option | None:
        """The best option, where the rows tell it well enough."""
        return self.leader if self.decided else None

    @property
    def leader(self) -> Option | None:
        """The option of least expected loss that keeps the limit, however unsure."""
        return None if self.verdict.best is None else self.options[self.verdict.best]

    @property
    def runner_up(self) -> Option | None:
        """The next best that keeps the limit."""
        return None if self.verdict.second is None else self.options[self.verdict.second]

    @property
    def p_best(self) -> float | None:
        """Probability that the leader is best; None where the noise is unknown."""
        best, every = self.verdict.best, self.verdict.p_best
        return None if best is None or every is None else every[best]

    @property
    def decided(self) -> bool:
        """Whether there is a leader, and it is best with probability ``sure`` or expected to cost at most ``bound``."""
        if self.p_best is None or self.verdict.regret is None:
            return False
        return self.p_best >= self.question.sure or self.verdict.regret <= self.question.bound

    @property
    def rows(self) -> pd.DataFrame:
        """Those that were used, as the user gave them."""
        return self.ledger.rows

    @property
    def unlimited(self) -> Option | None:
        """What would be chosen without a limit on forgetting."""
        best = judge(self.options, replace(self.question, tolerance=None)).best
        return None if best is None else self.options[best]

    @property
    def status(self) -> str:
        """The answer in a sentence."""
        return words.status(self)

    def explain(self) -> str:
        """Five lines: choice, how sure, cost, what would change it, next command."""
        return words.explain(self)

    def ends(self, value: float | None, draws: NDArray[np.float64] | None) -> Ends:
        """The interval at ``level`` of a value with these draws; it holds the value."""
        if draws is None or value is None:
            return None, None
        low, high = np.quantile(draws, [(1 - self.question.level) / 2, (1 + self.question.level) / 2])
        return min(float(low), value), max(float(high), value)

    def interval(self, option: Option) -> Ends:
        """Of an option's expected loss."""
        return self.ends(option.loss, option.draws)

    def serve_flops(self, option: Option) -> float:
        """What serving an option costs: 2 N a token."""
        return 2 * option.params * self.question.serve_tokens

    @property
    def notes(self) -> tuple[str, ...]:
        """What to beware of."""
        told, splits = list(self.ledger.notes), [one for one in self.options if one.kind == "split"]
        again = repeating(self.ledger, self.question.unique_tokens)
        if again:
            told.append(f"{again} runs read more domain text than --unique-tokens: taken to repeat it "
                        "(the column unique_tokens would tell)")  # fmt: skip
        if self.question.tolerance is None and any(one.forgetting is None for one in splits):
            told.append("what the experts of a split forget is unknown")
        if self.question.serve_tokens and splits:
            told.append("serving a split costs 2 N a token, as one model does; routing is not counted")
        return tuple(told)

    def to_json(self) -> dict[str, Any]:
        """The stable form printed by ``speciate plan decide --json``; missing is null."""
        asked, leader, second = self.question, self.leader, self.runner_up
        return {
            "kind": "decide",
            "decided": self.decided,
            "status": self.status,
            "choice": None if self.choice is None else self.choice.plan(),
            "leader": None if leader is None else leader.plan(),
            "p_best": self.p_best,
            "regret": {"nats": self.verdict.regret, "flops": self.verdict.regret_flops},
            "runner_up": None if leader is None or second is None else self._behind(leader, second),
            "cost": {
                "budget_flops": asked.flops,
                "pilot_flops": self.ledger.pilot_flops,
                "pilots": "sunk" if asked.pilots_sunk else "charged",
                "final_flops": None if leader is None else leader.flops,
                "serve_flops": None if leader is None else self.serve_flops(leader),
            },
            "options": [self._option(i, option) for i, option in enumerate(self.options)],
            "not_considered": [one.to_json() for one in self.missing],
            "without_limit": None if self.unlimited is None else self.unlimited.plan(),
            "general": self.ledger.general,
            "domain": self.ledger.domain,
            "measure": MEASURES[self.ledger.measure],
            "tolerance": asked.tolerance,
            "level": asked.level,
            "predictions": promises(self),
            "notes": list(self.notes),
        }

    def _behind(self, leader: Option, second: Option) -> dict[str, Any]:
        """The runner-up: nats it is behind, and FLOPs beyond its own that would bring it to the leader's loss."""
        nats = second.loss - leader.loss
        return {**second.plan(), "nats": nats, "flops": flops_for(second, nats)}

    def _option(self, i: int, option: Option) -> dict[str, Any]:
        low, high = self.interval(option)
        least, most = self.ends(option.forgetting, option.forgetting_draws)
        return {
            **option.plan(),
            "expected_loss": option.loss,
            "low": low,
            "high": high,
            "p_best": None if self.verdict.p_best is None else self.verdict.p_best[i],
            "flops": option.flops,
            "serve_flops": self.serve_flops(option),
            "forgetting": option.forgetting,
            "forgetting_low": least,
            "forgetting_high": most,
            "p_within_limit": option.within(self.question),
            "feasible": option.feasible(self.question),
            "loss_per_ln_flops": option.slope,
            "times_longest_pilot": option.beyond,
            "extrapolated_size": option.untried,
            "domain_epochs": option.epochs,
        }
