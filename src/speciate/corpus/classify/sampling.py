"""A uniform sample of the documents of a corpus, the same whatever the parts, processes and their order."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.part_writer import PartWriter
from speciate.corpus.steps.parts import Part, describe, read_part
from speciate.storage import write_atomic

SPREAD = 4  # a part holds up to this many times its share of the sample, so that hardly ever one is short


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document of the sample, its text cut to the characters that are read for a topic."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Documents in random order, and those that were asked for by id; of how many documents and bytes they are."""

    candidates: list[Candidate]
    wanted: dict[str, str]
    documents: int
    bytes: int


def priority(name: str, seed: int) -> int:
    """A random number of a document, 0 to 2^53 - 1: those with the smallest are a uniform sample."""
    mark = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, salt=seed.to_bytes(8, "little"))
    return int.from_bytes(mark.digest(), "little") >> 11


def draw_sample(
    parts: Sequence[Part],
    folder: Path,
    size: int,
    characters: int,
    wanted: Collection[str] = (),
    seed: int = 0,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = None,
) -> Sample:
    """``size`` documents (all, if there are fewer) with the smallest priorities, in the order of these.

    A part keeps at most ``SPREAD`` times its share and 100; where that cuts one short, the sample ends at the first
    document that it left out, and is uniform still, but smaller.
    """
    names = frozenset(wanted)
    total = sum(part.weight for part in parts) or 1
    limits = {part.name: min(size, 100 + SPREAD * size * part.weight // total) for part in parts}
    asked = {"step": "sample", "input": describe(parts), "size": size, "characters": characters, "seed": seed,
             "wanted": sorted(names)}  # fmt: skip
    work = partial(_sample_part, limits=limits, characters=characters, wanted=names, seed=seed)
    counts = run_parts(work, parts, folder, asked, engine, progress, most_bad)
    bound = min((count["bound"] for count in counts if count["bound"] is not None), default=None)
    drawn: list[tuple[int, str, str]] = []
    found: dict[str, str] = {}
    for part in parts:
        told = json.loads((folder / "drawn" / f"{part.name}.json").read_text(encoding="utf-8"))
        drawn += [(rank, name, text) for rank, name, text in told["drawn"] if bound is None or rank < bound]
        drawn = heapq.nsmallest(size, drawn)
        found |= told["wanted"]
    documents, volume = (sum(count[key] for count in counts) for key in ("documents", "bytes_in"))
    return Sample([Candidate(name, text) for _, name, text in drawn], found, documents, volume)


def _sample_part(
    part: Part, folder: Path, limits: dict[str, int], characters: int, wanted: frozenset[str], seed: int
) -> dict[str, Any]:
    limit, documents, volume, bound = limits[part.name], 0, 0, None
    held: list[tuple[int, str, str]] = []  # the largest rank first
    found: dict[str, str] = {}
    with PartWriter(folder, part) as writer:  # of bad records only
        for document in read_part(part, writer.bad):
            documents += 1
            volume += len(document.text.encode())
            rank = priority(document.id, seed)
            if document.id in wanted:
                found[document.id] = document.text[:characters]
            if len(held) < limit:
                heapq.heappush(held, (-rank, document.id, document.text[:characters]))
                continue
            out = rank
            if held and rank < -held[0][0]:
                out = -heapq.heapreplace(held, (-rank, document.id, document.text[:characters]))[0]
            bound = out if bound is None else min(bound, out)
    drawn = sorted((-rank, name, text) for rank, name, text in held)
    write_atomic(folder / "drawn" / f"{part.name}.json", json.dumps({"drawn": drawn, "wanted": found}))
    return writer.counts() | {"documents": documents, "bytes_in": volume, "bound": bound}
