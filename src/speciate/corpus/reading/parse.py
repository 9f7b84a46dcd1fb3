"""The one parser of each kind of file: a stretch of it -> documents and bad records, streaming.

Memory is that of one document (a line of .jsonl, up to 1 MiB of plain text, a few MB of a table), whatever the size
of the file; a line beyond ``LONGEST`` is skipped without holding it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speciate.corpus.reading.documents import EMPTY, LONGEST, SHOWN, Bad, Document, Piece
from speciate.corpus.reading.files import LINES, PLAIN, READABLE, TABLES
from speciate.corpus.reading.unpack import Damaged, utf8_chunks
from speciate.errors import Problem, UserError

PLAIN_BYTES = 1 << 20  # plain text is cut at the last line end before every multiple of this


class Unreadable(Exception):
    """Why one record gives no document: a key of ``FIXES`` and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def records(
    piece: Piece, text_field: str = "text", with_meta: bool = True, plain_bytes: int = PLAIN_BYTES
) -> Iterator[Document | Bad]:
    """The documents of a stretch of a file, and in their places the records that give none.

    A blank line of .jsonl is no record. Whatever a file holds ends in a ``Bad``; ``UserError`` is raised for a file of
    unknown kind, a table without the column of text, and what the machine refuses to read.
    """
    name = piece.file.lower()
    try:
        if piece.shard is not None:
            from speciate.corpus.reading.hub import hub_records

            yield from hub_records(piece, text_field, with_meta)
        elif name.endswith(LINES):
            yield from _json_lines(piece, text_field, with_meta)
        elif name.endswith(TABLES):
            from speciate.corpus.reading.tables import table_records

            yield from table_records(piece, text_field, with_meta)
        elif name.endswith(PLAIN):
            yield from _plain(piece, plain_bytes)
        else:
            what = f"a file of unknown kind, {Path(piece.file).suffix or 'without a suffix'}"
            raise UserError(Problem(what, piece.file, f"give one of {', '.join(READABLE)}"))
    except Damaged as error:
        yield Bad(f"{piece.source}:end", piece.source, piece.file, "damaged file", str(error), size=error.lost)
    except OSError as error:
        raise UserError(Problem(f"cannot be read: {error}", piece.file, "check the file and its rights")) from error


def cut_plain(data: bytes, end: int) -> int:
    """Where plain text is cut within its first ``end`` bytes: after a line end, else before an unfinished character.

    >>> cut_plain(b"one\\ntwo\\n", 6), cut_plain("né".encode(), 2)
    (4, 1)
    """
    if line_end := data.rfind(b"\n", 0, end) + 1:
        return line_end
    for back in range(1, min(4, end) + 1):
        if data[end - back] & 0xC0 != 0x80:  # not a continuation byte
            return end - back if data[end - back] >= 0xC0 else end
    return end


def _plain(piece: Piece, longest: int) -> Iterator[Document | Bad]:
    """Plain text, cut by ``cut_plain`` before every multiple of ``longest``: cuts do not depend on where one begins."""
    rest, offset = b"", piece.first or 0
    target = (-(-offset // longest) + 1) * longest
    for chunk in utf8_chunks(Path(piece.file), offset):
        rest += chunk
        while offset + len(rest) >= target:
            cut = cut_plain(rest, target - offset)
            if cut:
                yield _plain_document(piece, rest[:cut], offset)
            rest, offset, target = rest[cut:], offset + cut, target + longest
            if piece.last is not None and offset >= piece.last:
                return
    if rest or offset == 0:  # of a file with nothing but a mark of its byte order: empty
        yield _plain_document(piece, rest, offset)


def _plain_document(piece: Piece, data: bytes, offset: int) -> Document | Bad:
    index = f"{piece.source}:{offset}"
    try:
        text = _decode(data, offset)
    except Unreadable as why:
        return Bad(index, piece.source, piece.file, why.reason, why.detail, _shown(data), len(data))
    if not text.strip():
        return Bad(index, piece.source, piece.file, EMPTY, "no text", _shown(data), len(data))
    return Document(index, text, piece.source)


def _json_lines(piece: Piece, field: str, with_meta: bool) -> Iterator[Document | Bad]:
    offset = piece.first or 0
    for number, (line, size) in enumerate(_lines(utf8_chunks(Path(piece.file), offset)), 1):
        record = _json_record(piece, line, size, offset, number, field, with_meta)
        if record is not None:
            yield record
        offset += size
        if piece.last is not None and offset >= piece.last:
            return


def _json_record(
    piece: Piece, line: bytes, size: int, offset: int, number: int, field: str, with_meta: bool
) -> Document | Bad | None:
    """One line; ``size`` is what it takes, of which ``line`` may be the beginning only. None: a blank line."""
    index = f"{piece.source}:{offset}"
    try:
        if size > LONGEST:
            raise Unreadable("too long", f"a line of {size:,} bytes; at most {LONGEST:,} are read")
        row = _object(_decode(line, offset), field)
        if row is None:
            return None
        text = string(row.pop(field), field)
        if not text.strip():
            raise Unreadable(EMPTY, "no text")
    except Unreadable as why:
        where = f"{piece.file} line {number}" if not piece.first else f"{piece.file} at byte {offset}"
        return Bad(index, piece.source, where, why.reason, why.detail, _shown(line), size)
    return Document(index, text, piece.source, row if row and with_meta else None)


def _decode(data: bytes, offset: int) -> str:
    try:
        return data.decode("utf-8-sig" if offset == 0 else "utf-8")
    except UnicodeDecodeError as error:
        shift = 3 if offset == 0 and data.startswith(b"\xef\xbb\xbf") else 0
        at = offset + error.start + shift
        detail = f"not UTF-8: byte 0x{error.object[error.start]:02x} at offset {at}"
        raise Unreadable("not UTF-8", detail) from error


_DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN in a field that is passed on is missing


def _object(line: str, field: str) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        row = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON", f"not JSON ({error})") from error
    if not isinstance(row, dict) or field not in row:
        keys = ", ".join(map(repr, row)) or "nothing" if isinstance(row, dict) else type(row).__name__
        raise Unreadable("no text field", f"no field '{field}' (found {keys})")
    return row


def string(value: Any, field: str) -> str:
    """The text of a record, or why it has none."""
    if not isinstance(value, str):
        raise Unreadable("text is no string", f"'{field}' is {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        detail = f"'{field}' holds half a surrogate pair at character {error.start}"
        raise Unreadable("half a surrogate pair", detail) from error
    return value


def _lines(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """(line with its end, its bytes); of a line beyond ``LONGEST`` the beginning and all its bytes."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for line in whole:
            held.append(line + b"\n")
            yield b"".join(held), size + len(line) + 1
            held, size = [], 0
        size += len(last)
        if size <= LONGEST:
            held.append(last)
        elif held:
            held = [b"".join(held)[: 4 * SHOWN]]
    if size:
        yield b"".join(held), size


def _shown(data: bytes) -> str:
    return data[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]
