"""Sealed and compared: every kind of plan, from a table whose truth is known."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.laws.split import PRESET, SPLIT
from speciate.planning.accuracy.plan import plan_accuracy
from speciate.planning.compare import compare
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate
from speciate.planning.predictions import Decision, sealed_plan
from speciate.planning.specialize.plan import plan_specialize
from speciate.planning.split.plan import plan_split
from speciate.runs.table import read_table

Sealed = dict[str, Any]
SIZE = 1.3e9


def sealed(decision: Decision, fitted: pd.DataFrame) -> Sealed:
    """As it is read from its file."""
    return dict(json.loads(json.dumps(sealed_plan(decision, fitted, {}), allow_nan=False)))


def seeds_and_experts(runs: Any, seed: int) -> pd.DataFrame:
    table = pd.DataFrame(runs, columns=["run", "params", "seed_tokens", "tokens"])
    noise = np.random.default_rng(seed).normal(0, 0.003, len(table))
    return read_table(table.assign(loss=SPLIT.predict(PRESET, table[["params", "seed_tokens", "tokens"]]) + noise))


@pytest.fixture(scope="module")
def split() -> tuple[Sealed, pd.DataFrame]:
    grid = product((3.5e8, 7.6e8, SIZE), (0, 5e9, 2e10, 6e10, 1.2e11), (0, 2e9, 8e9, 3e10))
    table = seeds_and_experts([(f"p{i}", *point) for i, point in enumerate(grid) if sum(point[1:])], 1)
    decision = plan_split(table, total_tokens=3e11, domains=16, params=SIZE, draws=200)
    assert decision.choice == "split"
    return sealed(decision, decision.rows), table


def carried_out(plan: Sealed, *others: tuple[str, float, float, float], seed: int = 2) -> pd.DataFrame:
    """The planned split, measured, and other runs."""
    chosen = plan["predictions"][0]
    return seeds_and_experts([("final", SIZE, chosen["seed_tokens"], chosen["tokens"]), *others], seed)


def test_a_split_is_held_against_its_alternatives(split: tuple[Sealed, pd.DataFrame]) -> None:
    plan, pilots = split
    alone = compare(plan, pd.concat([pilots, carried_out(plan)], ignore_index=True))
    assert [row["run"] for row in alone["rows"]] == ["final"] and alone["left_out"] == 0
    assert alone["regret"][0]["difference"] is None and alone["regret"][0]["options"] == 1
    assert "too few runs to tell" in alone["verdict"]
    whole, early = ("whole", SIZE, 3e11, 0.0), ("early", SIZE, 2e10, 1.75e10)
    found = compare(plan, carried_out(plan, whole, early, ("short", SIZE, 2e10, 1e10)))
    assert [row["run"] for row in found["rows"]] == ["final", "whole"]
    (regret,) = found["regret"]
    assert regret["chosen"] == regret["best"] == "split" and regret["options"] == 3 and regret["difference"] == 0
    for row in found["rows"]:
        assert row["error"] == pytest.approx(row["measured"] - row["predicted"])
        assert row["relative_error"] == pytest.approx(row["error"] / row["predicted"])
    errors = np.array([row["error"] for row in found["rows"]])
    assert found["mae"] == pytest.approx(np.abs(errors).mean()) and found["bias"] == pytest.approx(errors.mean())
    assert found["mre"] == pytest.approx(np.mean([abs(row["relative_error"]) for row in found["rows"]]))
    json.dumps(found, allow_nan=False)


def test_a_choice_that_was_worse_is_told_by_how_much(split: tuple[Sealed, pd.DataFrame]) -> None:
    plan, _ = split
    after = carried_out(plan, ("other", SIZE, 2.2e11, 5e9))
    after.loc[1, "loss"] = after.loc[0, "loss"] - 0.01
    (regret,) = compare(plan, after)["regret"]
    assert regret["best"] == "a seed of 220B tokens" and regret["difference"] == pytest.approx(0.01)


def test_unequal_domains_are_compared_domain_by_domain() -> None:
    def measured(runs: Any, seed: int) -> pd.DataFrame:
        parts = []
        for k, name in enumerate(("law", "code")):
            own = seeds_and_experts(runs(name), seed + k)
            parts.append(own.assign(loss=own["loss"] - 0.2 * k, eval_on=name, run=own["run"] + f"-{name}"))
        both = pd.concat(parts, ignore_index=True)
        return read_table(both.assign(train_on=both["eval_on"].where(both["tokens"] > 0, "web")).drop(columns="trunk"))

    grid = [(f"p{i}", SIZE, d, t) for i, (d, t) in enumerate(product((5e9, 2e10, 6e10, 1.2e11), (0, 2e9, 8e9, 3e10)))]
    decision = plan_split(measured(lambda _: grid, 1), total_tokens=1.5e11, weights={"law": 3, "code": 1}, draws=100)
    plan = sealed(decision, decision.rows)
    experts = {one["eval_on"]: one for one in plan["predictions"] if one["option"] == "split"}
    assert {name: one["weight"] for name, one in experts.items()} == {"law": 0.75, "code": 0.25}
    after = measured(lambda name: [("f", SIZE, experts[name]["seed_tokens"], experts[name]["tokens"])], 5)
    found = compare(plan, after)
    assert [(row["train_on"], row["eval_on"]) for row in found["rows"]] == [("law", "law"), ("code", "code")]
    loss = dict(zip(after["eval_on"], after["loss"], strict=True))
    assert found["regret"][0]["value"] == pytest.approx(0.75 * loss["law"] + 0.25 * loss["code"])
    half = compare(plan, after[after["eval_on"] == "law"])
    assert len(half["rows"]) == 1 and half["regret"] == []  # half of an option is none


def test_numbers_within_half_a_percent_are_the_planned_ones(split: tuple[Sealed, pd.DataFrame]) -> None:
    plan, _ = split
    near = carried_out(plan)
    assert len(compare(plan, near.assign(tokens=near["tokens"] * 1.004))["rows"]) == 1
    with pytest.raises(NotDecidable, match="run final comes nearest, but has tokens"):
        compare(plan, near.assign(tokens=near["tokens"] * 1.01))
    with pytest.raises(NotDecidable, match="run final has no loss"):
        compare(plan, near.assign(loss=np.nan))
    with pytest.raises(UserError, match="no column 'params'"):
        compare(plan, near.drop(columns="params"))


def test_a_plan_that_saw_the_outcome_is_refused(split: tuple[Sealed, pd.DataFrame]) -> None:
    plan, pilots = split
    after = carried_out(plan, ("whole", SIZE, 3e11, 0.0))
    decision = plan_split(pilots, total_tokens=3e11, domains=16, params=SIZE, draws=200)
    hindsight = sealed(decision, pd.concat([pilots, after], ignore_index=True))
    assert [one["fitted_rows"] for one in hindsight["predictions"]] == [1, 1]
    for table in (after, after.assign(loss=after["loss"].round(2)), after.assign(run=["x", "y"]), after[["params",
                  "seed_tokens", "tokens", "loss"]]):  # fmt: skip
        with pytest.raises(UserError, match="fitted on 2 of the rows it predicts"):
            compare(hindsight, table)
    again = carried_out(plan, seed=3).assign(run="again")
    found = compare(hindsight, pd.concat([after, again], ignore_index=True))
    assert [row["run"] for row in found["rows"]] == ["again"] and found["left_out"] == 2


def exams(seeds: tuple[int, ...]) -> pd.DataFrame:
    tokens = np.arange(1, 15) * 4e9
    parts = []
    for seed, (regime, minimum, floor) in product(seeds, (("general", 40e9, 2.4), ("law", 20e9, 2.0))):
        noise = np.random.default_rng(seed).normal(0, 0.01)
        values = floor * np.exp(0.05 * np.log(tokens / minimum) ** 2 + noise)
        parts.append(pd.DataFrame({"run": f"{regime}{seed}", "seed": seed, "params": 7e9, "train_on": regime,
                                   "tokens": tokens, "eval_on": "oab", "perplexity": values}))  # fmt: skip
    return read_table(pd.concat(parts))


def test_specialize_counts_further_runs_only() -> None:
    pilots = exams((0, 1, 2))
    decision = plan_specialize(pilots, draws=200)
    plan = sealed(decision, decision.rows)
    assert [one["fitted_rows"] for one in plan["predictions"]] == [3, 3]
    assert [one["chosen"] for one in plan["predictions"]] == [False, True]
    with pytest.raises(UserError, match="fitted on 6 of the rows it predicts"):
        compare(plan, pilots)
    found = compare(plan, pd.concat([pilots, exams((7,))], ignore_index=True))
    assert {row["run"] for row in found["rows"]} == {"general7", "law7"} and found["left_out"] == 6
    assert found["coverage"]["inside"] == 2 and found["rows"][0]["output"] == "perplexity"
    (regret,) = found["regret"]
    assert regret["chosen"].startswith("law to 20B tokens") and regret["options"] == 28 and regret["difference"] == 0


def test_accuracy_is_compared_and_has_nothing_to_choose() -> None:
    params, ratio = (one.ravel() for one in np.meshgrid([6e7, 1.2e8, 2.5e8, 5e8, 1e9], [10.0, 20, 40, 160]))
    share = np.exp(-0.35 / (params / 1e9) ** 0.35 - 0.5 / (params * ratio / 1e9) ** 0.3)
    noise = np.random.default_rng(0).normal(0, 0.008, 20)
    table = pd.DataFrame({"params": params, "tokens": params * ratio, "accuracy": 0.25 + 0.75 * share + noise})
    table = read_table(table.assign(chance=0.25, eval_on="exam"))
    decision = plan_accuracy(table, params=4e9, tokens=80e9, draws=200)
    plan = sealed(decision, decision.rows)
    after = read_table(pd.DataFrame({"params": [4e9], "tokens": [8e10], "accuracy": [0.75], "eval_on": ["exam"]}))
    found = compare(plan, pd.concat([table, after], ignore_index=True))
    (row,) = found["rows"]
    assert row["output"] == "accuracy" and row["inside"] and found["regret"] == []
    assert row["measured"] == 0.75 and row["predicted"] == plan["decision"]["accuracy"]
    with pytest.raises(NotDecidable, match="comes nearest, but has eval_on other"):
        compare(plan, after.assign(eval_on="other"))


def test_a_mixture_planned_from_a_table() -> None:
    setup = Setup(sizes=(35_552,))
    study = simulate(setup, 0)
    decision = plan_mixture(study.table, horizon_tokens=setup.horizon, draws=200)
    plan = sealed(decision, study.table)
    planned = {one["domain_ratio"] for one in plan["predictions"] if one["chosen"]}
    assert len(planned) == 1 and 0 < next(iter(planned)) <= decision.critical_ratio
    rows = []
    for ratio in (*planned, 0.5, 0.05):
        losses = study.measure(35_552, ratio)
        rows += [(f"f{ratio}", "A35552", 35_552, ratio, 9, name, setup.horizon, loss)
                 for name, loss in zip(("general", "code"), losses, strict=True)]  # fmt: skip
    final = pd.DataFrame(rows, columns=study.table.columns)
    found = compare(plan, pd.concat([study.table, final], ignore_index=True))
    assert len(found["rows"]) == 4 and found["regret"][0]["planned_ratio"] == decision.critical_ratio
    assert found["regret"][0]["chosen_ratio"] in planned
    low = final["domain_ratio"] == 0.05  # predicted by nobody, and an alternative all the same
    lucky = final.assign(loss=final["loss"] - low * (1.0 + (final["eval_on"] == "code")))
    (regret,) = compare(plan, pd.concat([study.table, lucky], ignore_index=True))["regret"]
    assert regret["best_ratio"] == 0.05 and (regret["loss_difference"] is None or regret["loss_difference"] > 0)


class Told:
    """A decision as its JSON tells it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    def to_json(self) -> dict[str, Any]:
        return self.told

    def explain(self) -> str:
        return "Choice: this."


