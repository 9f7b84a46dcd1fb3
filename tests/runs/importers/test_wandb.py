"""W&B: tables of runs, panels, histories, and what cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.runs.importers import import_runs
from speciate.runs.importers.wandb import read_wandb

RUNS = """"Name","State","Notes","Tags","Runtime","ID","n_params","seed","lr","eval/loss","train/global_step"
"small-0","finished","","","3600","x1","1000000","0","0.001","3.5","1000"
"small-1","crashed","-","","12","x2","1000000","1","0.001","NaN","10"
"large","finished","","","7200","x3","4000000","0","0.001","3.25","1000"
"""
PANEL = """"Step","small-0 - eval/c4_loss","small-0 - eval/c4_loss__MIN","a - b - eval/c4_loss"
"0","11","11",""
"100","5.5","5.5","6"
"200","NaN","NaN",""
"300","4.5","4.5","Infinity"
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_table_of_runs(tmp_path: Path) -> None:
    table = import_runs(write(tmp_path, "export.csv", RUNS), constants={"tokens_per_step": 512})
    assert table.to_dict("list") == {
        "run": ["small-0", "large"],
        "trunk": ["small-0", "large"],
        "params": [1e6, 4e6],
        "tokens": [512_000.0, 512_000.0],
        "eval_on": ["eval", "eval"],
        "loss": [3.5, 3.25],
        "seed": [0, 0],
    }


def test_a_panel_has_the_history_of_every_run(tmp_path: Path) -> None:
    table = import_runs(write(tmp_path, "panel.csv", PANEL), constants={"tokens_per_step": 10, "params": 1e6})
    assert table["run"].tolist() == ["small-0"] * 3 + ["a - b"]
    assert table["tokens"].tolist() == [0, 1000, 3000, 1000]
    assert table["loss"].tolist() == [11, 5.5, 4.5, 6]
    assert set(table["eval_on"]) == {"c4"} and set(table["params"]) == {1e6}


def test_a_panel_and_the_table_of_its_runs_are_joined(tmp_path: Path) -> None:
    sources = [write(tmp_path, "panel.csv", PANEL), write(tmp_path, "export.csv", RUNS)]
    table = import_runs(sources, {"loss@c4": "eval/c4_loss"}, {"tokens_per_step": 10})
    small = table[table["run"] == "small-0"]
    assert small["loss"].tolist() == [11, 5.5, 4.5] and small["params"].tolist() == [1e6] * 3
    assert table[table["run"] == "a - b"]["params"].isna().all()
    assert set(table["run"]) == {"small-0", "a - b"}, "the other runs have no such metric"


def test_the_axis_of_a_panel_may_be_the_tokens(tmp_path: Path) -> None:
    text = PANEL.replace('"Step"', '"train/tokens"')
    assert import_runs(write(tmp_path, "panel.csv", text))["tokens"].tolist() == [0, 100, 300, 100]


def test_several_panels_of_the_same_runs(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", "Step,r - eval/loss\n1,3\n2,2.5\n")
    second = write(tmp_path, "b.csv", "Step,r - eval/math_loss,r - tokens_seen\n1,4,100\n3,,300\n")
    table = import_runs([first, second])
    assert table[["eval_on", "loss", "tokens"]].values.tolist() == [
        ["eval", 3, 100],
        ["eval", 2.5, 200],
        ["math", 4, 100],
    ]


def test_a_history(tmp_path: Path) -> None:
    text = ",_step,_runtime,eval/loss,train/tokens\n0,10,1.5,,100\n1,20,2.5,3.5,200\n2,30,3.5,3.25,\n"
    table = import_runs(write(tmp_path, "run-7.csv", text))
    assert table["run"].tolist() == ["run-7", "run-7"] and table["loss"].tolist() == [3.5, 3.25]
    assert table["tokens"][0] == 200 and table["tokens"].isna()[1], "not known beyond the last count"


def test_runs_of_one_name(tmp_path: Path) -> None:
    logs = read_wandb(write(tmp_path, "x.csv", "Name,ID,eval/loss\na,i1,3\na,i2,4\nb,i3,5\n"))
    assert [log.name for log in logs] == ["a (i1)", "a (i2)", "b"]
    logs = read_wandb(write(tmp_path, "x.csv", "Name,ID,eval/loss\na,i1,3\n,i2,4\n,,5\n"))
    assert [log.name for log in logs] == ["a", "i2", "row 3"]
    logs = read_wandb(write(tmp_path, "x.csv", "Name,eval/loss\na,3\na,4\n"))
    assert [log.name for log in logs] == ["a (1)", "a (2)"]
    with pytest.raises(UserError, match="two runs have one name"):
        read_wandb(write(tmp_path, "x.csv", "Step,a - loss,a - loss\n1,2,3\n"))
    first = write(tmp_path, "x.csv", "Name,eval/loss\na,3\n")
    second = write(tmp_path, "y.csv", "Name,eval/loss\na,4\n")
    with pytest.raises(UserError, match=r"run a of .*y.csv: .*x.csv has a run of that name too"):
        import_runs([first, second])


def test_another_csv_is_not_taken_for_one(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "model,score\na,1\n")
    with pytest.raises(UserError, match=r"of no known kind \(its columns: model, score\)"):
        import_runs(path)
    with pytest.raises(UserError, match="no CSV as W&B exports it"):
        import_runs(path, kind="wandb")


def test_a_repeated_column_is_not_always_a_repeated_run(tmp_path: Path) -> None:
    file = tmp_path / "panel.csv"
    file.write_text('"Step","Step","a - eval/loss"\n1,1,3\n', encoding="utf-8")
    with pytest.raises(UserError, match="column 'Step' appears 2 times; keep one"):
        read_wandb(file)
