"""Text of any kind -> parts that one process reads at a time, the same whenever and wherever they are cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from speciate.corpus.reading.documents import Bad, Document, Piece
from speciate.corpus.reading.files import PLAIN, survey
from speciate.corpus.reading.hub import PREFIX, hub_pieces
from speciate.corpus.reading.parse import PLAIN_BYTES, cut_plain, records
from speciate.corpus.reading.tables import group_bytes
from speciate.corpus.reading.unpack import CHUNK, is_compressed, wide_encoding
from speciate.errors import Problem, UserError
from speciate.storage import digest

PART_BYTES = 16e6
OPENING = 4_096  # bytes of text that are read in the time that opening a file takes
UNPACKED = 3  # bytes of text per byte of a compressed file or a table, roughly: what parts are balanced by


class Sink(Protocol):
    """Where bad records go: a list, or what writes them."""

    def append(self, bad: Bad, /) -> None:
        """Take one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one file, or several small files: what one process reads, and what its outputs are named by.

    ``name`` is "<number of the first file>-<number of the stretch in it>"; names sort as parts do.
    """

    number: int
    name: str
    pieces: tuple[Piece, ...]
    text_field: str = "text"

    @property
    def weight(self) -> int:
        """Bytes on disk."""
        return sum(piece.weight for piece in self.pieces)


def cut(
    inputs: str | Path | Sequence[str | Path], part_bytes: float = PART_BYTES, text_field: str = "text"
) -> list[Part]:
    """The parts of files, folders, "hf:NAME[@CONFIG][:SPLIT]", in the order of the inputs and of names of files.

    A folder that a step of ours left stands for the text it kept. Tables are cut between row groups, .jsonl and plain
    text at line ends, compressed files not at all; files are put together up to about ``part_bytes`` of text. Raises
    ``UserError`` with all that is wrong.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    problems: list[Problem] = []
    pieces: list[list[Piece]] = []
    if not given:
        problems.append(Problem("no input", "the text", "give at least one file or folder"))
    for item, name in zip(given, _names(given, problems), strict=True):
        try:
            if str(item).startswith(PREFIX) and not Path(item).exists():
                pieces += [[piece] for piece in hub_pieces(str(item))]
            else:
                pieces += _pieces(Path(item), name if len(given) > 1 else "", part_bytes)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return _parts(pieces, part_bytes, text_field)


def read_part(part: Part, bad: Sink | None = None) -> Iterator[Document]:
    """The documents of a part, streaming; records that give none go to ``bad``, blank ones with reason "empty".

    Raises ``UserError`` for a table without the column of text, and for a file that changed since it was cut.
    """
    for piece in part.pieces:
        _check_unchanged(piece)
        for record in records(piece, part.text_field):
            if isinstance(record, Document):
                yield record
            elif bad is not None:
                bad.append(record)


def describe(parts: Sequence[Part]) -> dict[str, Any]:
    """What the input of a step is, for its request: how much, and a digest of names, sizes, times and cuts."""
    pieces = [piece for part in parts for piece in part.pieces]
    told = [[p.source, p.first, p.last, p.size, p.mtime_ns, p.shard] for p in pieces]
    names = [part.name for part in parts]
    field = sorted({part.text_field for part in parts})
    return {
        "files": len({piece.source if piece.shard is None else piece.file for piece in pieces}),
        "bytes": sum(piece.weight for piece in pieces),
        "digest": digest([names, field, told]),
    }


def _names(given: Sequence[str | Path], problems: list[Problem]) -> list[str]:
    """A name for each of several inputs, which the names of its files begin with."""
    names = [str(item) if str(item).startswith(PREFIX) else Path(item).resolve().name for item in given]
    for name in sorted({name for name in names if names.count(name) > 1}):
        fix = "give each once, and folders of different names"
        problems.append(Problem(f"{names.count(name)} inputs are named {name}", "the text", fix))
    return names


def _pieces(path: Path, prefix: str, part_bytes: float) -> list[list[Piece]]:
    """The pieces of each file."""
    listing = survey(path)
    folder = f"{prefix}/" if prefix and path.is_dir() else ""
    pieces = []
    for name, (file, size, mtime_ns) in listing.files.items():
        whole = Piece(file, folder + name, size=size, mtime_ns=mtime_ns, weight=size, kept=listing.kept)
        try:
            pieces.append(_cut_file(whole, part_bytes))
        except OSError as error:
            raise UserError(Problem(f"cannot be read: {error.strerror}", file, "check its rights")) from error
    return pieces