def of_domains(*runs: tuple[str, float, float, float, float, float]) -> pd.DataFrame:
    rows = [(run, 1e9, law, code, 2e10, name, loss) for run, law, code, *losses in runs
            for name, loss in zip(("general", "law", "code"), losses, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "params", "share_law", "share_code", "tokens", "eval_on", "loss"])


def test_a_mixture_of_domains_is_held_against_those_that_kept_the_tolerance() -> None:
    cells = (("general", 0.0, 2.50), ("law", 0.75, 2.00), ("code", 0.25, 1.80))
    losses = [{"eval_on": name, "weight": weight, "start": 2.47 if name == "general" else 2.3, "value": value,
               "low": value - 0.02, "high": value + 0.02} for name, weight, value in cells]  # fmt: skip
    told = {"kind": "mixture-domains", "level": 0.9, "decided": True, "params": 1_000_000_000, "general": "general",
            "horizon_tokens": 2e10, "tolerance": 0.05, "domains": ["law", "code"], "losses": losses,
            "shares": {"law": {"value": 0.3127}, "code": {"value": 0.2}}}  # fmt: skip
    plan = sealed(Told(told), of_domains(("p", 0.1, 0.1, 2.48, 2.2, 2.0)))
    planned, worse = ("final", 0.313, 0.2, 2.51, 2.01, 1.79), ("p", 0.1, 0.1, 2.48, 2.2, 2.0)
    better, broken = ("b", 0.4, 0.1, 2.52, 1.97, 1.85), ("x", 0.6, 0.3, 2.60, 1.7, 1.6)
    found = compare(plan, of_domains(planned, worse, better, broken))
    assert [row["run"] for row in found["rows"]] == ["final"] * 3 and found["coverage"]["inside"] == 3
    (regret,) = found["regret"]
    assert regret["value"] == pytest.approx(0.75 * 2.01 + 0.25 * 1.79) and regret["kept_tolerance"]
    assert regret["best"] == "law 40.0%, code 10.0%" and regret["options"] == 3
    assert regret["difference"] == pytest.approx(0.75 * 0.04 - 0.25 * 0.06)
    (regret,) = compare(plan, of_domains(("final", 0.313, 0.2, 2.53, 2.01, 1.79)))["regret"]
    assert regret["kept_tolerance"] is False and regret["difference"] is None
    plan = sealed(Told({**told, "tolerances": {"code": -0.46}}), of_domains())
    (regret,) = compare(plan, of_domains(planned, better))["regret"]  # code loss starts at 2.3
    assert regret["kept_tolerance"] and regret["options"] == 1


