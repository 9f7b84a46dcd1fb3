"""Text from its sources, near-duplicates removed and capped, into one scratch file per domain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speciate.corpus.builtin import survey
from speciate.corpus.duplicates import Duplicates
from speciate.corpus.reading.read import list_files, read_file
from speciate.corpus.split import shuffled
from speciate.errors import Problem, UserError

FEW_FILES = 20  # below this, the unit that is trained on or held out is a block of a file: consecutive documents
BLOCK = 16_384  # bytes; plain text, which has no documents, is cut there


@dataclass
class Unit:
    """What is held out or trained on as a whole: a file, or a block of one. ``size`` is the bytes of kept text."""

    name: str  # relative: "folder/file.txt", "file.jsonl#3"
    key: str  # the same text in two domains has one key
    size: int = 0
    documents: int = 0
    hash: hashlib._Hash = field(default_factory=hashlib.sha256, repr=False)

    def add(self, text: bytes) -> None:
        self.size += len(text)
        self.documents += 1
        self.hash.update(len(text).to_bytes(8, "little") + text)


@dataclass(frozen=True)
class Collected:
    """The kept documents of a domain, one JSON line [unit number, text] each, and the units."""

    domain: str
    path: Path
    units: tuple[Unit, ...]

    def documents(self) -> Iterator[tuple[int, str]]:
        """Yield (unit number, text) in order, line by line."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                unit, text = json.loads(line)
                yield unit, text


def collect(domain: str, source: Path | None, scratch: Path, cap_bytes: float, seed: int) -> Collected:
    """Read a domain (``source`` None: built in) until ``cap_bytes`` of kept text, exceeded by at most a document.

    Raises ``UserError`` with every fault of the files that were read, and if there was no text.
    """
    problems: list[Problem] = []
    units: dict[str, tuple[int, Unit]] = {}
    duplicates, kept = Duplicates(), 0
    path = scratch / f"{domain}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for name, key, text in _builtin(domain, seed) if source is None else _read(source, seed, problems):
            if kept >= cap_bytes:
                break
            if not duplicates.is_new(text):
                continue
            number, unit = units.setdefault(name, (len(units), Unit(name, key)))
            data = text.encode()
            unit.add(data)
            kept += len(data)
            file.write(json.dumps([number, text], ensure_ascii=False) + "\n")
    if not units and not problems:
        fix = "pip install speciate[train]" if source is None else "add text"
        problems.append(Problem("no text found", f"domain {domain}", fix))
    if problems:
        raise UserError(problems)
    return Collected(domain, path, tuple(unit for _, unit in units.values()))


def _builtin(domain: str, seed: int) -> Iterator[tuple[str, str, str]]:
    for name, documents in survey(seed=seed)[domain]:
        for text in documents:
            yield name, name, text


def _read(source: Path, seed: int, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    files = list_files(source)
    few = len(files) < FEW_FILES
    for name in shuffled(files, str(seed)):
        block = size = 0
        try:
            for text in read_file(files[name], BLOCK) if few else read_file(files[name]):
                if size >= BLOCK // 2:  # half, as plain text is cut before its last line end
                    block, size = block + 1, 0
                size += len(text.encode())
                unit = f"{name}#{block}" if few else name
                yield unit, f"{files[name].resolve()}#{unit.removeprefix(name)}", text
        except UserError as error:
            problems += error.problems
