from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.planning.accuracy.plan import plan_accuracy
from speciate.planning.seal import seal, verify_seal


def one_ratio(seed: int, noise: float = 0.003, chance: float = 0.25, rows: int = 14) -> tuple[pd.DataFrame, float]:
    """As Krajewski et al. 2512.08894 describe: 20 tokens per parameter, compute from 2e19 to 6e21, one run of
    17B parameters on 350B tokens held out; accuracies of the direct law, losses with a floor. And the truth there."""
    rng = np.random.default_rng(seed)
    params = np.append(np.geomspace(1.5e8, 7e9, rows), 17e9)
    tokens = 20.5 * params
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(rng.normal(0, 0.003, rows + 1))
    accuracy = chance + (1 - chance) * np.exp(-0.55 * (6 * params * tokens / 1e21) ** -0.25)
    table = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, "chance": chance})
    table["accuracy"] = accuracy + rng.normal(0, noise, rows + 1)
    table["run"] = [f"r{i}" for i in range(rows + 1)]
    return table, float(accuracy[-1])


def grid(seed: int, noise: float = 0.008) -> pd.DataFrame:
    """Sizes by tokens per parameter, accuracies of the law of both."""
    rng = np.random.default_rng(seed)
    params, ratio = (one.ravel() for one in np.meshgrid([6e7, 1.2e8, 2.5e8, 5e8, 1e9], [10.0, 20, 40, 160]))
    tokens = params * ratio
    share = np.exp(-0.35 / (params / 1e9) ** 0.35 - 0.5 / (tokens / 1e9) ** 0.3)
    accuracy = 0.25 + 0.75 * share + rng.normal(0, noise, len(share))
    return pd.DataFrame({"params": params, "tokens": tokens, "accuracy": accuracy, "chance": 0.25})


def test_direct_law_beats_the_two_stage_rivals_threefold_on_the_papers_kind_of_table() -> None:
    errors: dict[str, list[float]] = {}
    for seed in range(2):
        table, _ = one_ratio(seed, noise=0.002)
        found = plan_accuracy(table[:-1], params=17e9, tokens=17e9 * 20.5)
        assert found.law == "accuracy-compute"
        for rival in found.rivals:
            if rival.mre is not None:
                errors.setdefault(rival.law, []).append(rival.mre)
    direct = np.mean(errors["accuracy-compute"])
    assert direct < 0.006
    for law in ("loss-compute+accuracy-loss-linear", "loss-compute+accuracy-loss-logistic"):
        assert np.mean(errors[law]) > 3 * direct, law


def test_interval_holds_a_new_run_and_the_answer_is_near() -> None:
    inside, off = 0, []
    for seed in range(4):
        table, truth = one_ratio(seed)
        found = plan_accuracy(table[:-1].drop(columns="loss"), params=17e9, tokens=17e9 * 20.5)
        assert found.low is not None and found.high is not None and found.accuracy is not None
        inside += found.low <= table["accuracy"].iloc[-1] <= found.high
        off.append(abs(found.accuracy - truth) / truth)
        assert found.decided and found.high - found.low < 0.1
    assert inside >= 3
    assert np.mean(off) < 0.01


def test_sizes_and_tokens_at_several_ratios_are_told_apart() -> None:
    found = plan_accuracy(grid(0), params=4e9, tokens=4e9 * 20)
    truth = 0.25 + 0.75 * np.exp(-0.35 / 4**0.35 - 0.5 / 80**0.3)
    assert found.law == "accuracy-params-tokens"
    assert found.accuracy == pytest.approx(truth, rel=0.03)
    assert found.low is not None and found.high is not None and found.low < truth < found.high
    assert found.reach == pytest.approx(4.0) and found.factor == pytest.approx(4e9 * 80e9 / (1e9 * 160e9))
    assert {test.by for test in found.tests} == {"params", "flops"}


def test_answer_is_the_same_twice_and_json_has_no_nan() -> None:
    table = grid(1)
    first, again = (plan_accuracy(table, params=2e9, tokens=4e10, seed=3).to_json() for _ in range(2))
    assert first == again
    text = json.dumps(first, allow_nan=False)
    assert {"accuracy", "low", "high", "law", "rivals", "rows_used", "rows_dropped", "status"} <= set(json.loads(text))
    assert {"law", "mre"} <= set(first["rivals"][0])
    assert sum(rival["share"] for rival in first["rivals"]) == pytest.approx(1)


def test_rows_near_chance_are_dropped_and_counted() -> None:
    table = grid(2)
    at_chance = table.assign(params=1e6, tokens=np.linspace(1e7, 2e7, len(table)), accuracy=0.26)[:4]
    found = plan_accuracy(pd.concat([table, at_chance]), params=2e9, tokens=4e10)
    below = int((table["accuracy"] - 0.25 <= 0.05 * 0.75).sum())
    assert found.rows_dropped == 4 + below and found.rows_used == len(table) - below
    assert found.left_out == {"accuracy is not 5 % above chance": 4 + below}
    assert found.accuracy == plan_accuracy(table, params=2e9, tokens=4e10).accuracy


def test_task_at_chance_is_not_decidable() -> None:
    table = grid(3).assign(accuracy=lambda rows: 0.25 + 0.01 * (np.arange(len(rows)) % 3))
    with pytest.raises(NotDecidable, match="still at chance: 0 of the 4 largest"):
        plan_accuracy(table, params=7e9, tokens=1.4e11)
    few = grid(3)[-3:]
    with pytest.raises(NotDecidable, match="too few"):
        plan_accuracy(few, params=7e9, tokens=1.4e11)


