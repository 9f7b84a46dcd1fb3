"""Tables of measurements: one row is one measurement, as in the design's list of columns.

A table that is read is a pandas DataFrame with the columns it came with, in the order of ``COLUMNS``: "text" columns
are ``str`` (object before pandas 3), "number" columns float64, "integer" columns Int64. What is missing is NaN
(``<NA>`` in Int64), never 0: an empty cell of a CSV (NA, N/A, null and none too, in a column of numbers), a null of
Parquet, and None or NaN of a DataFrame. A NaN or an infinity that a file spells out is refused. Columns share_NAME
hold the shares of a mixture's domains; those of one row sum to at most 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from speciate.errors import Problem, UserError
from speciate.runs.columns import BY_NAME, COLUMNS, SHARE, Column, column_of, parse_columns, rename
from speciate.runs.load import from_series, load, parse_numbers, some_rows
from speciate.storage import digest

__all__ = ["BY_NAME", "COLUMNS", "Column", "parse_columns", "read_table", "row_digests", "rows_digest"]

DIGEST_DIGITS = 16
LARGEST = 1e30  # beyond it (and its inverse) a square or a power is no longer a finite float
EXACT = 2**53  # from here on a float no longer tells two whole numbers apart
ROUNDING = 1e-6  # by how much the shares of a row may exceed 1


def read_table(
    source: str | Path | pd.DataFrame, columns: Mapping[str, str] | None = None, *, require: Sequence[str] = ()
) -> pd.DataFrame:
    """Read and validate a table: a CSV or Parquet file, or a DataFrame (which is not changed).

    ``columns`` maps known names to the table's own (see ``parse_columns``). Columns in ``require`` must be there, with
    a value on every row. ``trunk`` is the run where it is not given. Row numbers in messages count from 1 after the
    header.

    Raises UserError naming every problem at once: first of the file (missing, a folder, empty, not UTF-8, truncated),
    then of the columns (missing, unknown, repeated), together with the values of the columns that are known.

    >>> read_table(pd.DataFrame({"N": [1e6, 2e6], "loss": [3.0, None]}), {"params": "N"}).to_dict("list")
    {'params': [1000000.0, 2000000.0], 'loss': [3.0, nan]}
    """
    where = "the table" if isinstance(source, pd.DataFrame) else str(source)
    names, arrays = load(source)
    names, problems = rename(names, columns or {}, require, where)
    known = dict(zip(names, arrays, strict=True))
    result: dict[str, pd.Series] = {}
    wrong: set[str] = set()
    for column in _in_order(known):
        result[column.name], found = _convert(known[column.name], column, where)
        absent = _absent(result[column.name], column, where) if column.name in require and not found else []
        problems += found + absent
        wrong |= {column.name} if found else set()
    problems += _too_much({name: result[name] for name in result if name.startswith(SHARE)}, wrong, where)
    if not arrays or not len(arrays[0]):
        problems.append(Problem("has no rows", where, "give at least one measurement"))
    if problems:
        raise UserError(problems)
    return _with_trunk(pd.DataFrame(result))


def row_digests(table: pd.DataFrame) -> list[str]:
    """A hash for each row, 16 hexadecimal digits: what was measured, whatever the file, and the order of columns.

    It is the SHA-256 of the row as canonical JSON without its missing values, numbers as floats. A trunk that is just
    the run says nothing and is left out.

    >>> row_digests(pd.DataFrame({"tokens": [100], "loss": [3.5]})) == [digest({"loss": 3.5, "tokens": 100.0})[:16]]
    True
    """
    if "trunk" in table and "run" in table:
        trunk, run = (table[name].astype(object) for name in ("trunk", "run"))
        table = table.assign(trunk=trunk.mask(trunk == run))
    rows = zip(*(_json_cells(table, name) for name in sorted(table.columns)), strict=True)
    return [hashlib.sha256(f"{{{','.join(filter(None, r))}}}".encode()).hexdigest()[:DIGEST_DIGITS] for r in rows]


def rows_digest(table: pd.DataFrame) -> str:
    """One SHA-256 for a table, as 64 hexadecimal digits; the order of rows does not matter, repeats do."""
    return digest(sorted(row_digests(table)))


def _json_cells(table: pd.DataFrame, name: str) -> list[str]:
    """``"name":value`` for every row, "" where it is missing."""
    column = column_of(name)
    assert column is not None, f"{name} is no column"
    values, problems = _convert(from_series(table[name]), column, "the table")
    assert not problems, problems  # read_table refuses such a table
    missing = values.isna().to_numpy()
    if column.dtype == "text":
        spelt = {value: f'"{name}":{json.dumps(value, ensure_ascii=False)}' for value in values[~missing].unique()}
        return ["" if m else spelt[value] for value, m in zip(values.tolist(), missing, strict=True)]
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 becomes 0.0
    return ["" if m else f'"{name}":{value!r}' for value, m in zip(numbers.tolist(), missing, strict=True)]


def _in_order(names: Iterable[str]) -> list[Column]:
    """The columns among ``names`` in the order of ``COLUMNS``; shares, by name, after domain_ratio."""
    place = {column.name: i for i, column in enumerate(COLUMNS)}
    found = [column for column in map(column_of, names) if column is not None]
    return sorted(found, key=lambda column: (place.get(column.name, place["domain_ratio"] + 0.5), column.name))


def _too_much(shares: Mapping[str, pd.Series], wrong: set[str], where: str) -> list[Problem]:
    """Rows whose shares sum to more than 1; not said of shares that are no shares."""
    if not shares or wrong & shares.keys():
        return []
    total = np.zeros(len(next(iter(shares.values()))))
    for values in shares.values():
        total += values.fillna(0).to_numpy()
    rows = np.flatnonzero(total > 1 + ROUNDING).tolist()
    if not rows:
        return []
    names = ", ".join(list(shares)[:6]) + (f" and {len(shares) - 6} more" if len(shares) > 6 else "")
    what = f"the shares {names} sum to {total[rows[0]]:.6g} at {some_rows(rows)}"
    return [Problem(what, where, "the shares of one mixture sum to 1 at most (30 % is 0.3)")]


def _with_trunk(table: pd.DataFrame) -> pd.DataFrame:
    if "run" in table and "trunk" in table:
        return table.assign(trunk=table["trunk"].fillna(table["run"]))
    if "run" in table:
        table.insert(1, "trunk", table["run"])
    return table


def _convert(array: Any, column: Column, where: str) -> tuple[pd.Series, list[Problem]]:
    """One Arrow column in the dtype of its meaning, with everything that is wrong with its values."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    is_text = str(kind) in ("string", "large_string", "string_view")
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    if column.dtype == "text" and (is_text or is_number or pa.types.is_boolean(kind)):
        return _as_text(array), []
    if column.dtype == "text" or not (is_text or is_number or pa.types.is_decimal(kind)):
        problem = Problem(f"{column.name} holds {kind}", where, f"use {column.bounds}")
        return pd.Series(np.nan, range(len(array))), [problem]

    numbers = parse_numbers(array.cast(pa.string())) if is_text else array.cast(pa.float64(), safe=False)
    missing = numbers.is_null().to_numpy(zero_copy_only=False)
    values = numbers.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        fits = np.isfinite(values) & (values >= low) & (values <= high)
        if column.above_low:
            fits &= values > low
        if column.dtype == "integer":
            fits &= (values == np.floor(values)) & (np.abs(values) < EXACT)
    series = pd.Series(values)
    absurd = fits & (values != 0) & ((np.abs(values) > LARGEST) | (np.abs(values) < 1 / LARGEST))
    if absurd.any():
        rows = np.flatnonzero(absurd).tolist()
        what = f"{column.name} is {array[rows[0]].as_py()} at {some_rows(rows)}"
        return series, [Problem(what, where, f"check the value: nothing measured is beyond {LARGEST:g} or its inverse")]
    bad = np.flatnonzero(~fits & ~missing).tolist()
    if bad:
        cell = str(array[bad[0]].as_py())
        fix = f"use {column.bounds}{' (30 % is 0.3)' if column.high == 1 else ''}, or leave it empty"
        shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
        return series, [Problem(f"{column.name} is {shown} at {some_rows(bad)}", where, fix)]
    return series.astype("Int64") if column.dtype == "integer" else series, []


def _absent(values: pd.Series, column: Column, where: str) -> list[Problem]:
    """A column that must have a value on every row has none on some."""
    rows = np.flatnonzero(values.isna().to_numpy()).tolist()
    if not rows:
        return []
    return [Problem(f"{column.name} is missing at {some_rows(rows)}", where, f"give {column.bounds}, or drop the row")]


def _as_text(array: Any) -> pd.Series:
    """Text without blanks around it; what is empty is missing; whole numbers as a CSV has them (3, not 3.0)."""
    if pa.types.is_floating(array.type):
        cells = [v if v is None or not v.is_integer() else int(v) for v in array.to_pylist()]
        array = pa.chunked_array([[None if v is None or v != v else str(v) for v in cells]], pa.string())
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text).to_pandas()
