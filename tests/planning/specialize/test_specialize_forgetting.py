from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.planning.specialize.forgetting import Forgetting
from speciate.planning.specialize.plan import plan_specialize

TOKENS = np.arange(1, 29) * 2e9
LAW_MINIMUM, GENERAL_MINIMUM = 20e9, 40e9
SIZES = (1.5e9, 3e9, 7e9)


def exam(regime: str, params: float, seed: int, eval_on: str, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"run": f"{regime}{params:g}s{seed}", "seed": seed, "params": params, "train_on": regime,
                         "tokens": TOKENS, "eval_on": eval_on, "perplexity": values})  # fmt: skip


def table(seeds: int, pair_noise: float = 0.0, shared: float = 0.0) -> pd.DataFrame:
    """MMLU perplexity grows by .01 a billion tokens; .3 more where specialised, at every checkpoint."""
    rng = np.random.default_rng(4)
    parts = []
    for params in SIZES:
        for seed in range(seeds):
            both = rng.normal(0, shared) if shared else 0.0
            for regime, minimum, floor, worse in (
                ("general", GENERAL_MINIMUM, 2.4, 0.0),
                ("law", LAW_MINIMUM, 2.0, 0.3),
            ):
                parts.append(exam(regime, params, seed, "oab", floor * np.exp(0.05 * np.log(TOKENS / minimum) ** 2)))
                off = both + (rng.normal(0, pair_noise) if pair_noise else 0.0)
                parts.append(exam(regime, params, seed, "mmlu", 3 + TOKENS / 1e11 + worse + off))
    return pd.concat(parts, ignore_index=True)


def forgotten(rows: pd.DataFrame, **options: str) -> list[Forgetting]:
    return list(plan_specialize(rows, eval_on="oab", draws=200, **options).forgetting)  # type: ignore[arg-type]


def test_it_is_read_at_each_regimes_own_checkpoint() -> None:
    found = forgotten(table(1), original="mmlu")
    assert [one.params for one in found] == [*SIZES, None]
    for one in found:
        assert one.specialized == pytest.approx(3 + LAW_MINIMUM / 1e11 + 0.3)
        assert one.general == pytest.approx(3 + GENERAL_MINIMUM / 1e11)
        assert one.difference == pytest.approx(0.3 - 0.2) and one.role == "original"
    assert found[0].low is None and found[0].start is None and found[0].to_json()["forgotten"] is None


def test_pairs_of_seeds_cancel_what_they_share() -> None:
    found = forgotten(table(4, pair_noise=0.01, shared=0.5), new="mmlu")
    for one in found[:-1]:
        assert one.pairs == 4 and one.low is not None and one.high is not None
        assert one.low < 0.1 < one.high and one.high - one.low < 0.06
    assert found[-1].params is None and found[-1].pairs == 12 and found[-1].role == "new"


def test_without_seeds_standard_errors_serve() -> None:
    rows = table(1).drop(columns="seed").assign(stderr=0.03)
    one = forgotten(rows, original="mmlu")[0]
    assert one.pairs == 0 and one.high is not None and one.low is not None
    assert one.high - one.low == pytest.approx(2 * 1.645 * 0.03 * np.sqrt(2), rel=1e-3)


def test_the_start_and_what_was_not_measured() -> None:
    rows = table(1)
    start = pd.DataFrame({"params": [7e9], "tokens": [0.0], "eval_on": ["mmlu"], "perplexity": [3.2]})
    gone = (rows["eval_on"] == "mmlu") & (rows["params"] == 3e9) & (rows["train_on"] == "law")
    found = forgotten(pd.concat([rows[~gone], start], ignore_index=True), original="mmlu")
    assert found[1].difference is None and found[1].specialized is None and found[1].low is None
    assert found[2].to_json()["forgotten"] == pytest.approx(0.3)
    assert found[3].difference == pytest.approx(0.1)


def test_coarser_checkpoints_are_interpolated_never_extrapolated() -> None:
    rows = table(1)
    on = rows["eval_on"] == "mmlu"
    coarse = rows[~on | rows["tokens"].isin([18e9, 24e9, 36e9, 44e9])]
    assert forgotten(coarse, original="mmlu")[0].difference == pytest.approx(0.1, abs=1e-3)
    early = rows[~on | (rows["tokens"] < 30e9)]
    assert forgotten(early, original="mmlu")[0].difference is None
