"""Parts of ids -> the shards of a corpus: whole units to train on and held out, in the order of the parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from speciate.corpus.split import choose_held_out
from speciate.corpus.steps.parts import Part
from speciate.corpus.tokens.parts import TOKENS
from speciate.corpus.tokens.shards import FORMAT, corpus_digest
from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, digest, file_digest, write_atomic

SPLITS = ("train", "held_out")
COPIED = 1 << 24  # bytes at a time
Results = Sequence[Mapping[str, Any]]  # of the parts, with the rows of their units
HeldOut = Callable[[list[Any]], bool]  # of a unit's row
_NO_TEXT = Problem("no text found", "the input", "add text, or name its field")


def join_parts(
    parts: Sequence[Part],
    results: Results,
    folder: Path,
    held_out: tuple[float, int] | None,
    tokenizer: tuple[int, int],
    request: Mapping[str, Any],
) -> dict[str, Any]:
    """Write shards, lists of units and, last, manifest.json; returns the manifest.

    ``held_out`` is (share, seed), or None where the units say it; ``tokenizer`` (number of ids, id that ends a text).
    Raises ``UserError`` naming every domain without text to train on or to hold out.
    """
    vocabulary, end = tokenizer
    dtype = "<u2" if vocabulary <= 1 << 16 else "<u4"
    held = _marked(results) if held_out is None else _chosen(results, *held_out)
    domains = sorted({unit[0] for result in results for unit in result["units"]})
    entries = {domain: _write_domain(domain, parts, results, folder, held, dtype) for domain in domains}
    told = {"sha256": file_digest(folder / "tokenizer.json"), "vocab_size": vocabulary, "end_of_text": end}
    manifest: dict[str, Any] = {"format": FORMAT, "domains": entries, "tokenizer": told}
    manifest |= {"request": dict(request), "request_digest": digest(dict(request)), "digest": corpus_digest(manifest)}
    write_atomic(folder / "manifest.json", canonical_json(manifest))
    return manifest


def _chosen(results: Results, share: float, seed: int) -> HeldOut:
    """Units held out by their sizes."""
    sizes: dict[str, dict[str, int]] = {}
    for result in results:
        for domain, name, _, size, *_ in result["units"]:
            of_domain = sizes.setdefault(domain, {})
            of_domain[name] = of_domain.get(name, 0) + size
    problems = [
        Problem(f"too little text to hold some out: one stretch of {sum(units.values()):,} bytes", f"domain {domain}",
                "give it more text")
        for domain, units in sorted(sizes.items()) if len(units) < 2
    ]  # fmt: skip
    if problems or not sizes:
        raise UserError(problems or _NO_TEXT)
    chosen = {domain: choose_held_out(units, share, seed) for domain, units in sizes.items()}
    return lambda unit: unit[1] in chosen[unit[0]]


def _marked(results: Results) -> HeldOut:
    """Units held out because a field of their documents says so."""
    found: dict[str, set[bool]] = {}
    for result in results:
        for domain, *_, held in result["units"]:
            found.setdefault(domain, set()).add(held)
    problems = [
        Problem("all of it is held out" if True in held else "none of its text is held out", f"domain {domain}",
                "let the field be true of some of its documents and not of others, or ask for a share by --held-out")
        for domain, held in sorted(found.items()) if len(held) < 2
    ]  # fmt: skip
    if problems or not found:
        raise UserError(problems or _NO_TEXT)
    return lambda unit: bool(unit[-1])


def _write_domain(
    domain: str, parts: Sequence[Part], results: Results, folder: Path, held: HeldOut, dtype: str
) -> dict[str, Any]:
    """A domain's shards and its list of units; returns its entry in the manifest."""
    rows: list[list[Any]] = []
    width = np.dtype(dtype).itemsize
    with _Shard(folder / f"{domain}.train.bin") as train, _Shard(folder / f"{domain}.held_out.bin") as held_out:
        for part, result in zip(parts, results, strict=True):
            if all(unit[0] != domain for unit in result["units"]):
                continue
            with (folder / TOKENS / f"{part.name}.bin").open("rb") as file:
                at = 0
                for unit in result["units"]:
                    owner, name, tokens, size, documents, sha256, _ = unit
                    if owner == domain:
                        split = SPLITS[held(unit)]
                        shard = held_out if split == "held_out" else train
                        shard.copy(file, at, tokens * width)
                        shard.count(tokens, size, documents)
                        rows.append([name, split, size, documents, sha256])
                    at += tokens * width
    path = folder / f"{domain}.files.json"
    write_atomic(path, "[" + ",\n".join(map(canonical_json, rows)) + "]\n")
    files = {
        "count": len({row[0].rpartition(":")[0] for row in rows}),
        "bytes": sum(row[2] for row in rows),
        "documents": sum(row[3] for row in rows),
        "list": path.name,
        "sha256": file_digest(path),
    }
    return {"train": train.record(dtype), "held_out": held_out.record(dtype), "files": files}


class _Shard:
    """A .bin that is there when all of it is, with its hash."""

    def __init__(self, path: Path) -> None:
        self._path, self._hash = path, hashlib.sha256()
        self._counts = {"tokens": 0, "bytes": 0, "documents": 0}
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._file = self._temporary.open("wb")

    def copy(self, source: Any, first: int, size: int) -> None:
        source.seek(first)
        while size:
            data = source.read(min(size, COPIED))
            assert data, f"{source.name} ends early"
            self._file.write(data)
            self._hash.update(data)
            size -= len(data)

    def count(self, tokens: int, size: int, documents: int) -> None:
        for name, number in zip(self._counts, (tokens, size, documents), strict=True):
            self._counts[name] += number

    def record(self, dtype: str) -> dict[str, Any]:
        return {"dtype": dtype, "sha256": self._hash.hexdigest(), **self._counts}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)
