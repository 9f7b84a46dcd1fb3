"""Text into balanced clusters, and a router that finds the cluster of a text by its first tokens.

Three readings of the text, each by parts on any engine: a sample of windows, on which the TF-IDF is fitted; the vector
of every window, on which the clusters are fitted; the windows again, written with their cluster. Between them, in this
process: the fits, the router, the tables of its quality and the cards. What is found before the last reading stands in
``work/`` until the step is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.balanced_kmeans import BalancedKMeans, fit_balanced_kmeans
from speciate.corpus.cluster.cards import describe_clusters, write_cards
from speciate.corpus.cluster.embed import TFIDF, Embedding, Vectors, fit_tfidf, save_arrays
from speciate.corpus.cluster.parts import (
    HeldOut,
    Labels,
    Sample,
    embed_part,
    embedding_of,
    labels_file,
    read_held_out,
    read_sample,
    read_vectors,
    sample_part,
    write_part,
)
from speciate.corpus.cluster.router import NearestCentroid, Router, load_router, soft_targets, train_router
from speciate.corpus.cluster.routing_quality import retrieval_rows, routing_rows
from speciate.corpus.cluster.windows import PREFIX, WINDOW
from speciate.corpus.steps.engine import Engine, Progress, run_parts, stage_of
from speciate.corpus.steps.parts import Part, describe
from speciate.corpus.steps.text_folder import begin, run_step
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

OWN = ("work", "embedding.npz", "clusters.npz", "router.npz", "clusters.json", "cards.html")
MOST_FITTED = 1_000_000  # windows whose vectors are held at once to fit the clusters; others are assigned
MOST_ASKED, MOST_AMONG = 5_000, 20_000  # held-out windows that are routed, windows of the sample that are searched


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What is asked for. ``window`` and ``prefix`` in tokens; ``held_out`` a share of documents; ``sample`` windows
    by which the TF-IDF and the router are fitted and measured."""

    clusters: int = 16
    embedding: str = TFIDF
    dimensions: int = 128
    window: int = WINDOW
    prefix: int = PREFIX
    held_out: float = 0.1
    sample: int = 50_000
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} of {getattr(self, name)}", f"--{name.replace('_', '-')}", f"give at least {least}")
            for name, least in (("clusters", 1), ("dimensions", 1), ("window", 1), ("prefix", 1), ("sample", 1))
            if getattr(self, name) < least
        ]
        if not 0 <= self.held_out < 1:
            problems.append(Problem(f"a share of {self.held_out}", "--held-out", "give one from 0 to below 1"))
        if problems:
            raise UserError(problems)


def cluster_corpus(
    parts: Sequence[Part],
    folder: Path,
    options: ClusterOptions | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
) -> dict[str, Any]:
    """Write ``kept/`` (with columns cluster, window, held_out), the models, clusters.json and cards.html to ``folder``.

    Returns the report of the step with "clusters", what clusters.json says. The result does not depend on the engine;
    a stopped run goes on. Raises ``UserError`` as ``run_step`` does, and for fewer windows than clusters.
    """
    asked = options or ClusterOptions()
    request = asdict(asked)
    finished = begin(folder, {"step": "cluster", "input": describe(parts), **request}, parts, OWN)
    if finished is None:
        _find(parts, folder, asked, engine, progress, most_bad)
    work = partial(write_part, work_folder=folder / "work", window=asked.window, held_out=HeldOut(asked.held_out))
    report = run_step("cluster", work, parts, folder, request, engine, stage_of(progress, 0.8, 1.0), most_bad, OWN)
    shutil.rmtree(folder / "work", ignore_errors=True)
    return report | {"clusters": json.loads((folder / "clusters.json").read_text(encoding="utf-8"))}


def open_router(folder: Path) -> Router:
    """The router that ``cluster_corpus`` left in a folder. Raises ``UserError`` if there is none."""
    try:
        told = json.loads((folder / "clusters.json").read_text(encoding="utf-8"))["embedding"]
    except (OSError, ValueError, KeyError) as error:
        fix = "give the folder that corpus cluster wrote"
        raise UserError(Problem(f"no clusters here ({error})", str(folder), fix)) from error
    embedding = embedding_of(told.get("model", TFIDF), folder / "embedding.npz")
    return load_router(folder / "router.npz", embedding)


