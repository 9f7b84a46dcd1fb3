"""Rows: tokens by step, what is missing stays missing, what diverged is counted, any CSV is imported or refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciate.errors import UserError
from speciate.runs.importers import import_runs
from speciate.runs.importers.assemble import import_table


def history(folder: Path, text: str, name: str = "r.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_tokens_between_two_counts_and_not_beyond(tmp_path: Path) -> None:
    text = "_step,eval/loss,tokens\n0,9,\n10,,1000\n15,5,\n20,,2000\n25,4,\n"
    table = import_runs(history(tmp_path, text))
    assert table["loss"].tolist() == [9, 5, 4]
    assert table["tokens"][1] == 1500 and table["tokens"].isna().tolist() == [True, False, True]
    table = import_runs(history(tmp_path, text), {"tokens": "tokens"}, {"tokens_per_step": 100})
    assert table["tokens"].tolist() == [0, 1500, 2500], "steps fill what was not logged"


def test_another_count_of_steps(tmp_path: Path) -> None:
    text = "_step,train/global_step,eval/loss\n1,100,\n2,,5\n3,200,4\n4,,3\n"
    table = import_runs(history(tmp_path, text), constants={"tokens_per_step": 10})
    assert table["tokens"][:2].tolist() == [1500, 2000] and table["tokens"].isna()[2]
    table = import_runs(history(tmp_path, text), {"step": "_step"}, {"tokens_per_step": 10})
    assert table["tokens"].tolist() == [20, 30, 40]


def test_measurements_of_one_set_share_a_row(tmp_path: Path) -> None:
    text = "_step,a,b,c,se\n1,3,0.5,4,0.1\n2,2.5,,3.5,\n"
    said = {"loss@x": "a", "accuracy@x": "b", "loss@y": "c", "stderr@x": "se"}
    table = import_runs(history(tmp_path, text), said, {"tokens_per_step": 1, "chance@x": 0.25, "train_on": "law"})
    assert table["eval_on"].tolist() == ["x", "x", "y", "y"] and table["loss"].tolist() == [3, 2.5, 4, 3.5]
    assert table["accuracy"].tolist()[0] == 0.5 and table["accuracy"].isna().tolist() == [False, True, True, True]
    assert table["stderr"].isna().tolist() == [False, True, True, True]
    assert table["chance"].tolist()[:2] == [0.25, 0.25] and table["chance"].isna().tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert set(table["train_on"]) == {"law"}


def test_what_diverged_is_left_out_and_counted(tmp_path: Path) -> None:
    text = "Step,a - eval/loss,b - eval/loss,c - eval/loss\n1,3,NaN,NaN\n2,Infinity,4,diverged\n3,-inf,3,\n"
    found = import_table([history(tmp_path, text)], constants={"tokens_per_step": 1})
    assert found.table["loss"].tolist() == [3, 4, 3] and found.diverged == {"a": 2, "b": 1, "c": 2}
    assert found.empty == ["c"] and found.missing == {}
    with pytest.raises(UserError, match="no finite measurement was found; looked for eval/loss"):
        import_runs(history(tmp_path, "Step,a - eval/loss\n1,NaN\n"))


def test_what_is_missing_is_empty_and_counted(tmp_path: Path) -> None:
    found = import_table([history(tmp_path, "Name,ID,n_params,lr,seed,eval/loss\na,1,1e6,.1,,3\nb,2,,.1,,2\n")])
    assert found.table["params"].isna().tolist() == [False, True] and "seed" not in found.table
    assert found.missing == {"params": 1} and found.unused == ["Name", "ID", "lr"]
    assert found.origins == {"loss@eval": "eval/loss", "params": "n_params"}


def test_the_result_is_a_valid_table_or_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="params is 1.3B at row 1; use a positive number"):
        import_runs(history(tmp_path, "Name,n_params,eval/loss\na,1.3B,3\n"))
    with pytest.raises(UserError, match="accuracy is 45.0 at row 1; use a number between 0 and 1"):
        import_runs(history(tmp_path, "Name,acc\na,45\n"), {"accuracy@mmlu": "acc"})
    with pytest.raises(UserError, match="shares share_a, share_b sum to 1.5 at row 1"):
        import_runs(history(tmp_path, "Name,share_a,share_b,eval/loss\na,.5,1,3\n"))


def test_the_last_count_of_a_run_is_not_that_of_every_step(tmp_path: Path) -> None:
    panel = history(tmp_path, "Step,a - eval/loss\n1,3\n2,2\n", "panel.csv")
    runs = history(tmp_path, "Name,tokens\na,2000\n", "runs.csv")
    with pytest.raises(UserError, match="nothing says after how many tokens"):
        import_runs([panel, runs])
    panel = history(tmp_path, "Step,a - eval/loss\n2,2\n", "panel.csv")
    assert import_runs([panel, runs])["tokens"].tolist() == [2000]


def test_problems_of_words_and_sources_together(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sources = [tmp_path / "absent.csv", tmp_path / "empty", history(tmp_path, "")]
    with pytest.raises(UserError) as caught:
        import_runs(sources, {"parms": "x"}, {"seed": "one"})
    assert len(caught.value.problems) == 5
    for kind in ("wandb", "trainer", "tensorboard", "mlflow", "facts"):
        with pytest.raises(UserError):
            import_runs(tmp_path / "absent", kind=kind)
    with pytest.raises(UserError, match="no kind is called 'csv'"):
        import_runs(sources, kind="csv")


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    state = {"log_history": [{"step": 1, "eval_\ud800_loss": 3.0}], "trunk": "\udfff"}
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    row = import_runs(folder, constants={"tokens_per_step": 1}).to_dict("records")[0]
    assert (row["run"], row["eval_on"], row["trunk"]) == ("caf?", "?", "?")


cells = st.sampled_from(["", "1", "2.5", "NaN", "inf", "-1", "0", "1e30", "1e400", "x", "é", "None", '"a,b"', "100000"])
headers = st.sampled_from(
    ["Name", "Step", "_step", "run", "run_id", "ID", "r - eval/loss", "s - eval/loss", "r - tokens", "eval/loss", "",
     "metrics.val_loss", "params.seed", "seed", "tokens", "share_a", "share_b", "trunk", "eval_on", "é - val_loss"]
)  # fmt: skip


@given(st.lists(headers, min_size=1, max_size=6), st.data(), st.booleans())
@settings(max_examples=150)
def test_any_csv_is_imported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: Any, per_step: bool
) -> None:
    rows = data.draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), max_size=4))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("\n".join(",".join(row) for row in [names, *rows]), encoding="utf-8")
    try:
        table = import_runs(path, constants={"tokens_per_step": 10} if per_step else None)
    except UserError as error:
        assert all(problem.what and problem.where and problem.fix for problem in error.problems)
        return
    assert isinstance(table, pd.DataFrame) and len(table)
    outcomes = table.reindex(columns=["loss", "bits_per_byte"])
    assert outcomes.notna().any(axis="columns").all() and table["run"].notna().all()