def test_other_kinds_are_compared_by_the_predictions_in_their_json() -> None:
    options = [{"option": name, "chosen": name == "a", "params": 1e9, "tokens": 2e10, "domain_ratio": ratio,
                "eval_on": "law", "output": "loss", "value": 2.0, "low": 1.9, "high": 2.1}
               for name, ratio in (("a", 0.2), ("b", 0.4))]  # fmt: skip
    plan = sealed(Told({"kind": "decide", "level": 0.9, "predictions": options}), of_domains())
    after = pd.DataFrame({"run": ["x", "y"], "params": 1e9, "tokens": 2e10, "domain_ratio": [0.2, 0.4],
                          "eval_on": "law", "loss": [2.05, 1.95]})  # fmt: skip
    found = compare(plan, after)
    assert found["kind"] == "decide" and found["coverage"]["inside"] == 2
    assert found["regret"][0]["best"] == "b" and found["regret"][0]["difference"] == pytest.approx(0.1)
    barred = [options[0], {**options[1], "feasible": False}, {**options[1], "option": None, "eval_on": "general"}]
    plan = sealed(Told({"kind": "decide", "level": 0.9, "predictions": barred}), of_domains())
    both = pd.concat([after, after[1:].assign(eval_on="general")], ignore_index=True)
    assert len(compare(plan, both)["rows"]) == 3 and compare(plan, both)["regret"][0]["options"] == 1
    with pytest.raises(UserError, match="no predictions"):
        compare(sealed(Told({"kind": "next"}), of_domains()), after)


