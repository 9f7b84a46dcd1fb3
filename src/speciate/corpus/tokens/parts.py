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


@dataclass(frozen=True)
class Fields:
    """Fields of the documents that say to which domain each belongs, and whether it is held out."""

    domain: str | None = None
    held_out: str | None = None


@dataclass
class Unit:
    """Consecutive documents of one source in one domain: ``name`` is the id of the first.

    ``held_out`` is None where the documents do not say.
    """

    domain: str
    name: str
    source: str
    held_out: bool | None = None
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
        return [self.domain, self.name, self.tokens, self.size, self.documents, self.hash.hexdigest(), self.held_out]


def tokenize_part(
    part: Part,
    folder: Path,
    origins: tuple[Source, ...],
    fields: Fields,
    end: int,
    dtype: str,
    block: int,
) -> dict[str, Any]:
    """Write ``tokens/<part>.bin``: ids of all documents in order, ``end`` after each; returns counts and "units".

    A unit ends with its source, its domain, where held-out text begins or ends, or after ``block`` bytes. Raises
    ``UserError`` for a document without one of the ``fields``.
    """
    encoder = _encoder(folder / "tokenizer.json", file_digest(folder / "tokenizer.json"))
    file = folder / TOKENS / f"{part.name}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(".tmp")
    units: list[Unit] = []
    with PartWriter(folder, part) as out, written.open("wb") as ids_file:
        for batch in _batches(_documents(part, origins, fields.domain, out.bad)):
            encoded = encoder.encode([document.text for _, document in batch])
            for (domain, document), ids in zip(batch, encoded, strict=True):
                held = is_held_out(document, fields.held_out) if fields.held_out else None
                last = units[-1] if units else None
                kind = (domain, document.source, held)
                if last is None or (last.domain, last.source, last.held_out) != kind or last.size >= block:
                    units.append(Unit(domain, document.id, document.source, held))
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
    ('law', 'cluster-07')
    """
    return value if isinstance(value, str) else f"{name}-{value:02}"


def is_held_out(document: Document, name: str) -> bool:
    """Whether a field says that a document is held out. Raises ``UserError`` unless it says true or false."""
    value = (document.meta or {}).get(name)
    if not isinstance(value, bool):
        fix = "give each document true or false there, as corpus cluster does, or another --held-out-field"
        raise UserError(Problem(f"no true or false in field {name!r} (it is {value!r})", document.id, fix))
    return value


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
