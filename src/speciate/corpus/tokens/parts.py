"""One part of a corpus -> a file of its ids, and the units of it that are trained on or held out as a whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from speciate.corpus.reading.documents import Document
from speciate.corpus.steps.part_writer import PartWriter
from speciate.corpus.steps.parts import Part, Sink, read_part
from speciate.corpus.tokens.encoder import Encoder, encoder_of
from speciate.corpus.tokens.tokenizer import load_tokenizer
from speciate.errors import Problem, UserError
from speciate.storage import file_digest

TOKENS = "tokens"  # the folder of the files of ids, until they are joined
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"  # of a domain: files are called by it
BATCH = 1_000_000  # characters encoded at a time


@dataclass(frozen=True)
class Source:
    """An input, as its files' paths begin, and the domain that it belongs to."""

    place: str
    domain: str

    def holds(self, file: str) -> bool:
        """Whether a file is this input or stands in it."""
        return file == self.place or Path(file).resolve().is_relative_to(self.place)


@dataclass
class Unit:
    """Consecutive documents of one source in one domain: ``name`` is the id of the first."""

    domain: str
    name: str
    source: str
    tokens: int = 0
    size: int = 0  # bytes of text
    documents: int = 0
    hash: Any = field(default_factory=hashlib.sha256)

    def add(self, text: bytes, tokens: int) -> None:
        """Take a document of so many ids, its end included."""
        self.tokens += tokens
        self.size += len(text)
        self.documents += 1
        self.hash.update(len(text).to_bytes(8, "little") + text)

    def row(self) -> list[Any]:
        """As JSON has it."""
        return [self.domain, self.name, self.tokens, self.size, self.documents, self.hash.hexdigest()]


def tokenize_part(
    part: Part,
    folder: Path,
    origins: tuple[Source, ...],
    domain_field: str | None,
    end: int,
    dtype: str,
    block: int,
) -> dict[str, Any]:
    """Write ``tokens/<part>.bin``: ids of all documents in order, ``end`` after each; returns counts and "units".

    A unit ends with its source, its domain, or after ``block`` bytes. Raises ``UserError`` for a document without
    ``domain_field``.
    """
    encoder = _encoder(folder / "tokenizer.json", file_digest(folder / "tokenizer.json"))
    file = folder / TOKENS / f"{part.name}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".tmp")
    units: list[Unit] = []
    with PartWriter(folder, part) as out, written.open("wb") as ids_file:
        for batch in _batches(_documents(part, origins, domain_field, out.bad)):
            encoded = encoder.encode([document.text for _, document in batch])
            for (domain, document), ids in zip(batch, encoded, strict=True):
                last = units[-1] if units else None
                if last is None or (last.domain, last.source) != (domain, document.source) or last.size >= block:
                    units.append(Unit(domain, document.id, document.source))
                units[-1].add(document.text.encode(), len(ids) + 1)
                ids_file.write(np.append(ids, np.uint32(end)).astype(dtype).tobytes())
    written.replace(file)
    sums = {name: sum(getattr(unit, name) for unit in units) for name in ("documents", "tokens")}
    size = sum(unit.size for unit in units)
    bad = {"bad": dict(sorted(out.bad.reasons.items())), "bytes_bad": out.bad.lost_bytes}
    return {**sums, "kept": sums["documents"], "bytes_in": size, "bytes_out": size, **bad} | {
        "units": [unit.row() for unit in units]
    }


def domain_name(value: Any, name: str) -> str:
    """The domain that a field's value stands for: text as it is, a number after the field's name.

    >>> domain_name("law", "topic"), domain_name(7, "cluster")
    ('law', 'cluster-7')
    """
    return value if isinstance(value, str) else f"{name}-{value}"


def _documents(
    part: Part, origins: tuple[Source, ...], domain_field: str | None, bad: Sink
) -> Iterator[tuple[str, Document]]:
    for piece in part.pieces:
        of_piece = next(origin.domain for origin in origins if origin.holds(piece.file))
        for document in read_part(replace(part, pieces=(piece,)), bad):
            if domain_field is None:
                yield of_piece, document
                continue
            value = (document.meta or {}).get(domain_field)
            if not isinstance(value, str | int) or not re.fullmatch(NAME, str(value)):
                what = f"no domain in field {domain_field!r} (it is {value!r})"
                fix = "give each document a name of letters, digits, _ . and - there, or another --domain-field"
                raise UserError(Problem(what, document.id, fix))
            yield domain_name(value, domain_field), document


def _batches(documents: Iterator[tuple[str, Document]]) -> Iterator[list[tuple[str, Document]]]:
    batch: list[tuple[str, Document]] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document[1].text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@lru_cache(maxsize=1)
def _encoder(path: Path, sha256: str) -> Encoder:
    """Loaded once in a worker; ``sha256`` of the file tells one from the next."""
    return encoder_of(load_tokenizer(path))
