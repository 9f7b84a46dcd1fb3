"""Data sets of the Hugging Face hub, by name: streamed by ``datasets``, which need not be installed for all else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speciate.corpus.reading.documents import EMPTY, LONGEST, SHOWN, Bad, Document, Piece
from speciate.corpus.reading.parse import Unreadable, string
from speciate.errors import Problem, UserError

PREFIX = "hf:"


def parse_name(name: str) -> tuple[str, str | None, str]:
    """(data set, configuration, split) of "hf:NAME[@CONFIG][:SPLIT]".

    >>> parse_name("hf:wikitext@wikitext-2-v1:test"), parse_name("hf:roneneldan/TinyStories")
    (('wikitext', 'wikitext-2-v1', 'test'), ('roneneldan/TinyStories', None, 'train'))
    """
    rest, _, split = name.removeprefix(PREFIX).partition(":")
    path, _, config = rest.partition("@")
    return path, config or None, split or "train"


def hub_pieces(name: str) -> list[Piece]:
    """One piece for each file ("shard") of the data set. Raises ``UserError`` if it cannot be had."""
    count = max(1, int(_open(name).num_shards))
    return [Piece(name, f"{name}/{number:05}", shard=(number, count)) for number in range(count)]


def hub_records(piece: Piece, field: str, with_meta: bool) -> Iterator[Document | Bad]:
    """The documents of one shard; the index of a document is its row there."""
    assert piece.shard is not None
    number, count = piece.shard
    rows = _open(piece.file)
    if count > 1:
        rows = rows.shard(num_shards=count, index=number)
    for index, row in enumerate(rows):
        yield _record(piece, index, dict(row), field, with_meta)


def _record(piece: Piece, index: int, row: dict[str, Any], field: str, with_meta: bool) -> Document | Bad:
    name = f"{piece.source}:{index}"
    if field not in row:
        what = f"no column '{field}' (found {', '.join(map(repr, row))})"
        raise UserError(Problem(what, piece.file, f"name the column of strings '{field}', or say which it is"))
    value = row.pop(field)
    try:
        text = string(value, field)
        if len(text) > LONGEST:
            raise Unreadable("too long", f"a text of {len(text):,} characters; at most {LONGEST:,} are read")
        if not text.strip():
            raise Unreadable(EMPTY, "no text")
    except Unreadable as why:
        shown = "" if value is None else str(value)[:SHOWN].encode("utf-8", "replace").decode()
        return Bad(name, piece.source, f"{piece.source} row {index}", why.reason, why.detail, shown, len(shown))
    meta = {key: value for key, value in row.items() if value is not None}
    return Document(name, text, piece.source, meta if meta and with_meta else None)


def _open(name: str) -> Any:
    """The data set as an iterable of rows."""
    path, config, split = parse_name(name)
    try:
        import datasets
    except ModuleNotFoundError as error:
        fix = "pip install datasets, or download its files and give their folder"
        raise UserError(Problem("data sets by name need the package datasets", name, fix)) from error
    try:
        return datasets.load_dataset(path, config, split=split, streaming=True)
    except Exception as error:  # whatever the hub, the network or a script of the data set raises
        first = (str(error).splitlines() or [""])[0]
        fix = "check the name, the split and the network, or download its files and give their folder"
        raise UserError(Problem(f"cannot be opened ({type(error).__name__}: {first})", name, fix)) from error
