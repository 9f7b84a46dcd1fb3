"""Which of a split study's measurements the law is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from speciate.planning.split.backtest import Start, law_start, seen
from speciate.study.split.config import SplitStudy
from speciate.study.split.rows import MEAN
from speciate.study.split.specs import SplitRun, log_grid, planned, tried_options

STARTS = (1 / 8, 1 / 4, 1 / 2, 1)  # of the smallest budget: tokens from which a model may be taken to follow the law


def pilot_rows(
    config: SplitStudy, ledger: pd.DataFrame, runs: Sequence[SplitRun], earlier: float = 1.0
) -> pd.DataFrame:
    """The mean losses that a plan may see: those of the pilots (``runs``), past the warmups.

    Once a plan has been carried out the ledger holds its outcome too, and the same runs' longer lengths. Left out are
    rows within twice a warmup, and those of which D + K D' is less than the smallest budget (half of it where it is the
    only one) divided by ``earlier``: no power law describes the first steps of a model, and nobody plans for so little.
    """
    count = len({run.domain for run in runs} - {None})
    least = min(config.split.budgets) * (1.0 if len(config.split.budgets) > 1 else 0.5) / earlier
    step, largest = config.training.tokens_per_step, max(config.split.budgets)
    grid = {steps * step for steps in log_grid(largest // step, largest // step, config.evaluation.points)}
    seeds = {run.seed_tokens for run in runs if run.domain is None} | grid
    longest: dict[str, int] = {}
    for run in runs:
        if run.domain is not None:
            longest[run.mean] = max(longest.get(run.mean, 0), run.spec.phases[-1].tokens)
    rows = ledger[ledger["eval_on"] == MEAN]
    seed = (rows["tokens"] == 0) & rows["seed_tokens"].isin(sorted(seeds))
    expert = rows["tokens"] <= rows["run"].map(longest)
    expert &= rows["tokens"] >= 2 * config.split.warmup_tokens
    warm = rows["seed_tokens"] + rows["tokens"] >= 2 * config.training.warmup_tokens
    enough = rows["seed_tokens"] + count * rows["tokens"] >= least
    return rows[(seed | expert) & warm & enough]


@dataclass(frozen=True)
class LawRows:
    """What the law is fitted on: none with D + D' below those of ``start``."""

    fitted: pd.DataFrame
    start: Start


def law_rows(config: SplitStudy, ledger: pd.DataFrame, runs: Sequence[SplitRun]) -> LawRows:
    """``pilot_rows`` of models that have seen enough to follow the law, by what the pilots' own past says of that."""
    count = len({run.domain for run in runs} - {None})
    factor = config.plan.total_tokens / max(config.split.budgets)
    params = planned(config)[1].params
    past = pilot_rows(config, ledger, runs, factor)
    own = past[past["params"] == params]
    least = min(option.seed_tokens + option.expert_tokens for option in tried_options(config, count))
    every = [share * min(config.split.budgets) for share in STARTS]
    starts = [start for start in every if start <= least] or every[:1]  # the law is asked of every option
    asked = 0.98 * least / factor  # the least of the same options at the largest budget, rounded as it may be
    start = law_start(own, starts, factor, params=params, domains=count, eval_on=MEAN, tested_from=asked)
    rows = pilot_rows(config, ledger, runs)
    return LawRows(rows[seen(rows) >= start.tokens], start)
