"""Documents -> token shards: encoded in batches, appended, hashed on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.collect import Collected
from speciate.corpus.tokens.encoder import encoder_of
from speciate.storage import canonical_json, file_digest, write_atomic

SPLITS = {"train": "to train on", "held_out": "held out"}
SAMPLE = 1_000_000  # bytes of each domain's training text that the tokenizer is trained on
BATCH = 1_000_000  # characters encoded at a time


def write_domain(
    collected: Collected,
    held_out: set[int],
    folder: Path,
    tokenizer: Any,
    end: int,
    dtype: str,
    tick: Callable[[int], None],
) -> dict[str, Any]:
    """Write a domain's two shards and its list of sources; returns its entry in the manifest.

    ``held_out`` holds unit numbers, ``end`` is the id put after every document, ``tick`` is told bytes encoded.
    """
    encoder = encoder_of(tokenizer)
    shards = {split: _Shard(folder / f"{collected.domain}.{split}.bin", dtype) for split in SPLITS}
    try:
        for batch in _batches(collected.documents()):
            sizes = [len(text.encode()) for _, text in batch]
            encoded = encoder.encode([text for _, text in batch])
            for (unit, _), ids, size in zip(batch, encoded, sizes, strict=True):
                shards["held_out" if unit in held_out else "train"].add(ids, end, size)
            tick(sum(sizes))
    finally:
        entry: dict[str, Any] = {split: shard.close() for split, shard in shards.items()}
    return entry | {"files": _write_files(collected, held_out, folder)}


def sample(texts: Mapping[str, Collected], held_out: Mapping[str, set[int]]) -> Iterator[str]:
    """Training text for the tokenizer, as much of each domain."""
    for domain in sorted(texts):
        size = 0
        for unit, text in texts[domain].documents():
            if unit not in held_out[domain]:
                yield text
                size += len(text.encode())
                if size >= SAMPLE:
                    break


class _Shard:
    """A .bin that grows by documents, with its running hash."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._file = path.open("wb")
        self._hash, self._dtype = hashlib.sha256(), dtype
        self._tokens = self._bytes = self._documents = 0

    def add(self, ids: NDArray[np.uint32], end: int, size: int) -> None:
        data = np.append(ids, np.uint32(end)).astype(self._dtype).tobytes()
        self._file.write(data)
        self._hash.update(data)
        self._tokens += len(ids) + 1
        self._bytes += size
        self._documents += 1

    def close(self) -> dict[str, Any]:
        """Onto the disk; returns the manifest's record."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        counts = {"tokens": self._tokens, "bytes": self._bytes, "documents": self._documents}
        return {"dtype": self._dtype, "sha256": self._hash.hexdigest(), **counts}


def _write_files(collected: Collected, held: set[int], folder: Path) -> dict[str, Any]:
    """The list of sources: [path relative to its root, split, bytes, documents, SHA-256 of the kept text] each."""
    rows = [
        [unit.name, "held_out" if i in held else "train", unit.size, unit.documents, unit.hash.hexdigest()]
        for i, unit in enumerate(collected.units)
    ]
    path = folder / f"{collected.domain}.files.json"
    write_atomic(path, "[" + ",\n".join(map(canonical_json, rows)) + "]\n")
    return {
        "count": len({unit.name.partition("#")[0] for unit in collected.units}),
        "bytes": sum(unit.size for unit in collected.units),
        "documents": sum(unit.documents for unit in collected.units),
        "list": path.name,
        "sha256": file_digest(path),
    }


def _batches(documents: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document[1])
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
