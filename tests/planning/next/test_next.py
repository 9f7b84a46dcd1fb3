"""plan next on simulated laboratories whose truth is known, and on tables of the split law's preset."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.laws.split import PRESET, SPLIT
from speciate.planning.mixture.simulate import Setup
from speciate.planning.next.decision import NextDecision
from speciate.planning.next.plan import plan_next
from speciate.planning.next.simulate import Laboratory

QUIET = Setup(sizes=(35_552,), jitter=0.002, run_sd=0.003)
RUN = 6.0 * 35_552  # FLOPs per token


def laboratory(seed: int = 0, setup: Setup = QUIET, second: bool = True) -> Laboratory:
    lab = Laboratory(setup, seed)
    for ratio in (0.25, 0.5, 0.75, 0.9, *((0.5,) if second else ())):
        lab.run(ratio, setup.pilot)
    return lab


def asked(table: pd.DataFrame, **options: object) -> NextDecision:
    return plan_next(table, **({"horizon_tokens": 2e6, "draws": 200} | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return laboratory().table


@pytest.fixture(scope="module")
def found(table: pd.DataFrame) -> NextDecision:
    return asked(table)


def test_runs_are_ranked_by_drop_per_flop_and_priced_on_top_of_what_is_trained(found: NextDecision) -> None:
    assert found.decided and not found.stop and found.choice is found.runs[0]
    clear = [run.drop_per_flop for run in found.runs[:5] if run.drop_per_flop is not None]
    assert clear == sorted(clear, reverse=True) and clear[0] > 0
    for run in found.runs:
        done = 1e6 if run.spec["continues"] else 0.0
        assert run.flops == pytest.approx(RUN * run.spec["repeats"] * (run.spec["tokens"] - done), rel=1e-6)
        assert run.expected_regret_after is not None and found.regret_now is not None
        assert 0 <= run.expected_regret_after <= found.regret_now
    assert {run.spec["continues"] is None for run in found.runs} == {True, False}


def test_json_is_whole_and_explanation_has_five_lines(found: NextDecision) -> None:
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["choice"] == said["runs"][0] and said["regret_after"] < said["regret_now"]
    lines = found.explain().splitlines()
    assert [line.split(":")[0] for line in lines] == ["Choice", "How sure", "Cost", "What would change it", "Next"]


def test_under_a_cosine_schedule_no_run_is_carried_on(table: pd.DataFrame) -> None:
    anew = asked(table, schedule="cosine")
    assert anew.runs and all(run.spec["continues"] is None for run in anew.runs)


def test_it_stops_when_sure_enough_or_when_no_run_is_worth_its_price(table: pd.DataFrame, found: NextDecision) -> None:
    assert found.regret_now is not None and found.choice is not None and found.choice.expected_regret_drop is not None
    stopped = {
        "is at most": asked(table, good_enough=2 * found.regret_now),
        "more than chance": asked(table, least_drop=found.regret_now),
        "worth its price": asked(table, most_flops=1.0),
        "--worth": asked(table, worth=1.0),
    }
    for words, decision in stopped.items():
        assert decision.stop and decision.choice is None and words in decision.reason
        assert decision.decided and "buy no more runs" in decision.explain()
    fair = 1.01e-3 * found.choice.flops / found.choice.expected_regret_drop
    assert not asked(table, worth=fair).stop


def test_the_run_that_is_bought_brings_the_choice_nearer_to_the_truth() -> None:
    before: list[float] = []
    after: list[float] = []
    for seed in range(2):
        lab = laboratory(seed)
        for step in range(4):
            decision = asked(lab.table, good_enough=0.0, least_drop=0.0)
            lost = lab.regret(decision.decision_now["domain_ratio"])
            if step in (0, 3):
                (after if step else before).append(lost)
            assert decision.choice is not None
            lab.buy(decision.choice.spec)
    assert np.mean(after) < 0.004 and np.mean(after) < np.mean(before)


def test_without_a_second_seed_the_run_that_is_needed_comes_without_an_expectation() -> None:
    first = asked(laboratory(second=False).table)
    assert not first.decided and first.regret_now is None and not first.stop
    assert first.choice is not None and first.choice.expected_regret_drop is None
    assert first.choice.spec["seed"] == 5 and "second seed" in first.reason
    json.dumps(first.to_json(), allow_nan=False)


def test_where_every_tried_ratio_is_feasible_a_higher_one_comes_first() -> None:
    lab = Laboratory(QUIET, 0)
    for ratio in (0.1, 0.2, 0.3, 0.2):
        lab.run(ratio, QUIET.pilot)
    first = asked(lab.table)
    assert not first.decided and first.choice is not None and first.choice.spec["domain_ratio"] > 0.3


def test_listed_candidates_are_weighed_and_their_faults_told_at_once(table: pd.DataFrame) -> None:
    runs = pd.DataFrame({"run": ["run1", "new"], "domain_ratio": [0.5, 0.65], "tokens": [2e6, 1e6], "seed": [2, 77]})
    decision = asked(table, candidates=runs)
    prices = {run.spec["domain_ratio"]: run.flops for run in decision.runs}
    assert prices == {0.5: pytest.approx(RUN * 1e6), 0.65: pytest.approx(RUN * 1e6)}
    assert [run.spec["seed"] for run in decision.runs if run.spec["continues"] is None] == [77]
    runs = pd.DataFrame({"run": ["run1", "run1", "a", "b"], "domain_ratio": [0.4, 0.5, 0.0, 0.5],
                         "tokens": [2e6, 1e6, 1e6, -1.0], "params": [35_552, 35_552, 35_552, 1e9]})  # fmt: skip
    with pytest.raises(UserError) as told:
        asked(table, candidates=runs)
    assert [problem.where for problem in told.value.problems] == [f"candidate {i}" for i in (1, 2, 3, 4, 4)]


def test_options_that_make_no_sense_are_told_at_once(table: pd.DataFrame) -> None:
    with pytest.raises(UserError) as told:
        asked(table, good_enough=-1.0, least_drop=float("nan"), worth=0.0, most_flops=-1.0, schedule="linear", draws=5)
    assert len(told.value.problems) == 6
    for kind in ("specialize", "lunch"):
        with pytest.raises(UserError, match=kind):
            asked(table, kind=kind)
    with pytest.raises(UserError, match="35,552"):
        asked(table, params=1e9)
    for params in (float("nan"), float("inf"), 0.0):
        with pytest.raises(UserError, match=f"params is {params}"):
            asked(table, params=params)


def test_two_starting_models_are_told_apart() -> None:
    labs = [laboratory(0).table, laboratory(0, replace(QUIET, trunk_sd=0.01)).table]
    labs[1]["run"], labs[1]["trunk"] = labs[1]["run"] + "b", "B"
    both = pd.concat(labs, ignore_index=True)
    both["seed_tokens"] = 1e6
    decision = asked(both)
    new = [run for run in decision.runs if run.spec["new_trunk"]]
    assert new and all(run.flops == pytest.approx(RUN * (run.spec["tokens"] + 1e6)) for run in new)
    assert {run.spec["trunk"] for run in decision.runs} >= {"A", None}


def split_table(noise: float = 0.009) -> pd.DataFrame:
    sizes, seeds, tokens = (1e8, 3.5e8, 7.6e8, 1.3e9), (0, 5e9, 2e10, 6e10, 1.2e11), (0, 2e9, 8e9, 3e10)
    runs = [run for run in product(sizes, seeds, tokens) if run[1] + run[2] > 0]
    rows = pd.DataFrame(runs, columns=["params", "seed_tokens", "tokens"])
    rows["run"] = [f"run{i}" for i in range(len(rows))]
    rows["loss"] = SPLIT.predict(PRESET, {name: rows[name].to_numpy() for name in ("params", "seed_tokens", "tokens")})
    rows["loss"] += np.random.default_rng(1).normal(0, noise, len(rows))
    return rows


QUESTION = {"kind": "split", "total_tokens": 721e9, "domains": 16, "draws": 200}


def test_split_seeds_that_are_kept_are_free_and_shorter_ones_are_carried_on() -> None:
    rows = split_table()
    runs = pd.DataFrame({"params": 1.3e9, "seed_tokens": [1.2e11, 2e11, 0.0, 2e11], "tokens": [2e9, 2e9, 2e9, 0.0]})
    decision = plan_next(rows, **QUESTION, candidates=runs, good_enough=0.0, least_drop=0.0)  # type: ignore[arg-type]
    single = {(r.spec["seed_tokens"], r.spec["tokens"]): r.flops for r in decision.runs if r.spec["repeats"] == 1}
    assert {key: round(flops / 6 / 1.3e9 / 1e9) for key, flops in single.items()} == {
        (1.2e11, 2e9): 2, (2e11, 2e9): 82, (0.0, 2e9): 2, (2e11, 0.0): 80}  # fmt: skip
    cosine = plan_next(rows, **QUESTION, candidates=runs, schedule="cosine")  # type: ignore[arg-type]
    assert max(run.flops for run in cosine.runs if run.spec["repeats"] == 1) == pytest.approx(6 * 1.3e9 * 2.02e11)


def test_split_stops_when_sure_and_else_names_a_run_of_any_size() -> None:
    sure = plan_next(split_table(), **QUESTION)  # type: ignore[arg-type]
    assert sure.stop and sure.regret_now is not None and sure.regret_now < 1e-3
    open_ = plan_next(split_table(0.03), **QUESTION, good_enough=1e-5, least_drop=0.0)  # type: ignore[arg-type]
    assert not open_.stop and open_.choice is not None
    assert len({run.spec["params"] for run in open_.runs}) > 1
    assert all(run.flops > 0 for run in open_.runs)


def test_split_in_other_units_than_its_total_has_no_answer() -> None:
    rows = split_table(0.03)
    billions = rows.assign(seed_tokens=rows["seed_tokens"] / 1e9, tokens=rows["tokens"] / 1e9)
    with pytest.raises(NotDecidable, match="check the units") as told:
        plan_next(billions, **QUESTION)  # type: ignore[arg-type]
    assert "no finite loss" in told.value.reason


def test_split_says_what_is_missing() -> None:
    rows = split_table()
    with pytest.raises(UserError, match="--domains"):
        plan_next(rows, kind="split", total_tokens=1e11)
    with pytest.raises(NotDecidable):
        plan_next(rows[rows["params"] < 5e8], **QUESTION, params=1e10)  # type: ignore[arg-type]
    one = plan_next(rows.assign(run="one"), **QUESTION)  # type: ignore[arg-type]
    assert not one.decided and one.choice is None and "one run" in one.explain()
