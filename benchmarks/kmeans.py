"""Balanced k-means on text and on many points, beside scikit-learn, faiss and k-means-constrained.

    python benchmarks/kmeans.py [--quick] [--text FOLDER] [--peers PYTHON] [--million] [--clusters 16,64]
                                [--only CASE] [--methods ours,faiss] [--json]

Text: pieces of 500 characters of the .jsonl.zst files in FOLDER (default ../shared/data/corpora; without them, made
points), TF-IDF with SVD. Half of the pieces are clustered; balance is judged on the other half, once drawn among all
pieces and once among whole documents. With m held-out points and k clusters of exactly equal shares, chance alone
gives max/mean of about 1 + sqrt(2 k ln(k) / m): the column "chance".
Speed: 100,000 x 384 made points, and with --million 1,000,000 x 384 from a memory map. Every method runs in a process
of its own with two threads (k-means-constrained: one); "cpu" is its CPU seconds without imports, "mb" the most memory
it held, imports included.
--peers is the Python of an environment with faiss-cpu and k-means-constrained, which need not be ours.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL")), "2"))

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
ROOT = Path(__file__).parent.parent
CORPORA = ROOT.parent / "shared" / "data" / "corpora"


def ours(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from speciate.corpus.cluster.balanced_kmeans import fit_balanced_kmeans

    model = fit_balanced_kmeans(x, k, seed=0, threads=THREADS)
    return model.labels, model.centroids, model.prices


def sklearn(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.cluster import KMeans

    model = KMeans(k, n_init=3, random_state=0).fit(x)  # k-means++ with several trials each
    return model.labels_, model.cluster_centers_, np.zeros(k)


def faiss(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    model = faiss.Kmeans(x.shape[1], k, niter=25, seed=0, max_points_per_centroid=10**9)
    model.train(np.ascontiguousarray(x))
    return model.index.search(np.ascontiguousarray(x), 1)[1][:, 0], model.centroids, np.zeros(k)


def constrained(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from k_means_constrained import KMeansConstrained

    most = math.ceil(len(x) / k)
    model = KMeansConstrained(k, size_min=len(x) // k, size_max=most, n_init=1, random_state=0).fit(x)
    return model.labels_, model.cluster_centers_, np.zeros(k)


METHODS = {"ours": ours, "sklearn": sklearn, "faiss": faiss, "constrained": constrained}
OWN = ["ours", "sklearn"]  # without --peers
IMPORTS = {"ours": "speciate.corpus.cluster.balanced_kmeans", "faiss": "faiss", "constrained": "k_means_constrained"}


def nearest(x: np.ndarray, centroids: np.ndarray, prices: np.ndarray) -> np.ndarray:
    offset = (centroids * centroids).sum(axis=1) + prices
    parts = [x[i : i + 8192] for i in range(0, len(x), 8192)]
    return np.concatenate([(offset - 2 * part @ centroids.T).argmin(axis=1) for part in parts])


def unevenness(labels: np.ndarray, k: int) -> float:
    return float(np.bincount(labels, minlength=k).max() / len(labels) * k)


def peak_mb() -> float:
    """The most memory this program held; getrusage would count what its parent held when it started it."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("VmHWM"):
            return int(row.split()[1]) / 1024
    return math.nan


def job(method: str, data: Path, k: int) -> dict[str, Any]:
    """One method on one file of points, and on held-out points where DATA.held.npy lies beside it."""
    __import__(IMPORTS.get(method, "sklearn.cluster"))
    x = np.load(data, mmap_mode="r")
    if method != "ours":
        x = np.array(x)
    wall, cpu = time.perf_counter(), time.process_time()
    labels, centroids, prices = METHODS[method](x, k)
    result: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    result["mb"] = peak_mb()
    parts = [slice(i, i + 8192) for i in range(0, len(x), 8192)]
    result["inertia"] = sum(float(((x[p] - centroids[labels[p]]) ** 2).sum(dtype=np.float64)) for p in parts) / len(x)
    result["max/mean"] = unevenness(labels, k)
    held = data.with_suffix(".held.npy")
    if held.exists():
        result["held max/mean"] = unevenness(nearest(np.load(held), centroids, prices), k)
    return result


