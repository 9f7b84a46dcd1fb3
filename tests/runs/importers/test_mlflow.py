"""MLflow: what its page downloads, and what ``search_runs`` gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from speciate.errors import UserError
from speciate.runs.importers import import_runs

PAGE = """Start Time,Duration,Run ID,Name,Source Type,Source Name,User,Status,n_params,seed,tokens,val_loss
2026-01-01 10:00:00,1.0h,aaaaaaaaaaaa,small,LOCAL,train.py,me,FINISHED,1000000,0,2000000,3.5
2026-01-01 12:00:00,2.0h,bbbbbbbbbbbb,large,LOCAL,train.py,me,FINISHED,4000000,1,2000000,3.25
2026-01-01 12:00:00,2.0h,cccccccccccc,large,LOCAL,train.py,me,FAILED,4000000,2,,
"""
SEARCH = """,run_id,status,metrics.val_loss,metrics.tokens,params.n_params,params.val_loss,tags.mlflow.runName
0,aaaaaaaaaaaa,FINISHED,3.5,2000000.0,1000000,cross-entropy,small
1,bbbbbbbbbbbb,FINISHED,3.25,2000000.0,4000000,,
"""


def write(folder: Path, text: str) -> Path:
    (folder / "runs.csv").write_text(text, encoding="utf-8")
    return folder / "runs.csv"


def test_what_the_page_downloads(tmp_path: Path) -> None:
    table = import_runs(write(tmp_path, PAGE))
    assert table["run"].tolist() == ["small", "large (bbbbbbbb)"]
    assert table["params"].tolist() == [1e6, 4e6] and table["seed"].tolist() == [0, 1]
    assert table["tokens"].tolist() == [2e6, 2e6] and table["loss"].tolist() == [3.5, 3.25]
    assert table["eval_on"].tolist() == ["val", "val"]


@pytest.mark.parametrize("named", ["metrics.val_loss", "val_loss"])
def test_what_search_runs_gives(named: str, tmp_path: Path) -> None:
    table = import_runs(write(tmp_path, SEARCH), {"loss@c4": named, "params": "params.n_params"})
    assert table.to_dict("list") == {
        "run": ["small", "bbbbbbbbbbbb"],
        "trunk": ["small", "bbbbbbbbbbbb"],
        "params": [1e6, 4e6],
        "tokens": [2e6, 2e6],
        "eval_on": ["c4", "c4"],
        "loss": [3.5, 3.25],
    }


def test_another_csv_is_not_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export it with the column 'run_id' or 'Run ID'"):
        import_runs(write(tmp_path, "Name,eval/loss\na,3\n"), kind="mlflow")
