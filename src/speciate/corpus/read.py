"""Documents from a user's files: a folder, .txt (or other plain text), .jsonl(.gz|.zst) or .parquet.

Everything streams: memory is that of one document (a line of .jsonl, up to 1 MiB of plain text, 256 rows of
.parquet), whatever the size of the file.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError

PLAIN = (".txt", ".md", ".rst", ".tex", ".py", ".c", ".h", ".cpp", ".hpp", ".java", ".js", ".ts", ".go", ".rs")
LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
READABLE = (*PLAIN, *LINES, ".parquet")
_CHUNK = 1 << 20  # bytes read at a time
_MOST = 20  # problems named per file


@dataclass(frozen=True)
class Document:
    """One text and the file it stands in, relative to the folder that was given (or the file's own name)."""

    text: str
    source: str


def list_files(path: Path) -> dict[str, Path]:
    """The files that ``read_documents`` reads: relative name -> path, sorted by name.

    A folder is read recursively; hidden files, empty files and other kinds of file are passed over.
    Raises ``UserError`` if there is nothing to read.
    """
    if not path.exists():
        raise UserError(Problem("no such file or folder", str(path), "check the path"))
    if path.is_file():
        return {path.name: path}
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if name.lower().endswith(READABLE) and not name.startswith(".") and _size(file):
                name = os.fsencode(file.relative_to(path).as_posix()).decode("utf-8", "backslashreplace")
                found[name] = file
    if not found:
        raise UserError(Problem("nothing to read", str(path), f"put text in it, as {', '.join(READABLE)}"))
    return dict(sorted(found.items()))


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a file or folder in the order of file names; blank documents are left out.

    A faulty file is skipped, and all faults are raised together as ``UserError`` after the last document.
    """
    problems: list[Problem] = []
    for name, file in list_files(path).items():
        try:
            for text in read_file(file):
                yield Document(text, name)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)


def read_file(path: Path, longest: int = 1 << 20) -> Iterator[str]:
    """The documents of one file; plain text is cut at a line end after ``longest`` bytes.

    Raises ``UserError`` at the end with everything that is wrong in the file, or if it is empty.
    """
    name, some = path.name.lower(), False
    if name.endswith(LINES):
        documents = _json_lines(path)
    elif name.endswith(".parquet"):
        documents = _parquet(path)
    elif name.endswith(PLAIN):
        documents = _plain(path, longest)
    else:
        what = f"a file of unknown kind, {path.suffix or 'without a suffix'}"
        raise UserError(Problem(what, str(path), f"give one of {', '.join(READABLE)}"))
    try:
        for text in documents:
            if text.strip():
                some = True
                yield text
    except OSError as error:
        raise UserError(Problem(f"cannot be read: {error}", str(path), "check the file and its rights")) from error
    if not some:
        raise UserError(Problem("empty: there is no text in it", str(path), "add text, or leave the file out"))


def _plain(path: Path, longest: int) -> Iterator[str]:
    rest, offset = b"", 0
    with path.open("rb") as file:
        while chunk := file.read(longest):
            rest += chunk
            if len(chunk) == longest:
                cut = rest.rfind(b"\n") + 1 or _last_character(rest)
                yield _decode(rest[:cut], path, offset)
                rest, offset = rest[cut:], offset + cut
    if rest:
        yield _decode(rest, path, offset)


def _last_character(data: bytes) -> int:
    """Where the last character of several bytes begins if the data may end within it, else its length."""
    for back in range(1, 5):
        if data[-back] & 0xC0 != 0x80:  # not a continuation byte
            return len(data) - back if data[-back] >= 0xC0 else len(data)
    return len(data)


def _decode(data: bytes, path: Path, offset: int) -> str:
    try:
        return data.decode("utf-8-sig" if offset == 0 else "utf-8")
    except UnicodeDecodeError as error:
        shift = 3 if offset == 0 and data.startswith(b"\xef\xbb\xbf") else 0
        at = offset + error.start + shift
        what = f"not UTF-8: byte 0x{error.object[error.start]:02x} at offset {at}"
        raise UserError(Problem(what, str(path), "convert it to UTF-8 (iconv -f latin1 -t utf-8)")) from error


def _json_lines(path: Path) -> Iterator[str]:
    problems: list[Problem] = []
    offset = 0
    for number, line in enumerate(_lines(path), 1):
        if len(problems) >= _MOST:
            break
        where = f"{path} line {number}"
        try:
            text = _text_field(_decode(line, path, offset), where)
        except UserError as error:
            problems += error.problems
        else:
            if text is not None:
                yield text
        offset += len(line)
    if problems:
        raise UserError(problems)


def _text_field(line: str, where: str) -> str | None:
    if not line.strip():
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(Problem(f"not JSON ({error})", where, 'write one object {"text": ...} per line')) from error
    if not isinstance(row, dict) or "text" not in row:
        keys = ", ".join(map(repr, row)) or "nothing" if isinstance(row, dict) else type(row).__name__
        raise UserError(Problem(f"no field 'text' (found {keys})", where, 'write one object {"text": ...} per line'))
    return _string(row["text"], where)


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(Problem(f"'text' is {type(value).__name__}", where, "give the text as a string"))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        what = f"'text' holds half a surrogate pair at character {error.start}"
        raise UserError(Problem(what, where, "mend the escape \\u sequences")) from error
    return value


def _lines(path: Path) -> Iterator[bytes]:
    rest: list[bytes] = []
    for chunk in _chunks(path):
        *whole, last = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*rest, line, b"\n"])
            rest = []
        rest.append(last)
    if any(rest):
        yield b"".join(rest)


def _chunks(path: Path) -> Iterator[bytes]:
    """The uncompressed bytes of a file; a truncated or damaged archive is a ``UserError``."""
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        elif path.name.lower().endswith(".zst"):
            yield from _zstd_chunks(path)
        else:
            with path.open("rb") as plain:
                while chunk := plain.read(_CHUNK):
                    yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(path, error) from error


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    """Frame by frame, because the library's reader takes a truncated frame for the end of the file."""
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    started = False
    with path.open("rb") as file:
        while data := file.read(1024):  # a little, because it may stand for a thousand times as much text
            while data:
                started = True
                try:
                    yield frame.decompress(data)
                except zstandard.ZstdError as error:
                    raise _broken(path, error) from error
                data = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, started = zstandard.ZstdDecompressor().decompressobj(), False
    if started:
        raise _broken(path, "the last frame is not complete")


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow.parquet

    if not path.stat().st_size:
        return
    problems: list[Problem] = []
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if "text" not in columns:
                what = f"no column 'text' (found {', '.join(map(repr, columns))})"
                raise UserError(Problem(what, str(path), "name the column of strings 'text'"))
            values = (v for batch in file.iter_batches(256, columns=["text"]) for v in batch.column(0).to_pylist())
            for row, value in enumerate(values):
                try:
                    yield _string(value, f"{path} row {row}")
                except UserError as error:
                    problems += error.problems
                if len(problems) >= _MOST:
                    break
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _broken(path, error) from error
    if problems:
        raise UserError(problems)


def _broken(path: Path, why: object) -> UserError:
    return UserError(Problem(f"truncated or damaged ({why})", str(path), "fetch or write the file again"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a dangling link
        return 0