def run(method: str, data: Path, k: int, python: str) -> dict[str, Any]:
    command = [python, __file__, "--job", method, "--data", str(data), "--clusters", str(k)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def made(path: Path, n: int, d: int = 384, groups: int = 200) -> Path:
    """Points of unequal groups on a sphere, as embeddings of text are, written piece by piece."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((groups, 24)).astype(np.float32) @ rng.standard_normal((24, d)).astype(np.float32)
    weights = 1 / np.arange(5, groups + 5)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for first in range(0, n, 50_000):
        count = min(50_000, n - first)
        own = rng.choice(groups, count, p=weights / weights.sum())
        rows = centres[own] / np.sqrt(24) + rng.standard_normal((count, d), np.float32)
        out[first : first + count] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    out.flush()
    return path


def text_points(folder: Path, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, 100) of pieces of 500 characters, and the number of each piece's document."""
    import zstandard
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    pieces: list[str] = []
    documents: list[int] = []
    count = 0
    for path in sorted(folder.glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                cut = [text[i : i + 500] for i in range(0, len(text), 500)]
                cut = cut[:-1] if len(cut) > 1 and len(cut[-1]) < 250 else cut
                pieces += cut
                documents += [count] * len(cut)
                count += 1
    keep = np.sort(np.random.default_rng(0).permutation(len(pieces))[:most])
    pieces = [pieces[i] for i in keep]
    words = TfidfVectorizer(sublinear_tf=True, min_df=5, max_features=50_000, dtype=np.float32).fit_transform(pieces)
    points = TruncatedSVD(100, n_iter=2, random_state=0).fit_transform(words).astype(np.float32)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    return points, np.asarray(documents)[keep]


def halves(points: np.ndarray, groups: np.ndarray, path: Path) -> Path:
    """Half of the groups of points at ``path`` to be clustered, the rest held out beside it."""
    drawn = np.random.default_rng(1).random(int(groups.max()) + 1) < 0.5
    np.save(path, points[drawn[groups]])
    np.save(path.with_suffix(".held.npy"), points[~drawn[groups]])
    return path


def chance(path: Path, k: int) -> float | None:
    held = path.with_suffix(".held.npy")
    return 1 + math.sqrt(2 * k * math.log(k) / len(np.load(held, mmap_mode="r"))) if held.exists() else None


def cases(folder: Path, text: Path, clusters: list[int], quick: bool, million: bool) -> list[tuple[str, Path, int]]:
    most = 4_000 if quick else None
    if text.is_dir():
        points, documents = text_points(text, most)
        name = "text"
    else:
        points = np.load(made(folder / "made.npy", most or 100_000, 100))
        documents, name = np.arange(len(points)) // 4, "made"
    pieces = halves(points, np.arange(len(points)), folder / "pieces.npy")
    whole = halves(points, documents, folder / "documents.npy")
    speed = made(folder / "speed.npy", 4_000 if quick else 100_000)
    chosen = [
        (f"{name}, held-out {unit}", path, k)
        for unit, path in (("pieces", pieces), ("documents", whole))
        for k in clusters
    ]
    chosen += [("speed", speed, k) for k in clusters]
    if million:
        chosen.append(("million", made(folder / "million.npy", 1_000_000), 64))
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--text", type=Path, default=CORPORA)
    parser.add_argument("--peers", help="Python with faiss-cpu and k-means-constrained")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--clusters", default="16,64")
    parser.add_argument("--only", default="", help="cases whose name starts so")
    parser.add_argument("--methods", default="", help="of ours,sklearn,faiss,constrained")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    clusters = [int(k) for k in options.clusters.split(",")]
    if options.job:
        print(json.dumps(job(options.job, options.data, clusters[0])))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path, k in cases(Path(folder), options.text, clusters, options.quick, options.million):
            if not name.startswith(options.only):
                continue
            methods = options.methods.split(",") if options.methods else list(METHODS if options.peers else OWN)
            methods = ["ours"] if name == "million" else methods
            shape = np.load(path, mmap_mode="r").shape
            for method in methods:
                python = options.peers if method in ("faiss", "constrained") else sys.executable
                result = {"case": name, "n": shape[0], "d": shape[1], "k": k, "method": method}
                result |= run(method, path, k, python) | {"chance": chance(path, k)}
                results.append(result)
                if not options.json:
                    print(line(result), flush=True)
    if options.json:
        print(json.dumps({"results": results}))


def line(result: dict[str, Any]) -> str:
    numbers = ("inertia", "max/mean", "held max/mean", "chance", "wall", "cpu", "mb")
    shown = "  ".join(f"{name} {result[name]:.4g}" for name in numbers if result.get(name) is not None)
    return f"{result['case']}, {result['n']:,} x {result['d']}, k {result['k']}, {result['method']}: " + (
        result.get("failed") or shown
    )


if __name__ == "__main__":
    main()
