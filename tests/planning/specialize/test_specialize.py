from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike

from speciate import read_table
from speciate.errors import NotDecidable, UserError
from speciate.planning.seal import seal, verify_seal
from speciate.planning.specialize.plan import plan_specialize

STEP = 512 * 4096  # tokens of a batch in the paper
END = 28_000 * STEP
SIZES = (1.5e9, 3e9, 7e9, 14e9)


def rows(
    params: float, regime: str, minimum: float, tokens: ArrayLike, *, floor: float = 2.0, bend: float = 0.05,
    seed: int = 0, noise: Callable[[int], Any] = np.zeros, eval_on: str = "oab",
) -> pd.DataFrame:  # fmt: skip
    """Perplexity floor exp(bend ln^2(tokens / minimum) + noise), at checkpoints."""
    at = np.asarray(tokens, dtype=float)
    values = np.log(floor) + bend * np.log(at / minimum) ** 2 + noise(len(at))
    return pd.DataFrame({"run": f"{regime}-{params:g}-{seed}", "params": params, "train_on": regime, "tokens": at,
                         "eval_on": eval_on, "perplexity": np.exp(values), "seed": seed})  # fmt: skip


def study(
    general: dict[float, float], law: dict[float, float], *, end: float = END, checkpoints: int = 28, seeds: int = 1,
    noise: float = 0.0, level: float = 0.0, random: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Both regimes at every size; the specialised one is better; seeds differ in level."""
    rng = np.random.default_rng(random)
    tokens = np.arange(1, checkpoints + 1) / checkpoints * end
    parts = []
    for regime, minima, best in (("general", general, 2.9), ("law", law, 2.6)):
        for params, minimum in minima.items():
            for seed in range(seeds):
                off = rng.normal(0, level) if level else 0.0
                parts.append(
                    rows(params, regime, minimum, tokens, floor=best * (params / 1e9) ** -0.17, seed=seed,
                         noise=lambda n, off=off: off + rng.normal(0, noise, n))  # type: ignore[misc]
                )  # fmt: skip
    return read_table(pd.concat(parts, ignore_index=True))


def paper(checkpoints: int) -> pd.DataFrame:
    """A table with the paper's minima: D_s 33.6B and 12.6B stated, D_g implied by SGER 1.6 and 4.3."""
    return study({1.5e9: 1.6 * 33.6e9, 14e9: 4.3 * 12.6e9}, {1.5e9: 33.6e9, 14e9: 12.6e9}, checkpoints=checkpoints)


@pytest.mark.parametrize("checkpoints", [14, 28, 112])
def test_the_papers_numbers(checkpoints: int) -> None:
    decision = plan_specialize(paper(checkpoints))
    assert [round(size.sger or 0, 1) for size in decision.sizes] == [1.6, 4.3]
    assert [size.specialized.tokens / 1e9 for size in decision.sizes] == pytest.approx([33.6, 12.6], rel=0.005)
    assert [size.general.tokens / 1e9 for size in decision.sizes] == pytest.approx([53.8, 54.2], rel=0.005)
    for size in decision.sizes:
        assert size.general.last == pytest.approx(58.7e9, rel=0.001)
        assert size.general.near and not size.general.censored and size.general.high is None
        assert not size.specialized.near and size.specialized.high is not None
        assert size.high is None and size.low is not None and size.low < (size.sger or 0)
        found = size.to_json()
        assert found["near_censored"] and not found["censored"]
    assert decision.law is not None and decision.law.b == pytest.approx(0.4426, abs=0.01)
    assert decision.law_if_censored is None and "near-censored" in decision.status
    assert decision.regime == "law" and decision.remedy is not None and decision.remedy.train_on == "general"


def test_the_papers_numbers_where_they_are_checkpoints() -> None:
    parts = []
    for params, general, law in ((1.5e9, 53.8e9, 33.6e9), (14e9, 54.2e9, 12.6e9)):
        grid = sorted({8.4e9, 12.6e9, 21e9, 33.6e9, 42e9, 53.8e9, 54.2e9, 58.7e9})
        parts += [rows(params, "general", general, grid), rows(params, "law", law, grid, floor=1.8)]
    decision = plan_specialize(pd.concat(parts))
    found = decision.to_json()["sizes"]
    assert [size["general_minimum"]["checkpoint"] for size in found] == [53.8e9, 54.2e9]
    assert [size["specialized_minimum"]["checkpoint"] for size in found] == [33.6e9, 12.6e9]
    assert [round(size["sger_by_checkpoint"], 1) for size in found] == [1.6, 4.3]
    assert [round(size["sger"], 1) for size in found] == [1.6, 4.3]
    assert all(size["near_censored"] for size in found)


def censored(random: int = 0) -> tuple[pd.DataFrame, float]:
    """Eight sizes, the four largest with a general minimum beyond the end; the true exponent .75."""
    sizes = np.geomspace(3e8, 12e9, 8)
    general = dict(zip(sizes, 25e9 * (sizes / 1e9) ** 0.45, strict=True))
    law = dict(zip(sizes, 20e9 * (sizes / 1e9) ** -0.3, strict=True))
    return study(general, law, end=42e9, seeds=2, noise=0.001, level=0.005, random=random), 0.75


def test_censored_minima_recover_the_exponent_that_a_naive_fit_misses() -> None:
    errors, naive, inside = [], [], 0
    for random in range(3):
        table, truth = censored(random)
        decision = plan_specialize(table, draws=400)
        law = decision.law
        assert law is not None and law.b_low is not None and law.b_high is not None
        assert law.lower_bounds >= 3 and all(size.high is None for size in decision.sizes if size.bound)
        errors.append(law.b - truth)
        naive.append(law.naive["b"] - truth)
        inside += law.b_low <= truth <= law.b_high
        assert law.naive["b"] < law.b_low
    assert np.abs(errors).max() < 0.06 and inside >= 2
    assert np.max(naive) < -0.12


def test_without_two_seen_minima_there_is_no_law() -> None:
    table = study(dict.fromkeys(SIZES, 90e9), {n: 30e9 * (n / 1e9) ** -0.3 for n in SIZES})
    decision = plan_specialize(table)
    assert decision.law is None and all(size.bound == "lower" for size in decision.sizes)
    found = decision.to_json()["sger_law"]
    assert found["b"] is None and "not decidable" in found["status"]
    assert decision.decided  # the specialised regime is the better one within what was trained


def test_perplexity_laws_are_those_of_the_minima() -> None:
    table = study(dict.fromkeys(SIZES, 30e9), dict.fromkeys(SIZES, 20e9), seeds=2, level=0.01)
    found = plan_specialize(table).to_json()["perplexity_laws"]
    for role, best in (("general", 2.9), ("specialized", 2.6)):
        law = found[role]["parameters"]
        assert law["A"]["value"] == pytest.approx(best, rel=0.03)
        assert law["alpha"]["low"] < law["alpha"]["value"] < law["alpha"]["high"]
        assert found[role]["rows"] == 8
    one = plan_specialize(study({7e9: 30e9}, {7e9: 20e9})).to_json()["perplexity_laws"]["general"]
    assert one["parameters"] is None and one["status"]


def test_replicates_tell_how_sure_the_regime_is() -> None:
    minima = dict.fromkeys(SIZES, 30e9), dict.fromkeys(SIZES, 20e9)
    alone = plan_specialize(study(*minima))
    assert alone.largest.p_specialized_better is None and alone.remedy is not None and "seed" in alone.remedy.why
    sure = plan_specialize(study(*minima, seeds=3, level=0.005))
    assert sure.decided and (sure.largest.p_specialized_better or 0) > 0.99 and sure.remedy is None
    unsure = plan_specialize(study(*minima, seeds=2, level=0.3, random=1))
    assert not unsure.decided and unsure.regime is None and unsure.to_json()["choice"] is None
    assert unsure.status.startswith("not decidable")


def test_a_regime_that_was_cut_short_is_not_judged() -> None:
    tokens = np.arange(1, 29) / 28 * END
    short = rows(7e9, "law", 40e9, tokens[:10], floor=2.4, bend=0.5)
    full = rows(7e9, "general", 35e9, tokens, floor=2.5, bend=0.01)
    decision = plan_specialize(pd.concat([short, full]))
    assert decision.sizes[0].bound == "upper" and not decision.decided
    assert decision.remedy is not None and decision.remedy.train_on == "law"
    assert decision.remedy.tokens == decision.sizes[0].general.checkpoint
    assert decision.remedy.flops == pytest.approx(6 * 7e9 * (decision.remedy.tokens - tokens[9]))


def test_training_that_never_helps_is_said() -> None:
    table = study({7e9: 30e9}, {7e9: 20e9})
    start = pd.DataFrame({"run": ["base"], "params": [7e9], "tokens": [0.0], "eval_on": ["oab"], "perplexity": [1.5]})
    decision = plan_specialize(pd.concat([table, start]))
    assert decision.sizes[0].sger is None and not decision.decided
    assert "never got below the starting model" in decision.status


def test_names_are_checked_all_at_once() -> None:
    table = pd.concat([paper(14), rows(7e9, "med", 1e10, [1e9, 1e10, 2e10]), paper(14).assign(eval_on="mmlu")])
    with pytest.raises(UserError) as caught:
        plan_specialize(table, general="generl", specialized="lw", eval_on="obb", original="mmlo", new="x")
    assert len(caught.value.problems) == 5
    assert "did you mean 'general'" in str(caught.value) and "did you mean 'mmlu'" in str(caught.value)
    with pytest.raises(UserError) as caught:
        plan_specialize(table)
    assert "--specialized: law, med" in str(caught.value) and "--eval-on: mmlu, oab" in str(caught.value)
    with pytest.raises(UserError, match="both regimes"):
        plan_specialize(table, specialized="general", eval_on="oab")
    with pytest.raises(UserError, match="tokenizer"):
        plan_specialize(paper(14).assign(tokenizer=["a", "b"] * 28))
    with pytest.raises(UserError) as caught:
        plan_specialize(paper(14), level=1.5, draws=3, flops=[-1.0])
    assert len(caught.value.problems) == 3
    assert plan_specialize(table, specialized="law", original="mmlu").names.eval_on == "oab"


def test_no_size_in_both_regimes_is_not_decidable() -> None:
    table = study({1.5e9: 30e9, 3e9: 30e9}, {7e9: 20e9})
    with pytest.raises(NotDecidable, match="no model size was trained in both regimes"):
        plan_specialize(table)


def test_the_answer_is_plain_json_the_same_every_time_and_can_be_sealed() -> None:
    table = censored()[0]
    decision = plan_specialize(table, flops=[1e21])
    text = json.dumps(decision.to_json(), allow_nan=False)
    assert text == json.dumps(plan_specialize(table, flops=[1e21]).to_json())
    found = json.loads(text)
    keys = {"sizes", "sger_law", "perplexity_laws", "forgetting", "optimal_size", "status"}
    assert keys <= found.keys()
    size_keys = {"params", "sger", "low", "high", "censored", "general_tokens", "specialized_tokens", "general_best"}
    assert size_keys | {"specialized_best"} <= found["sizes"][0].keys()
    assert {"flops", "regime", "params"} <= found["optimal_size"][0].keys()
    sealed = seal(decision.to_json(), decision.rows)
    verify_seal(sealed)
    assert len(sealed["fitted_row_digests"]) == len(table)
    lines = decision.explain().splitlines()
    assert [line.split(":")[0] for line in lines] == ["Choice", "How sure", "Cost", "What would change it", "Next"]


def test_ten_thousand_rows_take_less_than_two_seconds() -> None:
    sizes = np.geomspace(3e8, 14e9, 10)
    minima = dict.fromkeys(sizes, 40e9), dict.fromkeys(sizes, 20e9)
    table = study(*minima, checkpoints=100, seeds=5, noise=0.003, level=0.01)
    assert len(table) == 10_000
    began = time.process_time()
    plan_specialize(table, draws=1000)
    assert time.process_time() - began < 2