def _cut_file(whole: Piece, part_bytes: float) -> list[Piece]:
    if whole.file.lower().endswith(".parquet"):
        return _stretches(whole, *_cut_groups(group_bytes(whole.file), part_bytes / UNPACKED))
    if _estimate(whole) <= 1.5 * part_bytes or is_compressed(whole.file) or whole.file.lower().endswith(".arrow"):
        return [whole]
    cuts = _cut_plain_file if whole.file.lower().endswith(PLAIN) else _cut_lines
    at = cuts(whole.file, whole.size, part_bytes)
    return _stretches(whole, at, [last - first for first, last in zip(at, at[1:], strict=False)])


def _stretches(whole: Piece, at: Sequence[int], weights: Sequence[int]) -> list[Piece]:
    if len(at) <= 2:
        return [whole]
    return [
        Piece(whole.file, whole.source, first, last, whole.size, whole.mtime_ns, weight, whole.kept)
        for first, last, weight in zip(at, at[1:], weights, strict=False)
    ]


def _cut_groups(sizes: Sequence[int], each: float) -> tuple[list[int], list[int]]:
    """Numbers of row groups to cut before, the first and the end included, and the bytes between."""
    at, weights = [0], [0]
    for number, size in enumerate(sizes):
        if weights[-1] and weights[-1] + size > each:
            at.append(number)
            weights.append(0)
        weights[-1] += size
    return [*at, len(sizes)], weights


def _cut_lines(name: str, size: int, each: float) -> list[int]:
    """Bytes at which lines begin, about ``each`` apart, 0 and the end included; UTF-16 is not cut."""
    at = [0]
    with open(name, "rb") as file:
        if wide_encoding(file.read(4)):
            return [0, size]
        while at[-1] + 1.5 * each < size:
            offset = at[-1] + int(each)
            file.seek(offset)
            while (chunk := file.read(CHUNK)) and (end := chunk.find(b"\n")) < 0:
                offset += len(chunk)
            if not chunk or offset + end + 1 >= size:
                break
            at.append(offset + end + 1)
    return [*at, size]


def _cut_plain_file(name: str, size: int, each: float) -> list[int]:
    """The same for plain text: some of the places where the parser cuts it anyway."""
    at, step = [0], max(1, round(each / PLAIN_BYTES)) * PLAIN_BYTES
    with open(name, "rb") as file:
        if wide_encoding(file.read(4)):
            return [0, size]
        for target in range(step, size - step // 2, step):
            file.seek(target - PLAIN_BYTES)
            place = cut_plain(file.read(PLAIN_BYTES + 1), PLAIN_BYTES)
            at.append(target - PLAIN_BYTES + place)
    return [*at, size]


def _estimate(piece: Piece) -> int:
    """Bytes of text, roughly."""
    return piece.weight * (UNPACKED if is_compressed(piece.file) or piece.file.lower().endswith(".parquet") else 1)


def _parts(files: Sequence[Sequence[Piece]], part_bytes: float, text_field: str) -> list[Part]:
    """Small files together; a file in several stretches by itself."""
    parts: list[Part] = []
    held: list[Piece] = []
    first = size = 0

    def close() -> None:
        nonlocal held, size
        if held:
            parts.append(Part(len(parts), f"{first:0{digits}}-00000", tuple(held), text_field))
        held, size = [], 0

    digits = max(5, len(str(len(files))))
    for number, pieces in enumerate(files):
        estimate = max(OPENING, sum(map(_estimate, pieces)))
        if len(pieces) > 1 or size + estimate > part_bytes:
            close()
        if len(pieces) > 1:
            for index, piece in enumerate(pieces):
                parts.append(Part(len(parts), f"{number:0{digits}}-{index:05}", (piece,), text_field))
            continue
        first = first if held else number
        held += pieces
        size += estimate
    close()
    return parts


def _check_unchanged(piece: Piece) -> None:
    if not piece.mtime_ns:
        return
    try:
        stat = os.stat(piece.file)
    except OSError as error:
        raise UserError(Problem(f"gone since it was listed: {error.strerror}", piece.file, "put it back")) from error
    if (stat.st_size, stat.st_mtime_ns) != (piece.size, piece.mtime_ns):
        fix = "wait until nothing writes to it, then the same command into a new folder"
        raise UserError(Problem("changed since it was listed", piece.file, fix))


def batches(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    """Documents in lists of at least so many characters of text; the last may hold fewer."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
