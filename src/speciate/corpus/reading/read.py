"""Documents from a user's files, for the corpus of a study: every fault is raised at the end, all at once.

``parts`` reads the same files for the steps of ``speciate corpus``, which count faults and go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speciate.corpus.reading.documents import EMPTY, FIXES, Bad, Document, Piece
from speciate.corpus.reading.files import list_files
from speciate.corpus.reading.parse import PLAIN_BYTES, records
from speciate.errors import Problem, UserError

__all__ = ["Document", "list_files", "read_documents", "read_file"]

_MOST = 20  # problems named per file


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a file or folder in the order of file names; blank documents are left out.

    A faulty file is skipped, and all faults are raised together as ``UserError`` after the last document.
    """
    problems: list[Problem] = []
    for name, file in list_files(path).items():
        try:
            yield from _documents(file, name, PLAIN_BYTES)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)


def read_file(path: Path, longest: int = PLAIN_BYTES) -> Iterator[str]:
    """The texts of one file; plain text is cut at a line end after ``longest`` bytes.

    Raises ``UserError`` at the end with everything that is wrong in the file, or if it is empty.
    """
    for document in _documents(path, path.name, longest):
        yield document.text


def _documents(path: Path, name: str, longest: int) -> Iterator[Document]:
    problems: list[Problem] = []
    some = False
    for record in records(Piece(str(path), name), with_meta=False, plain_bytes=longest):
        if isinstance(record, Document):
            some = True
            yield record
        elif record.reason != EMPTY:
            problems.append(as_problem(record))
        if len(problems) >= _MOST:
            break
    if not some and not problems:
        problems.append(Problem("empty: there is no text in it", str(path), "add text, or leave the file out"))
    if problems:
        raise UserError(problems)


def as_problem(bad: Bad) -> Problem:
    """A bad record as what a user has to mend."""
    return Problem(bad.detail, bad.where, FIXES[bad.reason])
