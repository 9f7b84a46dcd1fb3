"""The verb compare: what a stranger reads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from speciate.cli.comparison import regret_words
from speciate.cli.main import main
from speciate.planning.mixture.decision import predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate
from speciate.planning.seal import seal
from speciate.storage import canonical_json, digest

PREDICTIONS = [
    {"option": "small", "chosen": True, "params": 1e9, "tokens": 4e9, "value": 2.7, "low": 2.68, "high": 2.72},
    {"option": "large", "chosen": False, "params": 2e9, "tokens": 2e9, "value": 2.8, "low": 2.78, "high": 2.82},
]
FITTED = pd.DataFrame({"run": ["a"], "params": [1e9], "tokens": [1e9], "loss": [3.0]})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plan(file: str = "plan.json", rows: pd.DataFrame = FITTED, **changes: Any) -> str:
    body = {"format": "speciate-plan-1", "kind": "decide", "request": {}, "predictions": PREDICTIONS}
    body["decision"] = {"kind": "decide", "level": 0.9}
    Path(file).write_text(canonical_json(seal(body | changes, rows)), encoding="utf-8")
    return file


def later(losses: tuple[float, ...] = (2.71, 2.79), file: str = "later.csv", **columns: Any) -> str:
    many = len(losses)
    rows = {"run": ["x", "y", "z"][:many], "params": [1e9, 2e9, 3e9][:many], "tokens": [4e9, 2e9, 1e9][:many]}
    pd.DataFrame({**rows, "loss": losses, **columns}).to_csv(file, index=False)
    return file


def test_what_a_person_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", plan(), later((2.71, 2.75))]) == 0
    table, told = capsys.readouterr().out.split("\n\n")
    header, *rows = [line.split() for line in table.splitlines()]
    assert header == [
        "run",
        "params",
        "tokens",
        "predicted",
        "low",
        "high",
        "measured",
        "error",
        "error",
        "%",
        "inside",
    ]
    assert rows[1] == ["y", "2e+09", "2e+09", "2.8", "2.78", "2.82", "2.75", "-0.05", "-1.8", "no"]
    assert told.splitlines() == [
        "Intervals: 1 of 2 measured losses lie inside their 90% intervals; 1 to 2 were to be expected from 2 "
        "independent runs: as often as they said.",
        "Error: loss off by 0.03 nats (1.1 %) on average, measured below predicted by 0.02 in the mean of 2 rows; y is "
        "2.5 times as far off as its interval reaches.",
        "Choice: small; the best of 2 that were measured.",
    ]
    assert main(["compare", "plan.json", later((2.9,))]) == 0
    said = capsys.readouterr().out
    assert "0 of 1 measured losses lie inside their 90% intervals; 0 to 1 were to be expected" in said
    assert "too few runs to tell" in said and "x is 10 times as far off as its interval reaches" in said
    assert "Choice: small; nothing else was measured to hold it against." in said
    assert main(["compare", "plan.json", later((2.71, 2.65))]) == 0
    assert "small came out 0.06 nats of loss above large, the best of 2" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", plan(), later(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["kind", "rows", "coverage", "mae", "mre", "bias", "relative_bias", "regret", "verdict",
                           "left_out", "seal"]  # fmt: skip
    assert (
        found["coverage"]["share"] == 1.0 and found["coverage"]["inside"] == 2 and found["mae"] == pytest.approx(0.01)
    )
    assert found["bias"] == pytest.approx(0.0) and found["seal"] == json.loads(Path("plan.json").read_text())["seal"]


def test_columns_are_mapped(capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_csv(later()).rename(columns={"params": "N", "loss": "nll"}).to_csv("mine.csv", index=False)
    assert main(["compare", plan(), "mine.csv", "--columns", "params=N,loss=nll"]) == 0
    assert "2 of 2 measured losses" in capsys.readouterr().out
    assert main(["compare", "plan.json", "mine.csv"]) == 2


def test_many_rows_are_cut_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.DataFrame({"run": [f"r{i}" for i in range(70)], "params": 1e9, "tokens": 4e9, "loss": 2.7})
    rows.to_csv("many.csv", index=False)
    assert main(["compare", plan(), "many.csv"]) == 0
    said = capsys.readouterr().out
    assert "... and 10 more; --json has all." in said and "70 of 70" in said


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["plan.json"], 2, "a plan is compared with a table"),
        (["none.json", "later.csv"], 2, "no such file"),
        (["later.csv", "later.csv"], 2, "not JSON"),
        (["list.json", "later.csv"], 2, "not a JSON object"),
        (["empty.json", "later.csv"], 2, "this is no sealed plan"),
        (["unsealed.json", "later.csv"], 2, "the plan was never sealed"),
        (["altered.json", "later.csv"], 2, "the plan was altered after it was sealed"),
        (["future.json", "later.csv"], 2, "its format is speciate-plan-2"),
        (["silent.json", "later.csv"], 2, "the plan holds no predictions"),
        (["plan.json", "none.csv"], 2, "no such file"),
        (["plan.json", "header.csv"], 2, "has no rows"),
        (["plan.json", "text.csv"], 2, "loss is high"),
        (["plan.json", "short.csv"], 2, "no column 'tokens'"),
        (["plan.json", "other.csv"], 3, "run x comes nearest, but has params 7e+09, planned 1e+09"),
        (["hindsight.json", "later.csv"], 2, "the plan was fitted on 2 of the rows it predicts"),
        ([".", "later.csv"], 2, "a study is compared with its own ledger"),
        ([".", "--columns", "params=N"], 2, "a study is compared with its own ledger"),
        (["."], 2, "no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan(), later()
    plan("silent.json", predictions=[])
    plan("future.json", format="speciate-plan-2")
    plan("hindsight.json", pd.read_csv("later.csv"))
    text = Path("plan.json").read_text(encoding="utf-8")
    Path("altered.json").write_text(text.replace('"low":2.68', '"low":2.58'), encoding="utf-8")
    Path("unsealed.json").write_text(json.dumps({"format": "speciate-plan-1", "predictions": PREDICTIONS}))
    Path("list.json").write_text("[]"), Path("empty.json").write_text("{}")
    Path("header.csv").write_text("run,params,tokens,loss\n")
    Path("text.csv").write_text("run,params,tokens,loss\nx,1e9,4e9,high\n")
    Path("short.csv").write_text("run,params,loss\nx,1e9,3\n")
    Path("other.csv").write_text("run,params,tokens,loss\nx,7e9,4e9,2\n")
    assert main(["compare", *words]) == code
    assert told in capsys.readouterr().err


def test_the_folder_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = Setup(sizes=(35_552,))
    study = simulate(setup, 0)
    decision = plan_mixture(study.table, horizon_tokens=setup.horizon, draws=200)
    predicted = predictions(decision, (0.5,), [setup.horizon], trunk="A35552")
    sealed = seal({"format": "speciate-plan-1", "decision": decision.to_json(), "predictions": predicted}, study.table)
    (tmp_path / "plan.json").write_text(canonical_json(sealed), encoding="utf-8")
    rows = [("final", "A35552", 35_552, 0.5, 9, name, setup.horizon, loss)
            for name, loss in zip(("general", "code"), study.measure(35_552, 0.5), strict=True)]  # fmt: skip
    final = pd.DataFrame(rows, columns=study.table.columns)
    pd.concat([study.table, final], ignore_index=True).to_parquet(tmp_path / "ledger.parquet")
    assert main(["compare", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "2 measured losses lie inside their 90% intervals" in said
    assert "Choice: 35,552 params at a domain ratio of 0.5, the nearest to the planned 0.613, kept the" in said
    assert main(["compare", str(tmp_path / "plan.json"), str(tmp_path / "ledger.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "mixture"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"decision": {"kind": "decide"}}, "its decision has the level None"),
        ({"decision": {"kind": "decide", "level": 5}}, "its decision has the level 5"),
        ({"decision": []}, "its decision has the level None"),
        ({"predictions": "abc"}, "its predictions are 'abc', no list"),
        ({"predictions": [1]}, "prediction 1: is 1"),
        ({"predictions": [{**PREDICTIONS[0], "value": "x"}]}, "prediction 1: value is 'x'"),
        ({"predictions": [{**PREDICTIONS[0], "params": "big"}]}, "prediction 1: params is 'big'"),
        ({"predictions": [{**PREDICTIONS[0], "low": 10**400}]}, "prediction 1: low is 1000"),
        ({"predictions": [{**PREDICTIONS[0], "output": "bogus"}]}, "prediction 1: output is 'bogus'"),
    ],
)
def test_a_seal_around_something_that_is_no_plan(
    changes: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", plan(**changes), later()]) == 2
    assert f"plan.json: {told}" in capsys.readouterr().err


def test_known_values_of_another_form_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    sealed = json.loads(Path(plan()).read_text(encoding="utf-8"))
    body = {name: value for name, value in sealed.items() if name != "seal"} | {"fitted_values": ["0" * 16]}
    Path("plan.json").write_text(canonical_json(body | {"seal": digest(body)}), encoding="utf-8")
    assert main(["compare", "plan.json", later()]) == 2
    assert "fitted_values are not columns and digests" in capsys.readouterr().err


def test_an_editor_that_adds_a_byte_order_mark_alters_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.json").write_text(Path(plan()).read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert main(["compare", "plan.json", later()]) == 0
    assert "2 of 2" in capsys.readouterr().out


def test_an_error_of_nothing_has_no_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", plan(), later((2.7,))]) == 0
    assert "Error: loss off by 0 nats (0 %), measured as predicted." in capsys.readouterr().out
    assert main(["compare", "plan.json", later((2.71, 2.79))]) == 0
    assert "measured neither above nor below predicted in the mean of 2 rows" in capsys.readouterr().out


def test_values_of_several_kinds_have_no_unit(capsys: pytest.CaptureFixture[str]) -> None:
    mixed = [PREDICTIONS[0], {**PREDICTIONS[1], "output": "perplexity", "value": 8.0, "low": 7.0, "high": 9.0}]
    assert main(["compare", plan(predictions=mixed), later(perplexity=[None, 8.5])]) == 0
    said = capsys.readouterr().out
    assert "Error: value off by 0.255 (" in said and "2 of 2 measured values" in said


def test_words_of_what_a_choice_cost() -> None:
    ratio = {"params": 1e9, "planned_ratio": 0.3, "chosen_ratio": 0.3, "chosen_feasible": True, "general_change": 0.02,
             "tolerance": 0.05, "best_ratio": 0.4, "loss_difference": 0.0123}  # fmt: skip
    told = regret_words(ratio)
    assert told.endswith(
        "its domain loss came out 0.0123 nats above that of 0.4, the best measured ratio that kept it too."
    )
    assert "the nearest to the planned" not in told
    broke = regret_words({**ratio, "chosen_feasible": False, "general_change": 0.07, "loss_difference": None})
    assert broke.endswith("raised the general loss by 0.07 nats, more than the 0.05 that were allowed.")
    domains = {"chosen": "the planned mixture", "kept_tolerance": False, "output": "loss", "difference": None}
    assert regret_words(domains) == "the planned mixture raised a loss by more than the tolerance allows."


def test_what_was_known_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    known = [{**PREDICTIONS[0], "fitted_rows": 1}, PREDICTIONS[1]]
    rows = pd.read_csv(later())
    assert main(["compare", plan(rows=rows[:1], predictions=known), "later.csv"]) == 0
    said = capsys.readouterr().out
    assert "Left out: 1 row that the plan was fitted on, as it says." in said and "1 of 1 measured losses" in said