def _find(
    parts: Sequence[Part],
    folder: Path,
    options: ClusterOptions,
    engine: Engine | None,
    progress: Progress | None,
    most_bad: float | None,
) -> None:
    """Everything but the text: embedding, clusters, the label of every window, router, clusters.json and cards."""
    work = folder / "work"
    if not work.exists():  # files of these names that are not of this request
        for name in OWN[1:]:
            (folder / name).unlink(missing_ok=True)
    request = {"input": describe(parts), **asdict(options)}
    total = sum(part.weight for part in parts) or 1
    held_out = HeldOut(options.held_out)
    draw = partial(sample_part, window=options.window, held_out=held_out, share=options.sample / total)
    run_parts(draw, parts, work / "sample", request, engine, stage_of(progress, 0.0, 0.15), most_bad)
    if not (folder / "cards.html").exists():  # the last of them
        sample = read_sample(parts, work / "sample")
        embedding = _embedding(folder, sample, options)
        embed = partial(embed_part, embedding=options.embedding, file=folder / "embedding.npz",
                        window=options.window, held_out=held_out)  # fmt: skip
        run_parts(embed, parts, work / "vectors", request, engine, stage_of(progress, 0.15, 0.5), most_bad)
        model = _clusters(parts, folder, options)
        vectors = _sample_vectors(sample, parts, work)
        found = _Found(options, embedding, model, sample, vectors, Labels.read(parts, work))
        _describe(folder, found, _router(folder, found))
        stage_of(progress, 0.5, 0.8)("clusters found", 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What the cards and the router are made from."""

    options: ClusterOptions
    embedding: Embedding
    model: BalancedKMeans
    sample: Sample
    vectors: Vectors  # of the windows of the sample
    labels: Labels

    @property
    def centroids(self) -> Vectors:
        """(clusters, dimensions)."""
        return self.model.centroids.astype(np.float32)

    @property
    def sample_labels(self) -> NDArray[np.int32]:
        """Clusters of the windows of the sample."""
        each = zip(self.sample.parts, self.sample.rows, strict=True)
        return np.array([self.labels.of_part[part][row] for part, row in each], np.int32)


def _sample_vectors(sample: Sample, parts: Sequence[Part], work: Path) -> Vectors:
    """(windows of the sample, dimensions), from those of all windows."""
    rows: dict[str, list[int]] = {part.name: [] for part in parts}
    for at, name in enumerate(sample.parts):
        rows[name].append(at)
    found = []
    for part in parts:
        vectors, _ = read_vectors(work, part)
        found.append(vectors[[sample.rows[at] for at in rows[part.name]]])
    order = np.concatenate([np.array(rows[part.name], np.int64) for part in parts])
    return np.asarray(np.concatenate(found)[np.argsort(order)])


def _embedding(folder: Path, sample: Sample, options: ClusterOptions) -> Embedding:
    file = folder / "embedding.npz"
    if options.embedding == TFIDF and not file.exists():
        trained = [text for text, held in zip(sample.texts, sample.held_out, strict=True) if not held]
        fit_tfidf(trained, options.dimensions, options.seed).save(file)
    return embedding_of(options.embedding, file)


def _clusters(parts: Sequence[Part], folder: Path, options: ClusterOptions) -> BalancedKMeans:
    """Fitted on the windows that are not held out, or on every n-th of them where they are very many.

    Writes the label of every window too: of those fitted the balanced one, of others by price. Vectors are held of
    one part at a time; those fitted lie in a file mapped into memory.
    """
    file, work = folder / "clusters.npz", folder / "work"
    if not file.exists():
        held = [read_held_out(work, part) for part in parts]
        count = sum(int((~out).sum()) for out in held)
        if count < options.clusters:
            fix = "give more text, or ask for fewer clusters, shorter windows or a smaller share held out"
            raise UserError(Problem(f"{count:,} windows for {options.clusters:,} clusters", "the text", fix))
        every = -(-count // MOST_FITTED)
        fitted = [np.flatnonzero(~out)[::every] for out in held]
        model = fit_balanced_kmeans(_gathered(parts, work, fitted), options.clusters, seed=options.seed)
        assert model.labels is not None
        exact = iter(np.split(model.labels, np.cumsum([len(rows) for rows in fitted])[:-1]))
        for part, rows in zip(parts, fitted, strict=True):
            vectors, _ = read_vectors(work, part)
            labels = model.assign(vectors) if len(vectors) else np.zeros(0, np.int32)
            labels[rows] = next(exact)
            save_arrays(labels_file(work, part), labels=labels.astype(np.int32))
        model.save(file)
    return BalancedKMeans.load(file)


def _gathered(parts: Sequence[Part], work: Path, rows: Sequence[NDArray[np.int64]]) -> Vectors:
    """These rows of the vectors of each part, as one file mapped into memory.

    Written as any file is: to write into a map would end the process where the disk is full.
    """
    file, width = work / "fitted.f4", 0
    with file.open("wb") as out:
        for part, chosen in zip(parts, rows, strict=True):
            vectors, _ = read_vectors(work, part)
            width = vectors.shape[1]
            out.write(np.ascontiguousarray(vectors[chosen], np.float32).data)
    return np.memmap(file, np.float32, "r", shape=(sum(map(len, rows)), width))


def _router(folder: Path, found: _Found) -> Router:
    options, file, sample = found.options, folder / "router.npz", found.sample
    if not file.exists():
        chosen = np.flatnonzero(~sample.held_out)
        texts = [sample.texts[int(at)] for at in chosen]
        targets = soft_targets(found.vectors[chosen], found.centroids, found.model.prices)
        train_router(texts, targets, found.embedding, options.prefix, options.seed).save(file)
    return load_router(file, found.embedding)


def _describe(folder: Path, found: _Found, router: Router) -> None:
    """clusters.json and cards.html."""
    told = {
        "embedding": found.embedding.told(),
        "window_tokens": found.options.window,
        "prefix_tokens": found.options.prefix,
        "balance": found.labels.balance(found.options.clusters),
        "quality": _quality(found, router),
        **describe_clusters(found.model, found.sample, found.sample_labels, found.vectors, found.labels),
    }
    write_atomic(folder / "clusters.json", json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_cards(folder / "cards.html", told)


def _quality(found: _Found, router: Router) -> dict[str, Any]:
    """Both tables (``routing_quality``), on held-out windows of the sample; no rows if nothing is held out."""
    sample = found.sample
    asked = np.flatnonzero(sample.held_out)[:MOST_ASKED]
    others = np.flatnonzero(~sample.held_out)[: MOST_AMONG - len(asked)]
    texts = [sample.texts[int(at)] for at in asked]
    labels, count = found.sample_labels[asked], found.options.clusters
    nearest = NearestCentroid(found.centroids, found.embedding)
    among = found.vectors[np.concatenate([asked, others])]
    return {
        "texts": len(texts),
        "among": len(asked) + len(others),
        "routing": routing_rows(router, texts, labels, count),
        "routing_nearest": routing_rows(nearest, texts, labels, count),
        "retrieval": retrieval_rows(found.embedding, texts, among, np.arange(len(texts))),
    }
