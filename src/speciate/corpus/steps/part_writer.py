"""What a step leaves of one part: tables of kept and rejected documents and of bad records, whole or absent."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from speciate.corpus.reading.documents import Bad, Document
from speciate.corpus.steps.parts import Part

BUFFERED = 8e6  # bytes of text that are held for a row group
_DOCUMENT = {"id": "string", "text": "string", "source": "string", "meta": "string"}
_REASON = {"reason": "string", "detail": "string"}
_BAD = {"id": "string", "source": "string", "where": "string", **_REASON, "text": "string", "size": "int64"}


class PartWriter:
    """Writes the outputs of a part into the folder of its step; they appear when the ``with`` block ends well.

    ``added`` are the columns that the step adds to documents and their pyarrow types, as {"score": "double"}. A table
    of no rows is not written.
    """

    def __init__(self, folder: Path, part: Part, added: Mapping[str, str] | None = None) -> None:
        self._added = dict(added or {})
        taken = sorted(self._added.keys() & {*_DOCUMENT, *_REASON})
        assert not taken, f"columns of every table: {taken}"
        self._kept = _Table(folder / "kept" / f"{part.name}.parquet", _DOCUMENT | self._added)
        self._rejected = _Table(folder / "rejected" / f"{part.name}.parquet", _DOCUMENT | self._added | _REASON)
        self.bad = BadRecords(_Table(folder / "bad" / f"{part.name}.parquet", _BAD))
        self._tables = (self._kept, self._rejected, self.bad.table)
        self._reasons: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def keep(self, document: Document, **added: Any) -> None:
        """Keep a document; a column of ``added`` that is not given is null."""
        size = self._add(self._kept, document, added)
        self._counts["kept"] += 1
        self._counts["bytes_out"] += size

    def reject(self, document: Document, reason: str, detail: str, with_text: bool = True, **added: Any) -> None:
        """Put a document aside: the short name of the rule, and a sentence. Without text only its id and source."""
        self._add(self._rejected, document, added | {"reason": reason, "detail": detail}, with_text)
        self._reasons[reason] += 1

    def counts(self, **own: Any) -> dict[str, Any]:
        """What ``run_parts`` notes of this part, with the step's own counts added."""
        numbers = {name: self._counts[name] for name in ("documents", "kept", "bytes_in", "bytes_out")}
        rejected, bad = dict(sorted(self._reasons.items())), dict(sorted(self.bad.reasons.items()))
        return {**numbers, "rejected": rejected, "bad": bad, "bytes_bad": self.bad.lost_bytes, **own}

    def _add(self, table: _Table, document: Document, added: Mapping[str, Any], with_text: bool = True) -> int:
        size = len(document.text.encode())
        meta = meta_json(document.meta) if document.meta and with_text else None
        row = {"id": document.id, "text": document.text if with_text else None, "source": document.source, "meta": meta}
        table.add(row | dict(added), size * with_text + (len(meta) if meta else 0) + 100)
        self._counts["documents"] += 1
        self._counts["bytes_in"] += size
        return size

    def __enter__(self) -> Self:
        for table in self._tables:
            table.path.unlink(missing_ok=True)  # of an attempt before, whose note is missing
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                for table in self._tables:
                    table.finish()
        finally:
            for table in self._tables:
                table.abandon()


class BadRecords:
    """Where ``read_part`` puts bad records: counted, and kept aside in a table."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.reasons: Counter[str] = Counter()
        self.lost_bytes = 0

    def append(self, bad: Bad) -> None:
        """Take one."""
        self.reasons[bad.reason] += 1
        self.lost_bytes += 0 if bad.reason == "empty" else bad.size
        row = {name: getattr(bad, name) for name in _BAD}
        for name in ("where", "detail"):  # names of files need not be UTF-8
            row[name] = row[name].encode("utf-8", "backslashreplace").decode()
        self.table.add(row, len(bad.text) + 200)


class _Table:
    """A parquet file, written by row groups under a temporary name."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path = path
        self._columns = dict(columns)
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._writer: Any = None

    def add(self, row: dict[str, Any], size: int) -> None:
        unknown = row.keys() - self._columns.keys()
        assert not unknown, f"not declared as added: {sorted(unknown)}"
        self._rows.append(row)
        self._bytes += size
        if self._bytes >= BUFFERED:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in self._columns.items()])
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._temporary, schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=schema))
        self._rows, self._bytes = [], 0

    def finish(self) -> None:
        if self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._temporary.replace(self.path)

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._temporary.unlink(missing_ok=True)


def meta_json(meta: Mapping[str, Any]) -> str:
    """The other fields of a document as JSON: not-a-number is null, dates and the like are their text.

    >>> meta_json({"a": float("nan"), "b": [1, 2]})
    '{"a": null, "b": [1, 2]}'
    """
    try:
        text = json.dumps(meta, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(_plain(meta), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape and a table cannot hold
        return json.dumps(meta, allow_nan=False)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
