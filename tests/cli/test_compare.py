"""The verb compare: what a stranger reads, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from speciate.cli.main import main
from speciate.planning.mixture.decision import predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate
from speciate.planning.seal import seal
from speciate.storage import canonical_json

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
