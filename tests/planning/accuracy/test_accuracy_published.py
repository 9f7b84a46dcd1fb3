"""Runs of published studies predicted from smaller ones; benchmarks/plan_accuracy.py asks all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable
from speciate.planning.accuracy.plan import plan_accuracy

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")

CORPORA = ("c4_original", "rpj", "rw_original")
AT_7B = (0.644, 0.675, 0.689)  # ARC-Easy of the 6.9B models, which the files lack


def gadre(corpus: str, task: str, chance: float) -> pd.DataFrame:
    """All models of one corpus; ``size`` counts embeddings too."""
    runs = pd.read_csv(DATA / "overtraining_evals.csv").query("dataset == @corpus")
    return pd.DataFrame({
        "params": runs.params_no_embed.astype(float), "tokens": runs.tokens.astype(float), "size": runs.params,
        "accuracy": runs[task].astype(float), "chance": chance,
    })  # fmt: skip


def test_models_of_1b_from_those_below_half_of_that() -> None:
    off, inside = [], 0
    for corpus in CORPORA:
        for task, chance in (("arc_easy", 0.25), ("piqa", 0.5)):
            rows = gadre(corpus, task, chance)
            run = rows[rows["size"] > 1e9].iloc[-1]
            small = rows[rows["size"] < 1e9].drop(columns="size")
            found = plan_accuracy(small, params=run.params, tokens=run.tokens, draws=200)
            assert found.accuracy is not None and found.low is not None and found.high is not None
            off.append(abs(found.accuracy / run.accuracy - 1))
            inside += found.low <= run.accuracy <= found.high
    assert np.median(off) < 0.02
    assert np.mean(off) < 0.03  # one of six, ARC-Easy of C4, is off by 9 %
    assert inside >= 5


@pytest.mark.parametrize(("corpus", "known"), list(zip(CORPORA, AT_7B, strict=True)))
def test_the_direct_law_by_the_sources_least_squares_predicts_7b(corpus: str, known: float) -> None:
    rows = gadre(corpus, "arc_easy", 0.25)
    rows = rows[(rows["tokens"] / rows["size"]).between(19, 21) & (rows["accuracy"] > 0.25 + 0.05 * 0.75)]
    flops = np.log(6 * rows["params"] * rows["tokens"])
    slope, level = np.polyfit(flops, np.log(-np.log((rows["accuracy"] - 0.25) / 0.75)), 1)
    of_7b = float(np.exp(level + slope * np.log(6 * 6.9e9 * 138e9)))
    assert 0.25 + 0.75 * np.exp(-of_7b) == pytest.approx(known, abs=0.002)


@pytest.mark.parametrize(("corpus", "known"), list(zip(CORPORA, AT_7B, strict=True)))
def test_arc_easy_at_7b_from_models_up_to_1b(corpus: str, known: float) -> None:
    rows = gadre(corpus, "arc_easy", 0.25).drop(columns="size")
    found = plan_accuracy(rows, params=6.9e9, tokens=138e9)
    assert found.decided and found.accuracy is not None and found.low is not None and found.high is not None
    assert found.low < known < found.high
    assert found.accuracy == pytest.approx(known, rel=0.1)


def test_the_ladder_s_7b_is_far_beyond_and_the_answer_says_so() -> None:
    table = pd.read_csv(DATA / "olmo_ladder_final_points.csv").query("task == 'hellaswag_val_5shot'")
    rows = pd.DataFrame({"params": table.N.astype(float), "tokens": table.D.astype(float), "chance": 0.25,
                         "accuracy": table.task_acc_rc, "bits_per_byte": table.task_bpb})  # fmt: skip
    seen, asked = rows[table["mode"] == "train"], rows[table["mode"] == "eval"].iloc[0]
    found = plan_accuracy(seen, params=asked.params, tokens=asked.tokens)
    assert found.low is not None and found.high is not None and found.low < asked.accuracy < found.high
    assert found.factor == pytest.approx(83, rel=0.01) and "unchecked" in found.status
    assert any(rival.law == "chinchilla+accuracy-loss-logistic" and rival.mre for rival in found.rivals)


def test_a_task_near_chance_is_refused() -> None:
    rows = gadre("c4_original", "winogrande", 0.5)
    with pytest.raises(NotDecidable, match="still at chance"):
        plan_accuracy(rows[rows["size"] < 2e8].drop(columns="size"), params=1.4e9, tokens=28e9)
