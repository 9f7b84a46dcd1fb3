from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.planning.specialize.decision import SpecializeDecision
from speciate.planning.specialize.plan import plan_specialize

TOKENS = np.geomspace(1e9, 64e9, 25)
SMALL, LARGE = 1e9, 8e9


def table(seeds: int = 1, spread: float = 0.0) -> pd.DataFrame:
    """Two sizes whose general curves cross in compute: perplexity 1 + 2 N^-.3 + 3 D^-.5 (N, D in billions)."""
    rng = np.random.default_rng(0)
    parts = []
    for params in (SMALL, LARGE):
        for regime, rate in (("general", 0.5), ("law", 0.8)):
            for seed in range(seeds):
                values = 1 + 2 * (params / 1e9) ** -0.3 + 3 * (TOKENS / 1e9) ** -rate + rng.normal(0, spread)
                parts.append(pd.DataFrame({"run": f"{regime}{params:g}{seed}", "params": params, "train_on": regime,
                                           "tokens": TOKENS, "eval_on": "oab", "perplexity": values}))  # fmt: skip
    return pd.concat(parts)


def plan(flops: list[float], rows: pd.DataFrame | None = None) -> SpecializeDecision:
    return plan_specialize(table() if rows is None else rows, flops=flops, draws=200)


def test_the_best_size_grows_with_compute() -> None:
    budgets = [6 * LARGE * 1.0001e9, 6 * SMALL * 63.9e9]
    found = {(one.flops, one.regime): one for one in plan(budgets).optimal_size}
    poor, rich = (found[flops, "general"] for flops in budgets)
    assert poor.params == SMALL and rich.params == LARGE  # 1 + 2 + 3 / sqrt 8 against 1 + 2 x 8^-.3 + 3
    assert poor.perplexity == pytest.approx(1 + 2 + 3 / np.sqrt(8), rel=2e-3)
    assert rich.tokens == pytest.approx(63.9e9 / 8) and rich.edge
    assert rich.p_best is None and rich.sizes[0].perplexity is not None


def test_nothing_is_said_beyond_what_was_measured() -> None:
    (one,) = [one for one in plan([6 * LARGE * 30e9]).optimal_size if one.regime == "general"]
    assert one.params == LARGE and one.sizes[0].perplexity is None
    assert one.sizes[0].why is not None and "beyond its last checkpoint" in one.sizes[0].why
    far = plan([1.0, 1e30]).optimal_size
    assert all(one.params is None and one.perplexity is None for one in far) and len(far) == 4
    assert far[0].sizes[0].why is not None and "before its first" in far[0].sizes[0].why


def test_replicates_say_how_likely_the_best_is_the_best() -> None:
    flops = [6 * SMALL * 63.9e9]
    sure = plan(flops, table(3, 0.01)).optimal_size[0].p_best
    unsure = plan(flops, table(3, 0.6)).optimal_size[0].p_best
    assert sure is not None and unsure is not None and sure > 0.99 > unsure


def test_budgets_that_the_rows_hold_are_chosen() -> None:
    found = plan([]).optimal_size
    assert len(found) == 6 and all(size.perplexity is not None for one in found for size in one.sizes)
