"""Runs of a laptop's size: the law in a unit of their own, its value at given runs, and its error beyond them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.laws.split import PRESET, SPLIT
from speciate.planning.split.at import losses_at
from speciate.planning.split.backtest import backtest, law_start, seen
from speciate.planning.split.plan import plan_split

K, PARAMS = 16, 1.3e9


def table(shrink: float, noise: float = 0.0) -> pd.DataFrame:
    """Seeds and experts of the preset, their tokens divided by ``shrink``: the same losses of smaller runs."""
    rng, rows = np.random.default_rng(0), []
    for run, seed in enumerate((0.0, 2e10, 4e10, 8e10, 1.6e11, 3.2e11)):
        for tokens in (0.0, 2e8, 1e9, 5e9):
            if seed + tokens:
                x = {"params": [PARAMS], "seed_tokens": [seed], "tokens": [tokens]}
                loss = float(SPLIT.predict(np.array(PRESET), x)[0]) * np.exp(rng.normal(0, noise))
                rows.append({"run": f"r{run}", "params": PARAMS, "seed_tokens": seed / shrink,
                             "tokens": tokens / shrink, "loss": loss, "eval_on": "mean"})  # fmt: skip
    return pd.DataFrame(rows)


def test_small_runs_are_planned_as_large_ones_with_the_same_losses() -> None:
    total = 1.2e11
    large = plan_split(table(1.0), total_tokens=total, domains=K, draws=100)
    small = plan_split(table(1e5), total_tokens=total / 1e5, domains=K, draws=100)
    assert small.seed_tokens * 1e5 == pytest.approx(large.seed_tokens, rel=0.02)
    assert small.loss == pytest.approx(large.loss, abs=1e-3)
    assert small.gain == pytest.approx(large.gain, abs=1e-3) and small.choice == large.choice == "split"
    assert small.splitting_point is not None and large.splitting_point is not None
    assert small.splitting_point * 1e5 == pytest.approx(large.splitting_point, rel=0.1)


def test_losses_at_runs_agree_with_the_plan_and_are_wider_beyond() -> None:
    rows, total = table(1e5, noise=0.002), 1.2e6
    found = plan_split(rows, total_tokens=total, domains=K, draws=100)
    runs = [(found.seed_tokens, found.expert_tokens), (total, 0.0)]
    split, unsplit = losses_at(rows, runs, params=PARAMS, domains=K, draws=100)
    assert split["value"] == pytest.approx(found.loss) and unsplit["value"] == pytest.approx(found.loss_unsplit)
    wide = losses_at(rows, runs, params=PARAMS, domains=K, draws=100, beyond=0.05)[0]
    assert wide["value"] == split["value"]
    assert wide["low"] < split["low"] < split["value"] < split["high"] < wide["high"]  # type: ignore[operator]


def test_the_law_is_tried_on_the_rows_past() -> None:
    rows = table(1e5, noise=0.001)
    tried = backtest(rows, 1.5, params=PARAMS, domains=K)
    assert tried is not None and tried.tested == 1 and tried.fitted < len(rows)
    assert tried.error < 0.02 and "1.5 times beyond" in tried.told()
    assert backtest(rows.tail(6), 1.5, params=PARAMS, domains=K) is None, "too few rows are left"


def budgets(transient: float) -> pd.DataFrame:
    """Options of four totals by the preset, and a loss that models of few tokens have on top of the law."""
    rows = []
    for total in (1e6, 2e6, 4e6, 8e6):
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            seed, tokens = share * total, (1 - share) * total / K
            x = {"params": [PARAMS], "seed_tokens": [seed * 1e5], "tokens": [tokens * 1e5]}
            loss = float(SPLIT.predict(np.array(PRESET), x)[0]) + transient * (seed + tokens < 3.5e5)
            rows.append({"run": f"{total}-{share}", "params": PARAMS, "seed_tokens": seed, "tokens": tokens,
                         "loss": loss, "eval_on": "mean"})  # fmt: skip
    return pd.DataFrame(rows)


def test_models_that_have_seen_too_little_are_left_out() -> None:
    starts = [5e4, 4e5]
    assert (seen(budgets(0.0)) > starts[0]).all() and (seen(budgets(0.0)) < starts[1]).sum() == 3
    early = law_start(budgets(2.0), starts, 1.5, params=PARAMS, domains=K)
    assert early.tokens == starts[1], "the first steps are off the law"
    assert early.tried is not None and early.error == early.tried.error and early.tried.tested == 5
    like = law_start(budgets(2.0), starts, 1.5, params=PARAMS, domains=K, tested_from=4e6)
    assert like.tried is not None and like.tried.tested == 3, "only what the plan will be asked like"
    both = [law_start(budgets(2.0), [start], 1.5, params=PARAMS, domains=K, tested_from=4e6).tried for start in starts]
    assert both[0] is not None and both[1] == like.tried and both[0].tested == both[1].tested == 3  # type: ignore[union-attr]
    assert both[0].error > 2 * like.error and both[0].fitted > like.tried.fitted
    none = law_start(budgets(2.0).tail(5), starts, 1.5, params=PARAMS, domains=K)
    assert (none.tokens, none.tried, none.error) == (starts[0], None, 0.0)
