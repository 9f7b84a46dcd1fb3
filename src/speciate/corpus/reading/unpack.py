"""The bytes of a file as UTF-8 text, decompressed, in chunks."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 18  # bytes read at a time
MARKS = {  # byte order marks; the longer first, as one begins with another
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Damaged(Exception):
    """An archive or a table ends too early, or holds what no writer writes. ``lost``: bytes of it not read."""

    def __init__(self, why: object, lost: int) -> None:
        super().__init__(f"truncated or damaged ({why})")
        self.lost = lost


def is_compressed(name: str) -> bool:
    """Whether a file has to be read from its beginning."""
    return name.lower().endswith((".gz", ".zst"))


def wide_encoding(head: bytes) -> str | None:
    """ "utf-16" or "utf-32" if a byte order mark says so, else None."""
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), None)


def utf8_chunks(path: Path, first: int = 0) -> Iterator[bytes]:
    """The uncompressed bytes from ``first`` on (plain files only); UTF-16 and UTF-32 with a mark become UTF-8.

    Raises ``Damaged`` after the last good chunk of a truncated or damaged archive.
    """
    chunks = _chunks(path, first)
    head = next(chunks, b"")
    encoding = wide_encoding(head[:4]) if first == 0 else None
    if encoding is None:
        yield head
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        yield decoder.decode(head).encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise Damaged(error, path.stat().st_size) from error


def _chunks(path: Path, first: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        if path.name.lower().endswith(".zst"):
            yield from _zstd_chunks(file)
            return
        if not path.name.lower().endswith(".gz"):
            file.seek(first)
            while chunk := file.read(CHUNK):
                yield chunk
            return
        try:
            with gzip.open(file) as unpacked:
                while chunk := unpacked.read1(CHUNK):  # not read, which drops what it has when the archive ends early
                    yield chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Damaged(error, path.stat().st_size - file.tell()) from error


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame, because the library's reader takes a truncated frame for the end of the file."""
    import zstandard

    def begin() -> Any:
        return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()  # what zstd --long=31 writes

    def lost() -> int:
        return os.fstat(file.fileno()).st_size - file.tell()

    frame, started = begin(), False
    while data := file.read(1024):  # a little, because it may stand for a thousand times as much text
        while data:
            started = True
            try:
                yield frame.decompress(data)
            except zstandard.ZstdError as error:
                raise Damaged(error, lost()) from error
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame, started = begin(), False
    if started:
        raise Damaged("the last frame is not complete", lost())
