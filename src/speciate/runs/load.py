"""Tables as they lie on disk or in memory, brought into Arrow columns without judging their values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from speciate.errors import Problem, UserError

MISSING = ("na", "n/a", "null", "none")  # in a column of numbers, whatever the case
Columns = tuple[list[str], list[Any]]  # names as found (may repeat), and one pyarrow ChunkedArray each


def load(source: str | Path | pd.DataFrame) -> Columns:
    """The columns of a CSV or Parquet file (told apart by content), or of a DataFrame.

    Raises UserError: no such file, a folder, unreadable, empty, not UTF-8 (with the byte), rows of unequal length.
    """
    if isinstance(source, pd.DataFrame):
        return [str(name) for name in source.columns], [from_series(source.iloc[:, i]) for i in range(source.shape[1])]
    path = Path(source)
    if path.is_dir():
        raise UserError(Problem("is a folder", str(path), "name a .csv or .parquet file"))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(Problem("no such file", str(path), "check the path")) from None
    except (OSError, ValueError) as error:
        raise UserError(Problem(f"cannot be read ({error})", str(path), "check the path and its rights")) from None
    if data.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq"):
        return _from_parquet(data, str(path))
    return _from_csv(data, str(path))


def _from_parquet(data: bytes, where: str) -> Columns:
    try:
        table = pa.parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "write it again; it may be truncated, or no Parquet at all"
        raise UserError(Problem(f"is no readable Parquet file ({reason})", where, fix)) from None
    return list(table.column_names), list(table.columns)


def _from_csv(data: bytes, where: str) -> Columns:
    """Every cell as text, so that what is wrong with it can be said. RFC 4180 quoting, UTF-8 with or without BOM."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise UserError(Problem("is empty", where, "give a header line and at least one row"))
    if data.lstrip()[:1] in (b"{", b"["):
        fix = "give a .csv or .parquet file (a fit that was saved goes to speciate predict)"
        raise UserError(Problem("is JSON and no table", where, fix))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start}: 0x{data[error.start]:02x})"
        raise UserError(Problem(what, where, "save it as UTF-8")) from None

    odd: list[Any] = []

    def keep(row: Any) -> str:
        odd.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data + b"\n"),
            # one thread, or the rows that are too long or too short have no numbers; a row must fit into a block
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=min(len(data) + 2, 1 << 26)),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(_header(data, where), pa.string())),
        )
    except pa.ArrowException as error:
        raise UserError(Problem(f"is no readable CSV ({error})", where, "check its quotes and commas")) from None
    if odd:
        what = f"{odd[0].actual_columns} cells at {some_rows([row.number - 2 for row in odd])}"
        fix = f"give every row the header's {odd[0].expected_columns}; put quotes around cells that hold commas"
        raise UserError(Problem(what, where, fix))
    return list(table.column_names), list(table.columns)


def _header(data: bytes, where: str) -> list[str]:
    try:
        with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="") as text:
            return next(row for row in csv.reader(text) if row)
    except (csv.Error, StopIteration) as error:
        raise UserError(Problem(f"has no readable header ({error})", where, "start with the column names")) from None


def from_series(series: pd.Series) -> Any:
    """A DataFrame's column as a pyarrow ChunkedArray, NaN and None as null; mixed cells as a CSV would have them."""
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        cells = [None if cell is None or cell is pd.NA or cell != cell else str(cell) for cell in series]
        array = pa.array(cells, pa.string())
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def some_rows(rows: Sequence[int]) -> str:
    """Row indices (from 0) as a person counts them: from 1, the header not counted, the first three and how many more.

    >>> some_rows([0]), some_rows([0, 4]), some_rows(range(1000))
    ('row 1', 'rows 1 and 5', 'rows 1, 2, 3 and 997 more')
    """
    first = [str(int(row) + 1) for row in rows[:3]]
    if len(rows) > 3:
        return f"rows {', '.join(first)} and {len(rows) - 3:,} more"
    return f"row {first[0]}" if len(first) == 1 else f"rows {', '.join(first[:-1])} and {first[-1]}"


def parse_numbers(text: Any) -> Any:
    """Arrow text to float64: null where missing, NaN where no number. The fast way first, cell by cell if it fails."""
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        return pa.chunked_array([[parse_number(cell) for cell in text.to_pylist()]], pa.float64())


def parse_number(cell: str | None) -> float | None:
    """A cell as a number: None where it is missing, NaN where it is none.

    >>> parse_number("1e9"), parse_number("n/a"), parse_number("many")
    (1000000000.0, None, nan)
    """
    if cell is None or cell.lower() in MISSING:
        return None
    try:
        return float("nan" if "_" in cell else cell)  # Python would read 1_000
    except ValueError:
        return math.nan
