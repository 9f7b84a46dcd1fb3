"""What is asked: a budget, a limit on forgetting, and how sure an answer has to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.errors import Problem, UserError

TOLERANCE = 0.05  # nats/token: the limit of Gu et al. (arXiv 2407.17467), where none is given
# Times its longest pilot that a final run may be without being asked. 90 % intervals of forgetting held 78 % at 2.5
# times and 31 % at 5 on the curves of Gu et al. (Table 4), where the general loss turned later than the pilots ended.
REACH = 3.0
SAFE = 0.9  # a planned run must keep the limit on forgetting with this probability


@dataclass(frozen=True)
class Question:
    """``flops``: the budget of pilots, final run and serving together, without the pilots if they are ``pilots_sunk``.

    ``tolerance``: nats/token that the general loss may end above its start; None: no limit. ``serve_tokens``: tokens
    that the final model will process, 2 N FLOPs each. ``unique_tokens`` of domain text there are (None: enough);
    ``domains`` K that a split makes (None: not asked), and whether general prompts will go to the seed, kept beside the
    experts; ``sizes`` (empty: those tried). An answer is given where
    P(best) is at least ``sure`` or the expected regret at most ``bound`` nats.
    """

    flops: float
    tolerance: float | None = TOLERANCE
    serve_tokens: float = 0.0
    unique_tokens: float | None = None
    domains: int | None = None
    sizes: tuple[float, ...] = ()
    pilots_sunk: bool = False
    keep_seed: bool = False
    reach: float = REACH
    sure: float = 0.6
    bound: float = 0.005
    level: float = 0.9
    draws: int = 1000
    seed: int = 0

    def check(self) -> None:
        """Raise UserError, once, for all that makes no sense."""
        rules = [
            (0 < self.flops < 1e40, "flops", self.flops, "give FLOPs above 0, such as 1e21"),
            (self.tolerance is None or 0 <= self.tolerance < np.inf, "tolerance", self.tolerance,
             "give nats per token, 0 or more"),
            (0 <= self.serve_tokens < 1e30, "serve-tokens", self.serve_tokens, "give tokens, 0 or more"),
            (self.unique_tokens is None or 0 < self.unique_tokens < 1e30, "unique", self.unique_tokens,
             "give tokens above 0"),
            (self.domains is None or 2 <= self.domains <= 10_000, "domains", self.domains,
             "give a whole number of 2 or more"),
            (all(1 <= size < 1e18 for size in self.sizes), "params", list(self.sizes), "give counts such as 1e9,7e9"),
            (1 <= self.reach < np.inf, "reach", self.reach, "give a number of 1 or more, such as 3"),
            (0 < self.sure < 1, "sure", self.sure, "give a probability such as 0.6"),
            (0 <= self.bound < np.inf, "regret", self.bound, "give nats per token, 0 or more"),
            (0 < self.level < 1, "level", self.level, "give a share between 0 and 1, such as 0.9"),
            (self.draws >= 100, "draws", self.draws, "give at least 100"),
        ]  # fmt: skip
        problems = [Problem(f"{name} is {value}", "options", fix) for fine, name, value, fix in rules if not fine]
        if problems:
            raise UserError(problems)
