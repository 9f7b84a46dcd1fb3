"""The verbs laws, fit and predict: their options, what they refuse, and what they print where."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from speciate.cli import analysis, output
from speciate.cli.main import main
from speciate.laws import LAWS

Refused = Callable[..., dict[str, Any]]
SIZES, TOKENS = (1e8, 2e8, 4e8, 1e9, 2e9), (2e9, 8e9, 3e10, 9e10)


def ladder(noise: float = 2e-3) -> pd.DataFrame:
    """Losses of Chinchilla's law: 20 runs, with all the columns that its rivals read."""
    rows = [(n, d, 1.8 + 480 / n**0.35 + 2100 / d**0.37) for n in SIZES for d in TOKENS]
    table = pd.DataFrame(rows, columns=["params", "tokens", "loss"])
    table["loss"] *= np.exp(np.random.default_rng(0).normal(0, noise, len(table)))
    table.insert(0, "run", [f"r{i}" for i in range(len(table))])
    return table


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    ladder().to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must end with this code, as JSON and as text, without a number in its answer."""

    def run(code: int, *words: object) -> dict[str, Any]:
        line = [str(word) for word in words]
        capsys.readouterr()
        assert main([*line, "--json"]) == code, line
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert set(found) == {2: {"status", "problems"}, 3: {"status", "reason", "remedy"}}[code]
        assert main(line) == code
        printed = capsys.readouterr()
        assert printed.out == "" and "Traceback" not in printed.err
        return found

    return run


def said(found: dict[str, Any]) -> str:
    return " ".join(f"{one['where']}: {one['what']}; {one['fix']}" for one in found["problems"])


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main([*(str(word) for word in words), "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_one_size_one_ratio_or_too_few_rows_are_not_decidable(refused: Refused, tmp_path: Path) -> None:
    table, file = ladder(), tmp_path / "t.csv"
    table[table["params"] == 1e8].to_csv(file, index=False)
    assert "params = 1e+08" in refused(3, "fit", "chinchilla", file)["reason"]
    table.iloc[[0, 5, 10, 15]].to_csv(file, index=False)
    found = refused(3, "fit", "chinchilla", file)
    assert "5 parameters and there are 4" in found["reason"] and "add at least 1 row" in found["remedy"]
    for law in ("mixture-ratio", "d-cpt"):
        table.assign(domain_ratio=0.3).to_csv(file, index=False)
        where = ["--where", "params==1e8, tokens==2e9"] if law == "mixture-ratio" else []
        assert "domain_ratio = 0.3" in refused(3, "fit", law, file, *where)["reason"]


def test_no_row_past_the_turning_point_is_not_decidable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["run,params,tokens,domain_ratio,eval_on,loss"]
    for ratio in (0.1, 0.25, 0.5, 0.75):  # the general loss rises to the end, whatever the ratio
        for step in range(16):
            tokens = 1e8 * 1.3**step if step else 0
            for eval_on, change in (("general", 0.2), ("law", -0.2)):
                loss = 3 + change * ratio * np.log1p(tokens / 1e8)
                rows.append(f"r{ratio},1e8,{tokens:.0f},{ratio},{eval_on},{loss:.6f}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = ["plan", "mixture", str(tmp_path / "t.csv"), "--domain", "law", "--bootstrap", "100", "--tolerance", "9"]
    assert main([*words, "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    model = found["models"][0]
    assert not found["decided"] and "not decidable" in model["status"] and model["remedy"]["text"]
    assert model["critical_ratio"] is None and all(one["turning_tokens"] is None for one in model["ratios"])


def test_rows_that_do_not_compare_are_refused(refused: Refused, tmp_path: Path) -> None:
    table, file = ladder(), tmp_path / "t.csv"
    halves = ["a"] * 10 + ["b"] * 10
    table.assign(tokenizer=halves).to_csv(file, index=False)
    assert "2 values of tokenizer (a, b)" in said(refused(2, "fit", "chinchilla", file))
    table.assign(eval_on=halves).to_csv(file, index=False)
    assert "choose one with --eval-on: a, b" in said(refused(2, "fit", "chinchilla", file))
    assert "no row is evaluated on 'c'" in said(refused(2, "fit", "chinchilla", file, "--eval-on", "c"))
    table.assign(eval_hash=halves).to_csv(file, index=False)
    assert "eval_hash" in said(refused(2, "fit", "chinchilla", file))
    table.assign(domain_ratio=[0.1, 0.2] * 10).to_csv(file, index=False)
    assert "one domain_ratio, the rows have 2" in said(refused(2, "fit", "chinchilla", file))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--objective", "foo"], "foo"), (["--delta", "0"], "0"), (["--delta", "x"], "--delta"),
        (["--level", "1.2"], "--level"), (["--bootstrap", "5"], "5 draws have no"), (["--seed", "-1"], "--seed"),
        (["--intervals", "foo"], "foo"),
        (["--noise-by", "loss"], "name one of params, tokens"), (["--output", "accuracy"], "no law of 'accuracy'"),
        (["--output", "bits_per_byte"], "no column 'bits_per_byte'"), (["--rivals", "foo"], "no law 'foo'"),
        (["--rivals", "chinchilla"], "names no other law"), (["--rivals", ","], "names no other law"),
        (["--rivals", "accuracy-compute"], "compare laws of one output"),
        (["--rivals", "kaplan+sger"], "predicts loss"), (["--rivals", "a+b+c"], "names 3 laws"),
        (["--where", "params>"], "cannot read"),
        (["--where", "parms>1"], "did you mean 'params'?"), (["--holdout", "params>1e12"], "holds no rows out"),
        (["--columns", "params"], "no pair"), (["--eval-on", "law"], "no column 'eval_on'"),
    ],
)  # fmt: skip
def test_wrong_options(words: list[str], part: str, refused: Refused, runs: Path) -> None:
    assert part in said(refused(2, "fit", "chinchilla", runs, *words))


def test_the_table_is_never_written_over(refused: Refused, runs: Path) -> None:
    before = runs.read_bytes()
    assert "is what is read" in said(refused(2, "fit", "chinchilla", runs, "--out", runs.parent / "." / runs.name))
    assert "is what is read" in said(refused(2, "import", runs, "--out", runs))
    assert runs.read_bytes() == before


def test_what_follows_from_other_columns_is_not_asked_for(refused: Refused, tmp_path: Path, runs: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    found = told(capsys, "fit", "loss-compute", runs, "--bootstrap", "20", "--out", tmp_path / "fit.json")
    assert "flops were taken as 6 params tokens" in found["notes"]
    given = told(capsys, "predict", tmp_path / "fit.json", runs)["rows"]
    assert given[0]["flops"] == 6 * 1e8 * 2e9
    (tmp_path / "t.csv").write_text("run,params,loss\na,1e8,3\n", encoding="utf-8")
    assert "no column 'flops'" in said(refused(2, "predict", tmp_path / "fit.json", tmp_path / "t.csv"))
    assert "flops" in said(refused(2, "fit", "loss-compute", tmp_path / "t.csv"))
    rows = [{"trunk": f"t{n}", "params": n, "tokens": d, "domain_ratio": r, "loss": 4 + 1e-9 * d * r + 1e8 / n}
            for n in (4e7, 2e8) for r in (0.5, 0.8, 1.0) for d in (0.0, 3e7, 3e8)]  # fmt: skip
    pd.DataFrame(rows).assign(run=[f"r{i // 3}" for i in range(18)]).to_csv(tmp_path / "t.csv", index=False)
    found = told(capsys, "fit", "forgetting", tmp_path / "t.csv", "--bootstrap", "20")
    assert "start_loss was taken from the rows of 0 tokens" in found["notes"]
    assert found["left_out"] == {"tokens is 0": 6}


def test_predict_takes_defaults_and_refuses_what_is_said_twice(refused: Refused, tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    flops = np.geomspace(1e19, 1e22, 12)
    accuracy = LAWS["accuracy-compute"].predict([0.4, 0.25], {"flops": flops, "chance": np.full(12, 0.25)})
    table = pd.DataFrame({"flops": flops, "accuracy": accuracy, "chance": 0.25, "seed": 0})
    table.to_csv(tmp_path / "t.csv", index=False)
    fit = tmp_path / "fit.json"
    told(capsys, "fit", "accuracy-compute", tmp_path / "t.csv", "--bootstrap", "20", "--out", fit)
    row = told(capsys, "predict", fit, "flops=1e21")["rows"][0]
    assert row["chance"] == 0.25 and row["value"] == pytest.approx(0.25 + 0.75 * np.exp(-0.4), abs=1e-3)
    assert told(capsys, "predict", fit, "flops=1e21", "chance=0")["rows"][0]["value"] < row["value"]
    table[["flops"]].to_csv(tmp_path / "only.csv", index=False)
    assert len(told(capsys, "predict", fit, tmp_path / "only.csv")["rows"]) == 12
    assert "flops is given twice" in said(refused(2, "predict", fit, "flops=1e21", "flops=2e21"))
    assert "flops is missing" in said(refused(2, "predict", fit, "chance=0.25"))
    pd.DataFrame({"flops": [1e21, None]}).to_csv(tmp_path / "holes.csv", index=False)
    assert "flops is missing at row 2" in said(refused(2, "predict", fit, tmp_path / "holes.csv"))
    assert "above 0" in said(refused(2, "predict", fit, "flops=-1"))


def test_predict_says_what_it_cannot(refused: Refused, tmp_path: Path, runs: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    fit = tmp_path / "fit.json"
    told(capsys, "fit", "chinchilla", runs, "--bootstrap", "20", "--out", fit)
    steep = json.loads(fit.read_text(encoding="utf-8"))
    steep["theta"][3] = 2.9
    (tmp_path / "steep.json").write_text(json.dumps(steep), encoding="utf-8")
    tiny = ("predict", tmp_path / "steep.json", "params=1e-300", "tokens=1e9")
    assert "no finite value" in said(refused(2, *tiny))
    problems = refused(2, "predict", fit, runs, "params=1e9", "tokens=2T")["problems"]
    assert [problem["fix"] for problem in problems] == [
        "give a table alone, or words as in params=1e9",
        "for instance tokens=1e9",
    ]


def test_rivals_that_are_none_are_told_before_the_fit(refused: Refused, runs: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the fit came first")

    monkeypatch.setattr("speciate.fitting.fit.fit", fail)
    assert "did you mean 'kaplan'" in said(refused(2, "fit", "chinchilla", runs, "--rivals", "kaplann"))


def test_bare_rivals_see_the_rows_that_are_used(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("fit", "loss-compute", runs, "--bootstrap", "20", "--rivals")
    assert "mixture-domain" not in told(capsys, *words)["rivals"]["laws"]
    assert "mixture-domain" in told(capsys, *words, "--where", "params==1e8")["rivals"]["laws"]


def test_validate_names_the_laws(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "validate", runs)["laws"]
    assert {"chinchilla", "loss-compute"} <= set(found) and "mixing" not in found
    assert main(["validate", str(runs)]) == 0
    assert f"\nlaws            {', '.join(found)}\n" in capsys.readouterr().out
    pd.DataFrame({"params": np.arange(1.0, 41.0) * 1e6}).to_csv(tmp_path / "t.csv", index=False)
    assert main(["validate", str(tmp_path / "t.csv")]) == 0
    printed = capsys.readouterr().out
    assert "3e+07 and 10 more\n" in printed and "laws            none" in printed


def test_predictions_know_the_rest_of_the_shares(refused: Refused, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], 20)
    table = pd.DataFrame({"share_code": shares[:, 0], "share_law": shares[:, 1]})
    x = {f"share_{i + 1}": shares[:, i] for i in range(3)}
    table["loss"] = LAWS["mixing"].predict([3.2, 0.6, 1.9, -0.7], x)
    table.to_csv(tmp_path / "t.csv", index=False)
    fit = tmp_path / "fit.json"
    assert (
        "share_rest" in told(capsys, "fit", "mixing", tmp_path / "t.csv", "--bootstrap", "20", "--out", fit)["notes"][0]
    )
    found = told(capsys, "predict", fit, tmp_path / "t.csv")["rows"]
    np.testing.assert_allclose([row["value"] for row in found], table["loss"], rtol=1e-4)
    row = told(capsys, "predict", fit, "share_code=0.25", "share_law=0.25")["rows"][0]
    assert row["share_rest"] == 0.5
    assert "between 0 and 1" in said(refused(2, "predict", fit, "share_code=1.5", "share_law=0.25"))
    assert "share_law is missing" in said(refused(2, "predict", fit, "share_code=0.5"))


def test_the_mean_is_surer_than_a_measurement(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "fit", "chinchilla", runs, "--bootstrap", "200", "--out", tmp_path / "fit.json")
    point = ("predict", tmp_path / "fit.json", "params=4e8", "tokens=8e9")
    whole, mean = (told(capsys, *point, *more)["rows"][0] for more in ([], ["--mean"]))
    assert whole["value"] == mean["value"]
    assert whole["low"] < mean["low"] < mean["high"] < whole["high"]


def test_sensitivity_is_always_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"params": np.geomspace(1e9, 2e10, 12)}).assign(perplexity=lambda t: 9 / t["params"] ** 0.05)
    table.loc[[3, 11], "perplexity"] = [np.nan, 5.0]
    table.to_csv(tmp_path / "t.csv", index=False)
    words = ["fit", "perplexity-size", str(tmp_path / "t.csv"), "--objective", "squared", "--bootstrap", "50"]
    found = told(capsys, *words)
    assert found["left_out"] == {"perplexity is missing": 1}
    assert found["sensitivity"]["points"][0]["rows"] == [12], "rows of the table count from 1, as in messages"
    assert main(words) == 0
    assert "sensitivity: without row 12" in capsys.readouterr().out


def test_profile_intervals_and_noise(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("fit", "chinchilla", runs, "--bootstrap", "50", "--noise-by", "params")
    drawn = told(capsys, *common)
    profiled = told(capsys, *common, "--intervals", "profile", "--out", tmp_path / "fit.json")
    assert drawn["noise"]["column"] == "params"
    alpha, beta = (one["parameters"]["alpha"] for one in (drawn, profiled))
    assert alpha["value"] == beta["value"] and alpha["low"] != beta["low"]
    assert beta["low"] < beta["value"] < beta["high"]
    from speciate.fitting.fit import load_fit

    assert load_fit(tmp_path / "fit.json").parameters == profiled["parameters"]


def test_another_loss_in_place_of_the_laws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ladder().rename(columns={"loss": "bits_per_byte"})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = told(capsys, "fit", "chinchilla", tmp_path / "t.csv", "--output", "bits_per_byte", "--bootstrap", "20")
    assert found["output"] == "bits_per_byte" and found["parameters"]["alpha"]["value"] == pytest.approx(0.35, abs=0.05)


def test_rivals(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "chinchilla", str(runs), "--bootstrap", "20"]
    named = told(capsys, *words, "--rivals", "kaplan, loss-compute", "--holdout", "params>1e9")["rivals"]
    assert named["laws"] == ["chinchilla", "kaplan", "loss-compute"]
    assert named["splits"][0]["held_out"] == "params>1e9"
    every = told(capsys, *words, "--rivals")["rivals"]
    assert {"kaplan", "loss-compute"} < set(every["laws"]) and every["best"] == "chinchilla"
    assert main([*words, "--rivals"]) == 0
    printed = capsys.readouterr().out
    assert "chinchilla predicts best whatever is held out" in printed


def test_two_laws_in_a_row_are_a_rival(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flops = np.geomspace(1e19, 1e22, 24)
    x = {"flops": flops, "chance": np.full(24, 0.25)}
    table = pd.DataFrame({**x, "loss": 200 * flops**-0.09})
    table["accuracy"] = LAWS["accuracy-compute"].predict([0.4, 0.25], x)
    table.to_csv(tmp_path / "t.csv", index=False)
    chained = "loss-compute+accuracy-loss-linear"
    found = told(capsys, "fit", "accuracy-compute", tmp_path / "t.csv", "--bootstrap", "20", "--rivals", chained)
    assert found["rivals"]["laws"] == ["accuracy-compute", chained]
    assert [score["law"] for score in found["rivals"]["splits"][0]["scores"]] == ["accuracy-compute", chained]


def test_all_laws_fit_a_narrow_terminal_and_lines_stay_whole_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["laws"]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in whole if line and line[0] != " "][:-1] == list(LAWS)
    assert all(f"  {law.formula}" in whole and f"  {law.source}" in whole for law in LAWS.values())
    monkeypatch.setattr(analysis, "screen", lambda: 80)
    assert main(["laws"]) == 0
    for name in LAWS:
        assert main(["laws", name]) == 0
    narrow = capsys.readouterr().out.splitlines()
    assert max(map(len, narrow)) <= 80 and len(narrow) > len(whole)


def test_the_screen_is_known_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert output.screen() is None
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "72")
    assert output.screen() == 72


def test_what_goes_to_a_file_is_not_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output.console(False).print("word " * 60)
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setenv("COLUMNS", "40")
    output.console(False).print("word " * 60)
    assert capsys.readouterr().out.count("\n") > 1