def test_of_accuracies_no_regret_is_told() -> None:
    """The lowest is not the best."""
    options = [{"option": name, "chosen": name == "a", "params": 1e9, "tokens": tokens, "output": "accuracy",
                "value": 0.5, "low": 0.4, "high": 0.6} for name, tokens in (("a", 2e10), ("b", 4e10))]  # fmt: skip
    plan = sealed(Told({"kind": "decide", "level": 0.9, "predictions": options}), of_domains())
    after = pd.DataFrame({"run": ["x", "y"], "params": 1e9, "tokens": [2e10, 4e10], "accuracy": [0.55, 0.45]})
    found = compare(plan, after)
    assert len(found["rows"]) == 2 and found["regret"] == []


def test_accuracy_planned_by_flops_counts_a_new_run() -> None:
    flops = np.logspace(18, 21, 16)
    table = pd.DataFrame({"flops": flops, "eval_on": "exam", "chance": 0.25})
    share = np.exp(-2.0 * (flops / 1e18) ** -0.2)
    table["accuracy"] = 0.25 + 0.75 * share + np.random.default_rng(0).normal(0, 0.005, 16)
    decision = plan_accuracy(read_table(table), flops=4e21, draws=100)
    plan = sealed(decision, decision.rows)
    after = read_table(pd.DataFrame({"flops": [4e21], "eval_on": ["exam"], "accuracy": [0.7]}))
    assert [row["measured"] for row in compare(plan, after)["rows"]] == [0.7]


