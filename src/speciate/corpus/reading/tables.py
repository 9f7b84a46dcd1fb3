"""Rows of .parquet and .arrow files (those that ``datasets`` saves) as documents and bad records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speciate.corpus.reading.documents import EMPTY, LONGEST, SHOWN, Bad, Document, Piece
from speciate.corpus.reading.parse import Unreadable, string
from speciate.corpus.reading.unpack import Damaged
from speciate.errors import Problem, UserError

BATCH_BYTES = 8e6  # of a row group that are held as rows at a time
OURS = ("id", "text", "source", "meta")  # columns of a table that a step wrote; all others are what it adds


def table_records(piece: Piece, field: str, with_meta: bool) -> Iterator[Document | Bad]:
    """The documents of a table, or of the row groups ``first`` to before ``last`` of a .parquet file.

    Raises ``Damaged`` if the table cannot be opened, ``UserError`` if it has no column ``field``. Of a row group that
    cannot be read the rows not yet given are lost, and said to be by one ``Bad``.
    """
    if not piece.file.lower().endswith(".parquet"):
        yield from _rows(piece, _arrow_batches(piece, field, with_meta), 0, field)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(piece.file)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(piece, error) from error
    with file:
        columns = _columns(file.schema_arrow.names, piece, field, with_meta)
        meta = file.metadata
        groups = [meta.row_group(group) for group in range(meta.num_row_groups)]
        first, last = piece.first or 0, len(groups) if piece.last is None else piece.last
        row = sum(group.num_rows for group in groups[:first])
        for number in range(first, last):
            each = groups[number].total_byte_size / max(groups[number].num_rows, 1)
            rows = max(1, min(1024, int(BATCH_BYTES / max(each, 1))))
            batches = file.iter_batches(rows, row_groups=[number], columns=columns)
            try:
                yield from _rows(piece, batches, row, field)
            except (pa.ArrowException, OSError) as error:
                where, lost = f"{piece.file} row group {number}", groups[number].total_byte_size
                index, detail = f"{piece.source}:group {number}", f"truncated or damaged ({error})"
                yield Bad(index, piece.source, where, "damaged file", detail, size=lost)
            row += groups[number].num_rows


def group_bytes(name: str) -> list[int]:
    """Bytes on disk of each row group of a .parquet file; of one that cannot be opened, those of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(name) as file:
            meta = file.metadata
            groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
            return [sum(g.column(c).total_compressed_size for c in range(g.num_columns)) for g in groups]
    except (pa.ArrowException, OSError):
        return [Path(name).stat().st_size]  # reading it says what is wrong


def _arrow_batches(piece: Piece, field: str, with_meta: bool) -> Iterator[Any]:
    """Record batches of an Arrow file or stream, mapped into memory: only what is looked at is read."""
    import pyarrow as pa

    try:
        with pa.memory_map(piece.file) as file:
            if file.read(6) == b"ARROW1":
                reader = pa.ipc.open_file(file)
                batches: Iterator[Any] = map(reader.get_batch, range(reader.num_record_batches))
            else:
                file.seek(0)
                batches = iter(reader := pa.ipc.open_stream(file))
            columns = _columns(reader.schema.names, piece, field, with_meta)
            for batch in batches:
                chosen = batch.select(columns)
                _check_offsets(chosen)
                rows = max(1, int(BATCH_BYTES / max(chosen.nbytes / max(len(chosen), 1), 1)))
                yield from (chosen.slice(start, rows) for start in range(0, len(chosen), rows))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(piece, error) from error


def _check_offsets(batch: Any) -> None:
    """Raise ``ArrowInvalid`` where values of a damaged file would be read outside of it: it has no check sums."""
    import pyarrow as pa

    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:  # also for strings that are not UTF-8, which are single bad rows
            if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
                raise
            column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()).validate(full=True)


def _columns(names: list[str], piece: Piece, field: str, with_meta: bool) -> list[str]:
    if field not in names:
        what = f"no column '{field}' (found {', '.join(map(repr, names))})"
        raise UserError(Problem(what, piece.file, f"name the column of strings '{field}', or say which it is"))
    return names if with_meta or piece.kept else [field]


def _rows(piece: Piece, batches: Iterator[Any], row: int, field: str) -> Iterator[Document | Bad]:
    """The rows of record batches, of which the first is number ``row`` of the file."""
    for batch in batches:
        texts = _values(batch.column(batch.schema.get_field_index(field)))
        others = [name for name in batch.schema.names if name != field]
        columns = [_values(batch.column(batch.schema.get_field_index(name))) for name in others]
        fields: Iterator[tuple[Any, ...]] = zip(*columns, strict=True) if columns else iter([()] * len(texts))
        for text, values in zip(texts, fields, strict=True):
            yield _row(piece, row, text, dict(zip(others, values, strict=True)), field)
            row += 1


def _row(piece: Piece, row: int, value: Any, meta: dict[str, Any], field: str) -> Document | Bad:
    index, source = f"{piece.source}:{row}", piece.source
    if piece.kept:
        index, source, told = meta.pop("id"), meta.pop("source"), meta.pop("meta")
        added = {name: value for name, value in meta.items() if value is not None}
        meta = (json.loads(told) if told else {}) | added
    try:
        if isinstance(value, bytes):
            at = _first_bad_byte(value)
            raise Unreadable("not UTF-8", f"not UTF-8: byte 0x{value[at]:02x} at offset {at}")
        text = string(value, field)
        if len(text) > LONGEST:
            raise Unreadable("too long", f"a text of {len(text):,} characters; at most {LONGEST:,} are read")
        if not text.strip():
            raise Unreadable(EMPTY, "no text")
    except Unreadable as why:
        shown = value[:SHOWN] if isinstance(value, str) else "" if value is None else str(value)[:SHOWN]
        size = len(value) if isinstance(value, str | bytes) else 0
        return Bad(index, source, f"{piece.file} row {row}", why.reason, why.detail, _safe(shown), size)
    return Document(index, text, source, meta or None)


def _values(column: Any) -> list[Any]:
    """A column as Python values; strings that are not UTF-8 stay bytes."""
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        wide = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return [_text(value) for value in column.cast(wide).to_pylist()]


def _text(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _first_bad_byte(value: bytes) -> int:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0  # a column of bytes


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _damaged(piece: Piece, error: Exception) -> Damaged:
    return Damaged(error, Path(piece.file).stat().st_size)
