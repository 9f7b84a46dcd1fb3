"""The ledger of a study: every measurement, one row each, as a typed Parquet table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from speciate.runs.columns import BY_NAME, COLUMNS, column_of
from speciate.runs.table import read_table
from speciate.storage import write_atomic

_ARROW = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64()}
SCHEMA = pa.schema([pa.field(column.name, _ARROW[column.dtype]) for column in COLUMNS])

Row = Mapping[str, Any]  # column name -> value; None, NaN or no entry at all: missing


def write_ledger(rows: Iterable[Row], path: Path) -> None:
    """Write rows as Parquet with all ``COLUMNS`` and the rows' shares, null where missing; whole or not there.

    The rows are ours: an unknown column or an infinite number is an AssertionError, and nothing is written.
    """
    clean = [_clean(row) for row in rows]
    shares = sorted({name for row in clean for name in row} - set(BY_NAME))
    schema = pa.schema([*SCHEMA, *(pa.field(name, pa.float64()) for name in shares)])
    table = pa.Table.from_pylist(clean, schema=schema)
    buffer = pa.BufferOutputStream()
    pa.parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_atomic(path, buffer.getvalue().to_pybytes())


def append_ledger(rows: Iterable[Row], path: Path) -> None:
    """Add rows after those of the ledger, which need not exist; rewrites the file atomically."""
    old = pa.parquet.read_table(pa.BufferReader(path.read_bytes())).to_pylist() if path.exists() else []
    write_ledger([*old, *rows], path)


def read_ledger(path: Path) -> pd.DataFrame:
    """The ledger as ``read_table`` returns it, without the columns in which nothing was ever measured.

    Raises UserError as ``read_table`` does.
    """
    return read_table(path).dropna(axis="columns", how="all")


def _clean(row: Row) -> dict[str, Any]:
    unknown = sorted(name for name in row if column_of(name) is None)
    assert not unknown, f"a ledger has no columns {unknown}"
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    column = column_of(name)
    assert column is not None
    if column.dtype == "text":
        return str(value)
    assert math.isfinite(value), f"{name} is {value}"
    return float(value) if column.dtype == "number" else int(value)
