"""What reading gives: documents, records that hold none, and the stretches of files that they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 1 << 26  # bytes of one line or table cell (64 MiB); a longer one is skipped without holding it
SHOWN = 1_000  # characters of a bad record that are kept aside
EMPTY = "empty"

# Reason of a bad record -> what a user does about it. An empty document is no fault: it is only counted.
FIXES: Mapping[str, str] = {
    "not UTF-8": "convert it to UTF-8 (iconv -f latin1 -t utf-8)",
    "not JSON": 'write one object {"text": ...} per line',
    "no text field": 'write one object {"text": ...} per line, or name the field of the text',
    "text is no string": "give the text as a string",
    "half a surrogate pair": "mend the escape \\u sequences",
    "too long": f"cut it into documents below {LONGEST >> 20} MiB",
    "damaged file": "fetch or write the file again",
    EMPTY: "leave it out",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One text. ``id`` is "<source>:<index>", the same whenever and wherever it is read.

    The index is the byte of the (uncompressed) file that it begins at, or its row in a table. ``source`` is its file,
    relative to the folder that was given (or the file's own name); ``meta`` holds the other fields of its record.
    """

    id: str
    text: str
    source: str
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that gives no document: a key of ``FIXES`` and a sentence on why, and where it stands.

    ``text`` is what it says, cut to 1,000 characters; ``size`` is the bytes of input that are lost with it.
    """

    id: str
    source: str
    where: str
    reason: str
    detail: str
    text: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or a stretch of one: bytes of text or row groups of a table, from ``first`` to before ``last``.

    ``size`` and ``mtime_ns`` are the file's when it was listed: a file that changes meanwhile is noticed. ``weight``
    is the bytes on disk of this stretch. ``kept`` marks a table that a step of ours wrote; ``shard`` of a hub's data
    set is (number, of how many).
    """

    file: str
    source: str
    first: int | None = None
    last: int | None = None
    size: int = 0
    mtime_ns: int = 0
    weight: int = 0
    kept: bool = False
    shard: tuple[int, int] | None = None
