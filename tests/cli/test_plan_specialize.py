from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from speciate.cli.plan_specialize import specialize
from speciate.errors import NotDecidable, UserError
from speciate.planning.seal import verify_seal


def call(*words: str) -> Any:
    """The verb as typer runs it: its exit code, or the error that main turns into one."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("specialize")(specialize)
    return typer.main.get_command(app).main(args=list(words), prog_name="specialize", standalone_mode=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    tokens = np.arange(1, 15) * 4e9
    parts = []
    for params in (1.5e9, 7e9, 14e9):
        for regime, minimum, floor in (("general", 40e9, 2.4), ("law", 30e9 * (params / 1e9) ** -0.3, 2.0)):
            for suite in ("oab", "mmlu"):
                values = floor * (params / 1e9) ** -0.1 * np.exp(0.05 * np.log(tokens / minimum) ** 2)
                parts.append(pd.DataFrame({"run": f"{regime}{params:g}", "N": params, "train_on": regime, "D": tokens,
                                           "eval_on": suite, "perplexity": values}))  # fmt: skip
    path = tmp_path / "exams.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


OPTIONS = ("--columns", "params=N,tokens=D", "--eval-on", "oab", "--bootstrap", "200")


def test_it_decides_and_prints_one_object(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(str(table), *OPTIONS, "--original", "mmlu", "--flops", "1e20,1e21", "--flops", "2e21", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "specialize" and found["choice"]["regime"] == "law"
    assert [one["flops"] for one in found["optimal_size"]] == [1e20, 1e20, 1e21, 1e21, 2e21, 2e21]
    assert [one["eval_on"] for one in found["forgetting"]] == ["mmlu"] * 4
    assert call(str(table), *OPTIONS) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_it_is_sealed_with_the_rows_it_rests_on(table: Path, tmp_path: Path) -> None:
    assert call(str(table), *OPTIONS, "--seal", str(tmp_path / "plan.json")) == 0
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    verify_seal(plan)
    assert len(plan["fitted_row_digests"]) == 3 * 2 * 14 and plan["request"]["table"] == str(table)
    with pytest.raises(UserError, match="altered"):
        verify_seal({**plan, "status": "another"})


def test_what_cannot_be_decided_exits_with_3_and_still_prints(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv(table)
    alike = rows.assign(perplexity=rows.groupby(["N", "D", "eval_on"])["perplexity"].transform("mean"))
    alike.to_csv(tmp_path / "alike.csv", index=False)
    assert call(str(tmp_path / "alike.csv"), *OPTIONS, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert not found["decided"] and found["status"].startswith("not decidable") and found["choice"] is None
    rows[rows["train_on"] == "law"].assign(N=1e9).to_csv(tmp_path / "law.csv", index=False)
    general = rows[rows["train_on"] == "general"]
    pd.concat([general, pd.read_csv(tmp_path / "law.csv")]).to_csv(tmp_path / "apart.csv", index=False)
    with pytest.raises(NotDecidable):
        call(str(tmp_path / "apart.csv"), *OPTIONS)


def test_faults_are_the_users(table: Path) -> None:
    with pytest.raises(UserError) as caught:
        call(str(table), *OPTIONS, "--flops", "many,-1")
    assert len(caught.value.problems) == 2
    with pytest.raises(UserError, match="law"):
        call(str(table), *OPTIONS, "--specialized", "laww")
    with pytest.raises(UserError) as caught:
        call(str(table), "--eval-on", "oab")
    assert {"N", "D"} <= {part.strip("'") for p in caught.value.problems for part in p.what.split()}