def test_four_runs_at_one_ratio_give_a_wide_interval_and_not_a_refusal() -> None:
    inside, widths = 0, []
    for seed in range(4):
        table, _ = one_ratio(seed, rows=5)
        found = plan_accuracy(table[1:-1].drop(columns="loss"), params=17e9, tokens=17e9 * 20.5, draws=200)
        assert found.low is not None and found.high is not None
        inside += found.low <= table["accuracy"].iloc[-1] <= found.high
        widths.append(found.high - found.low)
        assert [test.rows for test in found.tests] == [1]  # with two held out no law has a row to spare
    assert inside >= 4 and 0.02 < np.mean(widths) < 0.3


def test_a_question_in_flops_needs_no_sizes() -> None:
    table = grid(1).assign(flops=lambda rows: 6 * rows.params * rows.tokens).drop(columns=["params", "tokens"])
    found = plan_accuracy(table, flops=2e21)
    assert found.accuracy is not None and found.params is None
    reasons = {rival.law: rival.reason for rival in found.rivals}
    assert "which the question leaves out" in (reasons["accuracy-params-tokens"] or "")


def test_far_beyond_what_was_tested_is_not_decided_and_says_how_far() -> None:
    found = plan_accuracy(grid(4), params=7e11, tokens=1.4e13)
    assert not found.decided and found.accuracy is not None
    assert found.reach > found.checked**2
    assert f"{found.reach:.3g} times beyond the rows" in found.status
    assert found.factor == pytest.approx(7e11 * 1.4e13 / (1e9 * 160e9))
    told = found.explain()
    assert told.startswith("Choice: none yet; the run lies") and f"add its rows, and plan again: {found.remedy}" in told


def test_a_ratio_no_row_has_is_not_decided() -> None:
    table, _ = one_ratio(0)
    found = plan_accuracy(table[:-1], params=4e9, tokens=4e9 * 200)
    assert not found.decided and "none shows what 200 do" in found.status


def test_interval_grows_with_distance_and_noise() -> None:
    def width(noise: float, params: float) -> float:
        found = plan_accuracy(grid(5, noise), params=params, tokens=20 * params)
        assert found.interval is not None
        return found.interval[1] - found.interval[0]

    near = width(0.004, 2e9)
    assert near < width(0.004, 2e10)
    assert near < width(0.02, 2e9)


def test_no_answer_passes_one() -> None:
    table = grid(6).assign(accuracy=lambda rows: 1 - 0.6 * (rows.params * rows.tokens / 6e14) ** -0.4)
    found = plan_accuracy(table, params=2e10, tokens=4e12)
    assert table["accuracy"].max() > 0.97
    assert found.high is not None and found.accuracy is not None and found.accuracy <= found.high <= 1
    assert all(rival.value is None or rival.value <= 1 for rival in found.rivals)


def test_repeated_sampling() -> None:
    flops, k = (one.ravel() for one in np.meshgrid(np.geomspace(1e19, 3e21, 8), [1.0, 4, 16, 64]))
    c = flops / 1e21
    rate = np.exp(-np.exp(0.5 - 0.25 * np.log(c) - 0.2 * np.log(k) - 0.01 * np.log(c) * np.log(k)))
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"flops": flops, "samples": k, "accuracy": np.clip(rate + rng.normal(0, 0.004, len(c)), 0, 1)})
    table["run"] = [f"r{value:.3g}" for value in flops]
    truth = np.exp(-np.exp(0.5 - 0.25 * np.log(10) - 0.2 * np.log(16) - 0.01 * np.log(10) * np.log(16)))
    found = plan_accuracy(table, flops=1e22, samples=16)
    assert found.accuracy == pytest.approx(truth, abs=0.03) and found.low is not None and found.high is not None
    assert found.low <= truth <= found.high
    untried = plan_accuracy(table, flops=1e22, samples=128)
    assert untried.law == "accuracy-samples"
    with pytest.raises(UserError, match="--samples"):
        plan_accuracy(table.assign(chance=0.0), flops=1e22)


def test_bad_questions_and_tables_name_everything_at_once() -> None:
    with pytest.raises(UserError) as caught:
        plan_accuracy(grid(0), params=-1.0, level=2.0)
    assert [name in str(caught.value) for name in ("params is -1.0", "level is 2.0", "without tokens")] == [True] * 3
    with pytest.raises(UserError, match="no run is asked for"):
        plan_accuracy(grid(0))
    with pytest.raises(UserError) as caught:
        plan_accuracy(grid(0).drop(columns=["chance", "tokens"]), params=1e9, tokens=1e10)
    assert "'chance'" in str(caught.value) and "'tokens'" in str(caught.value)
    mixed = grid(0).assign(train_on=["web", "law"] * 10)
    with pytest.raises(UserError, match="train_on"):
        plan_accuracy(mixed, params=1e9, tokens=1e10)
    assert plan_accuracy(pd.concat([mixed, mixed]), params=1e9, tokens=2e10, where="train_on==web").rows_used == 20
    with pytest.raises(UserError, match="chance has 2 values"):
        plan_accuracy(grid(0).assign(chance=[0.25, 0.2] * 10), params=1e9, tokens=1e10)


def test_rows_are_those_of_the_table_for_the_seal() -> None:
    table = grid(0).assign(flops=1e20, run=[f"r{i}" for i in range(20)])
    found = plan_accuracy(table, params=2e9, tokens=4e10)
    pd.testing.assert_frame_equal(found.rows, table)
    verify_seal(seal({"decision": found.to_json()}, found.rows))
