"""The ledger keeps rows typed, in order, and missing values missing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from speciate.errors import UserError
from speciate.runs.columns import COLUMNS
from speciate.runs.ledger import append_ledger, read_ledger, write_ledger
from speciate.runs.table import read_table, row_digests

ROWS: list[dict[str, Any]] = [
    {"run": "a", "params": 1_000, "tokens": np.int64(0), "loss": 3.5, "seed": np.int64(1), "domain_ratio": None},
    {"run": "b", "params": 1e3, "tokens": 256, "loss": np.float32(3.25), "stderr": math.nan},
]


def test_written_rows_are_typed_and_null_where_missing(tmp_path: Path) -> None:
    path = tmp_path / "study" / "ledger.parquet"
    write_ledger(ROWS, path)
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == [column.name for column in COLUMNS]
    assert {str(field.type) for field in table.schema} == {"string", "double", "int64"}
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    assert rows == [
        {"run": "a", "params": 1000.0, "tokens": 0.0, "loss": 3.5, "seed": 1},
        {"run": "b", "params": 1000.0, "tokens": 256.0, "loss": 3.25},
    ]


def test_read_and_append(tmp_path: Path) -> None:
    path = tmp_path / "ledger.parquet"
    append_ledger(ROWS[:1], path)
    append_ledger(ROWS[1:], path)
    table = read_ledger(path)
    assert list(table.columns) == ["run", "trunk", "params", "tokens", "loss", "seed"]
    assert table["run"].tolist() == ["a", "b"]
    whole = tmp_path / "whole.parquet"
    write_ledger(ROWS, whole)
    assert path.read_bytes() == whole.read_bytes()
    assert row_digests(table) == row_digests(read_table(whole))


@pytest.mark.parametrize("row", [{"los": 1.0}, {"loss": math.inf}])
def test_what_we_may_not_write(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        write_ledger([row], tmp_path / "ledger.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_ledger_has_no_rows(tmp_path: Path) -> None:
    write_ledger([], tmp_path / "ledger.parquet")
    with pytest.raises(UserError, match="has no rows"):
        read_ledger(tmp_path / "ledger.parquet")
