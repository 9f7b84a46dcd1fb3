"""What clustering does with one part of the text, and what it leaves between its readings in ``work/``."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.embed import TFIDF, Embedding, Vectors, load_arrays, load_tfidf, save_arrays
from speciate.corpus.cluster.windows import windows_of
from speciate.corpus.reading.documents import Document
from speciate.corpus.steps.parts import Part, Sink, read_part
from speciate.corpus.steps.text_folder import PartWriter

AT_ONCE = 256  # windows that are embedded together


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which documents are held out: by their text, so that equal ones stand on the same side."""

    share: float

    def __call__(self, document: Document) -> bool:
        """Whether this one is."""
        return _fraction(document.text) < self.share


@dataclass(frozen=True, slots=True)
class Window:
    """A window, its number in its document and in its part, and whether its document is held out."""

    document: Document
    number: int
    row: int
    held_out: bool


def read_windows(part: Part, tokens: int, held_out: HeldOut, bad: Sink | None = None) -> Iterator[Window]:
    """The windows of a part, always in the same order."""
    row = 0
    for document in read_part(part, bad):
        held = held_out(document)
        for number, window in windows_of(document, tokens):
            yield Window(window, number, row, held)
            row += 1


def sample_part(part: Part, folder: Path, window: int, held_out: HeldOut, share: float) -> dict[str, Any]:
    """Keep the windows of the least hashes: ``share`` windows per byte on disk, whatever the other parts hold."""
    quota = max(1, round(part.weight * share))
    heap: list[tuple[float, int, Window]] = []
    with PartWriter(folder, part, {"row": "int64", "held_out": "bool"}) as out:
        for each in read_windows(part, window, held_out, out.bad):
            item = (-_fraction(each.document.id + "\n" + each.document.text), -each.row, each)
            if len(heap) < quota:
                heapq.heappush(heap, item)
            elif item[:2] > heap[0][:2]:
                heapq.heapreplace(heap, item)
        for _, _, each in sorted(heap, key=lambda item: item[2].row):
            out.keep(each.document, row=each.row, held_out=each.held_out)
        return out.counts()


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Windows of all parts: name of the part, row in it, id, text, held out or not."""

    parts: Sequence[str]
    rows: Sequence[int]
    ids: Sequence[str]
    texts: Sequence[str]
    held_out: NDArray[np.bool_]


def read_sample(parts: Sequence[Part], folder: Path) -> Sample:
    """What ``sample_part`` kept, in the order of hashes of texts: the first of them are a sample too."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for part in parts:
        file = folder / "kept" / f"{part.name}.parquet"
        if file.exists():  # a part without a window leaves none
            found = pq.read_table(file, columns=["id", "text", "row", "held_out"]).to_pylist()
            rows += [each | {"part": part.name} for each in found]
    rows.sort(key=lambda each: (_fraction(each["id"] + "\n" + each["text"]), each["id"]))
    columns: Mapping[str, list[Any]] = {
        name: [each[name] for each in rows] for name in ("part", "row", "id", "text", "held_out")
    }
    held_out = np.array(columns["held_out"], bool)
    return Sample(columns["part"], columns["row"], columns["id"], columns["text"], held_out)


def embed_part(part: Part, folder: Path, embedding: str, file: Path, window: int, held_out: HeldOut) -> dict[str, Any]:
    """Write the vectors of a part's windows, float32, and which are held out."""
    model = embedding_of(embedding, file)
    vectors: list[Vectors] = []
    held: list[bool] = []
    texts: list[str] = []
    for each in read_windows(part, window, held_out):
        texts.append(each.document.text)
        held.append(each.held_out)
        if len(texts) == AT_ONCE:
            vectors.append(model.embed(texts))
            texts = []
    vectors.append(model.embed(texts) if texts else np.zeros((0, model.dimensions), np.float32))
    save_arrays(folder / f"{part.name}.npz", vectors=np.concatenate(vectors), held_out=np.array(held, bool))
    return {"windows": len(held)}


def read_vectors(work: Path, part: Part) -> tuple[Vectors, NDArray[np.bool_]]:
    """(windows, dimensions) and (windows) of a part."""
    held = load_arrays(work / "vectors" / f"{part.name}.npz", "vectors", "held_out")
    return held["vectors"], held["held_out"]


def read_held_out(work: Path, part: Part) -> NDArray[np.bool_]:
    """(windows) of a part, whether they are held out."""
    held: NDArray[np.bool_] = load_arrays(work / "vectors" / f"{part.name}.npz", "held_out")["held_out"]
    return held


def embedding_of(kind: str, file: Path) -> Embedding:
    """TF-IDF from its file, or a sentence model; loaded once by each process."""
    if kind == TFIDF:
        stat = file.stat() if file.exists() else None
        return _tfidf(file, None if stat is None else stat.st_mtime_ns)
    from speciate.corpus.cluster.embed_model import load_model

    return load_model(kind)


@lru_cache(maxsize=2)
def _tfidf(file: Path, _: int | None) -> Embedding:
    return load_tfidf(file)


def labels_file(work: Path, part: Part) -> Path:
    """Where the clusters of a part's windows stand."""
    return work / "labels" / f"{part.name}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Clusters of all windows and which are held out, by part."""

    of_part: Mapping[str, NDArray[np.int32]]
    held_out: Mapping[str, NDArray[np.bool_]]

    @classmethod
    def read(cls, parts: Sequence[Part], work: Path) -> Self:
        """What stands in ``work/``."""
        labels = {part.name: load_arrays(labels_file(work, part), "labels")["labels"] for part in parts}
        held = {part.name: read_held_out(work, part) for part in parts}
        return cls(labels, held)

    def sizes(self, clusters: int, held_out: bool) -> NDArray[np.int64]:
        """(clusters) windows, held out or not."""
        counts = [
            np.bincount(labels[self.held_out[name] == held_out], minlength=clusters)
            for name, labels in self.of_part.items()
        ]
        return np.asarray(np.sum(counts, axis=0), np.int64)

    def balance(self, clusters: int) -> dict[str, Any]:
        """Windows, and those of the largest cluster over the mean, for clustered and for held-out text."""
        told = {}
        for name, held_out in (("clustered", False), ("held_out", True)):
            sizes = self.sizes(clusters, held_out)
            largest = float(sizes.max() / sizes.mean()) if sizes.sum() else None
            told[name] = {"windows": int(sizes.sum()), "largest_over_mean": largest}
        return told


def write_part(part: Part, folder: Path, work_folder: Path, window: int, held_out: HeldOut) -> dict[str, Any]:
    """The windows of a part as documents, with their cluster."""
    labels = load_arrays(labels_file(work_folder, part), "labels")["labels"]
    with PartWriter(folder, part, {"cluster": "int32", "window": "int32", "held_out": "bool"}) as out:
        for each in read_windows(part, window, held_out, out.bad):
            cluster = int(labels[each.row])
            out.keep(each.document, cluster=cluster, window=each.number, held_out=each.held_out)
        return out.counts()


def _fraction(text: str) -> float:
    """A hash of a text in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little") / (1 << 56)
