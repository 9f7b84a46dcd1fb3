from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.planning.predictions import sealed_plan
from speciate.planning.seal import fitted_on, same_plan, seal, verify_seal
from speciate.runs.table import read_table
from speciate.storage import digest

ROWS = pd.DataFrame({
    "run": ["a", "a", "b"], "params": [1e9, 1e9, 1e9], "seed_tokens": [0.0, 0.0, 2e10], "tokens": [1e9, 2e9, 2e9],
    "eval_on": "law", "loss": [3.014159, 2.9187, 2.87651],
})  # fmt: skip


class Decided:
    """A decision that says itself what it predicts."""

    def __init__(self, *predictions: dict[str, Any]) -> None:
        self.told = {"kind": "decide", "level": 0.9, "predictions": list(predictions)}

    def to_json(self) -> dict[str, Any]:
        return self.told

    def explain(self) -> str:
        return "Choice: this.\nHow sure: so."


def test_the_hash_is_of_the_rows_not_of_how_they_were_written(tmp_path: Path) -> None:
    shuffled = read_table(ROWS.iloc[::-1][ROWS.columns[::-1]])
    parquet, csv = tmp_path / "rows.parquet", tmp_path / "rows.csv"
    ROWS.to_parquet(parquet)
    spelt = ROWS.assign(params=["1e9", "1000000000", "1000000000.0"], loss=ROWS["loss"].map("{:.9f}".format))
    spelt.to_csv(csv, index=False)
    one = seal({}, read_table(ROWS))["fitted_rows_sha256"]
    for same in (shuffled, read_table(parquet), read_table(csv)):
        assert seal({}, same)["fitted_rows_sha256"] == one
    for column, value in (("loss", 2.918700001), ("tokens", 2.1e9), ("run", "c"), ("eval_on", "code")):
        other = ROWS.copy()
        other.loc[1, column] = value
        assert seal({}, other)["fitted_rows_sha256"] != one
    assert seal({}, ROWS.iloc[:2])["fitted_rows_sha256"] != one


def test_any_change_of_a_sealed_plan_shows() -> None:
    plan = sealed_plan(Decided({"params": 1e9, "tokens": 4e9, "value": 2.7}), ROWS, {"table": "a.csv", "seed": 0})
    verify_seal(plan)
    assert plan["kind"] == "decide" and plan["explanation"] == ["Choice: this.", "How sure: so."]
    for key in plan:
        with pytest.raises(UserError, match="altered|never sealed"):
            verify_seal({**plan, key: "another"})
        with pytest.raises(UserError, match="altered|never sealed"):
            verify_seal({name: value for name, value in plan.items() if name != key})
    swapped = seal({name: value for name, value in plan.items() if name != "seal"}, ROWS.iloc[:1])
    assert swapped["fitted_rows_sha256"] != plan["fitted_rows_sha256"]


def test_the_same_plan_is_the_same_whenever_and_from_whatever_file() -> None:
    def made(rows: pd.DataFrame = ROWS, value: float = 2.7, **asked: Any) -> dict[str, Any]:
        return sealed_plan(Decided({"params": 1e9, "tokens": 4e9, "value": value}), rows, asked)

    plan = made(table="a.csv", seed=0)
    later = seal({**plan, "seal": None}, ROWS) | {"sealed_at": "2031-01-01T00:00:00+00:00"}
    assert same_plan(plan, later) and same_plan(plan, made(table="b.csv", seed=0))
    assert not same_plan(plan, made(table="a.csv", seed=1))
    assert not same_plan(plan, made(value=2.71, table="a.csv", seed=0))
    assert not same_plan(plan, made(ROWS.iloc[:2], table="a.csv", seed=0))


@pytest.mark.parametrize(
    ("changed", "exact"),
    [
        ({}, [True, True, True]),
        ({"loss": ROWS["loss"].round(2)}, [False, False, False]),
        ({"run": ["x", "x", "y"]}, [True, True, True]),
        ({"tokens": ROWS["tokens"] + 1000}, [True, True, True]),
        ({"stderr": 0.01}, [True, True, True]),
    ],
)
def test_known_rows_are_recognised_rounded_renamed_and_with_more_columns(changed: Any, exact: list[bool]) -> None:
    plan = seal({}, ROWS)
    found, alike = fitted_on(plan, ROWS.assign(**changed))
    assert found.tolist() == exact and alike.all()


def test_new_rows_are_new() -> None:
    plan = seal({}, ROWS)
    new = ROWS.assign(run=["c", "c", "d"], loss=ROWS["loss"] + 1e-4)
    assert not fitted_on(plan, new)[1].any()
    assert not fitted_on(plan, ROWS.assign(tokens=ROWS["tokens"] * 10, loss=ROWS["loss"] - 0.1))[1].any()
    nameless = ROWS.drop(columns="run")
    assert fitted_on(plan, nameless)[0].all()  # by their values: no name tells
    empty = ROWS.assign(loss=np.nan, run=["c", "c", "d"])
    assert not fitted_on(plan, empty)[1].any()


def test_losses_that_agree_by_chance_are_not_the_same_measurement() -> None:
    """Rounded to two digits, losses of other ratios, evaluation sets and mixtures meet at one size and token count."""
    at = {"params": 1e9, "tokens": 2e10, "loss": [2.0, 2.1]}
    for place, other in (("domain_ratio", [0.3, 0.4]), ("eval_on", "code"), ("share_law", [0.3, 0.4])):
        rows = pd.DataFrame({"run": ["a", "b"], **at, place: "law" if other == "code" else [0.1, 0.2]})
        new = rows.assign(run=["c", "d"], **{place: other})
        plan = seal({}, rows)
        assert not fitted_on(plan, new)[1].any() and fitted_on(plan, rows.assign(run=["c", "d"]))[0].all()
        assert not fitted_on(seal({}, rows.drop(columns="run")), new.drop(columns="run").assign(loss=2.2))[1].any()


def test_rows_by_flops_are_told_apart_by_them() -> None:
    rows = pd.DataFrame({"flops": [1e19, 1e20], "eval_on": "exam", "accuracy": [0.3, 0.4]})
    plan = seal({}, rows)
    assert fitted_on(plan, rows.assign(accuracy=0.5))[1].all()
    assert not fitted_on(plan, rows.assign(flops=[1e22, 2e22]))[1].any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_no_json_holds_is_altered(value: Any) -> None:
    with pytest.raises(UserError, match="altered"):
        verify_seal({**seal({"a": 1}, ROWS), "a": value})


def test_a_decision_that_predicts_nothing_can_be_sealed() -> None:
    plan = sealed_plan(Decided(), ROWS, {})
    assert plan["predictions"] == []
    known = sealed_plan(Decided({"params": 1e9, "tokens": 2e9, "eval_on": "law", "value": 2.9}), ROWS, {})
    assert known["predictions"][0]["fitted_rows"] == 2
    lacking = sealed_plan(Decided({"params": 1e9, "tokens": 2e9, "domain_ratio": 0.5, "value": 2.9}), ROWS, {})
    assert lacking["predictions"][0]["fitted_rows"] == 0


def test_digests_that_do_not_hash_to_their_own_sum() -> None:
    body = {name: value for name, value in seal({}, ROWS).items() if name != "seal"} | {"fitted_row_digests": []}
    with pytest.raises(UserError, match="digests of the fitted rows do not agree"):
        verify_seal({**body, "seal": digest(body)})
