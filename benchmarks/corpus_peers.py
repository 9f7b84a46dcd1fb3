"""The steps of ``corpus.py`` as other libraries do them; run by it in an environment that has them.

    PYTHON benchmarks/corpus_peers.py NAME SOURCE OUT        SOURCE: a folder of .jsonl; of points and tokens see below

Each prints one JSON object: documents, wall and CPU seconds without imports, and what else there is to tell. A peer
whose package is missing prints {"missing": PACKAGE}. Nothing of ours is imported here.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Step = Callable[[Path, Path], dict[str, Any]]
CLUSTERS = int(os.environ.get("CORPUS_CLUSTERS", "16"))


def texts_of(source: Path) -> Iterator[str]:
    for path in sorted(source.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"]


def read(source: Path, out: Path) -> dict[str, Any]:
    """Every line through ``json.loads``: what a script of ten lines does, without checks."""
    return {"documents": sum(1 for _ in texts_of(source))}


def clean(source: Path, out: Path) -> dict[str, Any]:
    """datatrove: both of Gopher's filters, then its four stages of MinHash at the same 112 numbers and 5 words."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=7)
    filters = [GopherRepetitionFilter(), GopherQualityFilter(stop_words=[], min_stop_words=0)]
    kept, prints, buckets, drop, last = (str(out / name) for name in ("kept", "prints", "buckets", "drop", "last"))
    stages = [
        [JsonlReader(str(source)), *filters, JsonlWriter(kept)],
        [JsonlReader(kept), MinhashDedupSignature(prints, config=config)],
        [MinhashDedupBuckets(prints, buckets, config=config)],
        [MinhashDedupCluster(buckets, drop, config=config)],
        [JsonlReader(kept), MinhashDedupFilter(drop), JsonlWriter(last)],
    ]
    for number, stage in enumerate(stages):
        tasks = config.num_buckets if number == 2 else 1
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=str(out / f"log{number}")).run()
    return {"documents": sum(1 for _ in texts_of(source)), "kept": sum(map(lines, Path(last).glob("*.gz")))}


def lines(file: Path) -> int:
    with gzip.open(file) as unpacked:
        return sum(1 for _ in unpacked)


def embed(source: Path, out: Path) -> dict[str, Any]:
    """scikit-learn: TF-IDF and a truncated SVD of all texts at once, as its guide does."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = list(texts_of(source))
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, max_df=0.5, max_features=100_000).fit_transform(texts)
    TruncatedSVD(128, n_iter=4, random_state=0).fit_transform(words)
    return {"documents": len(texts)}


def faiss(source: Path, out: Path) -> dict[str, Any]:
    """SOURCE is a .npy of points. Not balanced."""
    import faiss as library
    import numpy as np

    x = np.load(source)
    model = library.Kmeans(x.shape[1], CLUSTERS, niter=25, seed=0, max_points_per_centroid=10**9)
    model.train(x)
    return {"documents": len(x)} | quality(x, model.index.search(x, 1)[1][:, 0], model.centroids)


def constrained(source: Path, out: Path) -> dict[str, Any]:
    """SOURCE is a .npy of points. k-means-constrained: balanced by an exact assignment in every pass."""
    import numpy as np
    from k_means_constrained import KMeansConstrained

    x = np.load(source)
    least, most = len(x) // CLUSTERS, math.ceil(len(x) / CLUSTERS)
    model = KMeansConstrained(CLUSTERS, size_min=least, size_max=most, n_init=1, random_state=0).fit(x)
    return {"documents": len(x)} | quality(x, model.labels_, model.cluster_centers_)


def quality(x: Any, labels: Any, centroids: Any) -> dict[str, float]:
    import numpy as np

    pieces = [slice(at, at + 8192) for at in range(0, len(x), 8192)]
    inertia = sum(float(((x[p] - centroids[labels[p]]) ** 2).sum(dtype=np.float64)) for p in pieces) / len(x)
    return {"inertia": inertia, "largest_over_mean": float(np.bincount(labels).max() / len(x) * len(centroids))}


def tokenizers(source: Path, out: Path) -> dict[str, Any]:
    """Ids by the tokenizer.json in OUT, written as they come."""
    from array import array

    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    count = total = 0
    with (out / "ids.tokenizers").open("wb") as file:
        for batch in batches(texts_of(source)):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                file.write(array("H", encoding.ids).tobytes())
                total += len(encoding.ids)
            count += len(batch)
    return {"documents": count, "tokens": total}


def tiktoken(source: Path, out: Path) -> dict[str, Any]:
    """The same ids by tiktoken: OUT/ranks.json holds what it needs of the tokenizer."""
    from array import array

    import tiktoken as library

    held = json.loads((out / "ranks.json").read_text(encoding="utf-8"))
    ranks = {bytes.fromhex(token): rank for token, rank in held["ranks"].items()}
    encoding = library.Encoding("peer", pat_str=held["pattern"], mergeable_ranks=ranks, special_tokens={})
    count = total = 0
    with (out / "ids.tiktoken").open("wb") as file:
        for text in texts_of(source):
            ids = encoding.encode_ordinary(text)
            file.write(array("H", ids).tobytes())
            total += len(ids)
            count += 1
    return {"documents": count, "tokens": total}


def batches(texts: Iterator[str], size: int = 256) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


PEERS: dict[str, tuple[Step, str]] = {
    "read": (read, "json"), "clean": (clean, "datatrove.pipeline.filters"), "embed": (embed, "sklearn.decomposition"),
    "faiss": (faiss, "faiss"), "constrained": (constrained, "k_means_constrained"),
    "tokenizers": (tokenizers, "tokenizers"), "tiktoken": (tiktoken, "tiktoken"),
}  # fmt: skip


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    work, package = PEERS[name]
    out.mkdir(parents=True, exist_ok=True)
    try:
        __import__(package)
    except ImportError:
        print(json.dumps({"missing": package}))
        return
    wall, cpu = time.perf_counter(), cpu_seconds()
    told = work(source, out)
    print(json.dumps(told | {"wall_s": time.perf_counter() - wall, "cpu_s": cpu_seconds() - cpu}))


if __name__ == "__main__":
    main()
