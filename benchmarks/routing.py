"""Routing by a prefix and retrieval by a prefix on real text, at 16 and 64 clusters.

    python benchmarks/routing.py [--clusters 16,64] [--window 2048] [--per-domain N] [--dimensions 128] [--seeds 1]

Text: ../shared/data/corpora (eight domains) and the standard library of this Python as a ninth, cut into windows of
--window tokens; --per-domain takes so many windows of each domain, spread evenly over its files (0: all there are).
A tenth of the documents, chosen by a hash of their text, is held out of everything that is fitted. Two tables:
  routing    is the cluster of the whole held-out window first, or among five, for the router and the nearest centroid?
  retrieval  is the window itself first, or among five, of all windows? Beside it table 5 of Seto et al.
"""

from __future__ import annotations

import argparse
import io
import json
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speciate.corpus.cluster.balanced_kmeans import fit_balanced_kmeans
from speciate.corpus.cluster.embed import fit_tfidf
from speciate.corpus.cluster.parts import HeldOut
from speciate.corpus.cluster.router import NearestCentroid, soft_targets, train_router
from speciate.corpus.cluster.routing_quality import retrieval_rows, routing_rows, told_tables
from speciate.corpus.cluster.windows import windows_of
from speciate.corpus.reading.documents import Document

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpora"
CODE_BYTES = 14e6
MOST_ASKED = 5_000

Texts = list[tuple[str, bool]]  # (window, held out)


def documents() -> Iterator[tuple[str, Document]]:
    """(domain, document)."""
    import zstandard

    for file in sorted(CORPORA.glob("*.jsonl.zst")):
        with file.open("rb") as raw:
            for number, line in enumerate(io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")):
                yield file.name.split(".")[0], Document(f"{file.name}:{number}", json.loads(line)["text"], file.name)
    root, total = Path(sysconfig.get_paths()["stdlib"]), 0
    for path in sorted(root.rglob("*.py")):
        if "site-packages" in path.parts or total > CODE_BYTES:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        total += len(text)
        if text.strip():
            yield "code", Document(str(path), text, path.name)


def windows(tokens: int, per_domain: int) -> tuple[Texts, dict[str, int]]:
    """Windows in the order of their documents, and how many each domain gives."""
    held_out, found = HeldOut(0.1), dict[str, Texts]()
    for domain, document in documents():
        held = held_out(document)
        found.setdefault(domain, []).extend((window.text, held) for _, window in windows_of(document, tokens))
    if per_domain:
        for domain, texts in found.items():
            chosen = np.unique(np.linspace(0, len(texts) - 1, min(per_domain, len(texts))).astype(int))
            found[domain] = [texts[at] for at in chosen]
    return [each for texts in found.values() for each in texts], {domain: len(texts) for domain, texts in found.items()}


def measure(texts: Texts, clusters: int, dimensions: int, seed: int) -> None:
    """Fit, and print both tables."""
    started = time.process_time()
    fitted, asked = [text for text, held in texts if not held], [text for text, held in texts if held][:MOST_ASKED]
    embedding = fit_tfidf(fitted, dimensions, seed)
    vectors, whole = embedding.embed(fitted), embedding.embed(asked)
    embedded = time.process_time()
    model = fit_balanced_kmeans(vectors, clusters, seed=seed, threads=1)
    clustered = time.process_time()
    centroids = model.centroids.astype(np.float32)
    router = train_router(fitted, soft_targets(vectors, centroids, model.prices), embedding, seed=seed)
    trained = time.process_time()
    labels = model.assign(whole)
    nearest = NearestCentroid(centroids, embedding)
    sizes = np.bincount(labels, minlength=clusters)
    quality = {
        "texts": len(asked),
        "among": len(texts),
        "routing": routing_rows(router, asked, labels, clusters),
        "routing_nearest": routing_rows(nearest, asked, labels, clusters),
        "retrieval": retrieval_rows(embedding, asked, np.concatenate([whole, vectors]), np.arange(len(asked))),
    }
    print(
        f"\n{clusters} clusters, seed {seed}; largest/mean {model.sizes.max() / model.sizes.mean():.3f}, held out "
        f"{sizes.max() / sizes.mean():.2f}; CPU s: embedding {embedded - started:.1f}, clusters "
        f"{clustered - embedded:.1f}, router {trained - clustered:.1f}"
    )
    print("\n".join(told_tables(quality)), flush=True)


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clusters", default="16,64")
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--per-domain", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    texts, counts = windows(options.window, options.per_domain)
    told = ", ".join(f"{domain} {count:,}" for domain, count in counts.items())
    print(f"{len(texts):,} windows of at most {options.window:,} tokens: {told}")
    for clusters in map(int, options.clusters.split(",")):
        for seed in range(options.seeds):
            measure(texts, clusters, options.dimensions, seed)


if __name__ == "__main__":
    main()