def test_intervals_that_hold_too_often_are_called_too_wide() -> None:
    one = {"option": "a", "chosen": True, "params": 1e9, "tokens": 2e10, "value": 2.0, "low": 1.0, "high": 3.0}
    plan = sealed(Told({"kind": "decide", "level": 0.5, "predictions": [one]}), of_domains())
    names = [f"r{i}" for i in range(20)]
    after = pd.DataFrame({"run": names, "params": 1e9, "tokens": 2e10, "loss": np.linspace(1.9, 2.1, 20)})
    found = compare(plan, after)
    assert found["coverage"]["high"] == 14 and "20 of 20" in found["verdict"]  # of 20 at 50 %, 6 to 14
    assert found["verdict"].endswith("the intervals were wider than they had to be.")
    of_one = compare(plan, after.assign(run="r"))["coverage"]  # one run's rows share its luck
    assert (of_one["runs"], of_one["low"], of_one["high"]) == (1, 0, 20)


def test_a_table_without_columns_that_say_nothing_new() -> None:
    """No seed_tokens are none; a tokenizer that the table does not name is the planned one."""
    one = {"option": "a", "chosen": True, "params": 1e9, "seed_tokens": 0.0, "tokens": 2e10, "tokenizer": "bpe",
           "domains": 16, "value": 2.0}  # fmt: skip
    plan = sealed(Told({"kind": "decide", "level": 0.9, "predictions": [one]}), of_domains())
    after = pd.DataFrame({"run": ["x"], "params": 1e9, "tokens": 2e10, "train_on": "web/16", "loss": 2.1})
    (row,) = compare(plan, after)["rows"]
    assert (row["seed_tokens"], row["low"], row["inside"]) == (0.0, None, None)
    with pytest.raises(NotDecidable, match="run x comes nearest, but is not of 16 domains"):
        compare(plan, after.assign(train_on="web/8"))
    with pytest.raises(NotDecidable, match="but has tokenizer other, planned bpe"):
        compare(plan, after.assign(tokenizer="other"))
