"""From the first tokens of a text to its cluster: a linear softmax trained on prefixes, or the nearest centroid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.embed import Embedding, Vectors, load_arrays, save_arrays, weigh
from speciate.corpus.cluster.windows import PREFIX, prefix
from speciate.errors import Problem, UserError

BUCKETS = 1 << 18  # of hashed words and pairs of words
TERMS = r"(?u)\b\w+\b|[^\w\s]"
LENGTHS = (8, 256)  # tokens of the second prefix of each text, log-uniform between these
EPOCHS, STEP = 2, 0.3
BATCH, LEAST_BATCH, BATCHES = 512, 32, 80  # prefixes: few are shared among that many steps, as 2 steps learn little
SOFT = 0.1  # hard labels route .5 to 1 percent less right, as which side of a border a text stands on is chance

# The text of a task that routes it (paper 001, table 3).
TASK_FIELDS: Mapping[str, str] = {
    "arc": "question", "sciq": "question", "hellaswag": "ctx", "piqa": "goal", "boolq": "question",
    "winogrande": "sentence", "mmlu": "question",
}  # fmt: skip


class Routes(Protocol):
    """What ranks clusters for texts."""

    def scores(self, texts: Sequence[str]) -> Vectors:
        """(texts, clusters); the higher, the better a cluster fits."""


@dataclass(frozen=True, slots=True, eq=False)
class Router:
    """Softmax of ``features @ weights + bias``, features being hashed terms by TF-IDF beside the embedding.

    ``terms`` (T) are the buckets in use, ascending; ``idf`` (T); ``weights`` (T + dimensions, clusters); ``bias``
    (clusters). ``tokens``: what a prefix is cut to by ``route``.
    """

    terms: NDArray[np.int32]
    idf: Vectors
    weights: Vectors
    bias: Vectors
    embedding: Embedding
    tokens: int = PREFIX

    def scores(self, texts: Sequence[str]) -> Vectors:
        """(texts, clusters): log-odds up to a constant of each row."""
        counts = _hashing().transform(texts)[:, self.terms]
        return np.asarray(self._features(counts, texts) @ self.weights + self.bias, np.float32)

    def route(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The cluster of each text by its first ``tokens`` tokens."""
        return np.asarray(self.scores([prefix(text, self.tokens) for text in texts]).argmax(1))

    def _features(self, counts: Any, texts: Sequence[str]) -> Any:
        return _beside(weigh(counts, self.idf), self.embedding.embed(texts))

    def save(self, path: Path) -> None:
        """Write an npz without pickle. The embedding is saved by itself."""
        save_arrays(path, terms=self.terms, idf=self.idf, weights=self.weights, bias=self.bias,
                    tokens=np.int64(self.tokens))  # fmt: skip


def load_router(path: Path, embedding: Embedding) -> Router:
    """What ``Router.save`` wrote. Raises ``UserError`` if it does not fit the embedding."""
    held = load_arrays(path, "terms", "idf", "weights", "bias", "tokens")
    if len(held["weights"]) != len(held["terms"]) + embedding.dimensions:
        fix = "give the embedding.npz that was written beside it"
        raise UserError(Problem(f"made for another embedding than one of {embedding.dimensions}", str(path), fix))
    return Router(held["terms"], held["idf"], held["weights"], held["bias"], embedding, int(held["tokens"]))


@dataclass(frozen=True, slots=True, eq=False)
class NearestCentroid:
    """The paper's rule: the centroid nearest to the embedding of the prefix. ``centroids`` (clusters, dimensions)."""

    centroids: Vectors
    embedding: Embedding

    def scores(self, texts: Sequence[str]) -> Vectors:
        """(texts, clusters): minus the squared distance, up to a constant of each row."""
        squares = np.einsum("ij,ij->i", self.centroids, self.centroids)
        return np.asarray(2 * self.embedding.embed(texts) @ self.centroids.T - squares, np.float32)


def train_router(
    texts: Sequence[str],
    targets: Vectors,
    embedding: Embedding,
    tokens: int = PREFIX,
    seed: int = 0,
) -> Router:
    """Fit on two prefixes of each text: one of ``tokens``, one of 8 to 256 tokens.

    ``targets`` (texts, clusters): shares of each text's clusters, as ``soft_targets`` gives them. Adaptive gradient
    steps (AdaGrad) on the cross-entropy, ``EPOCHS`` times over all prefixes with the step falling to 0: more passes
    learn the texts by heart. The same seed gives the same router.
    """
    rng = np.random.default_rng(seed)
    low, high = np.log(LENGTHS)
    lengths = np.exp(rng.uniform(low, high, len(texts))).astype(int)
    heads = [prefix(text, tokens) for text in texts]
    heads += [prefix(text, length) for text, length in zip(texts, lengths, strict=True)]
    counts = _hashing().transform(heads)
    seen = np.bincount(counts.indices, minlength=BUCKETS)
    terms = np.flatnonzero(seen >= min(2, seen.max())).astype(np.int32)
    idf = (np.log((1 + len(heads)) / (1 + seen[terms])) + 1).astype(np.float32)
    features = _beside(weigh(counts[:, terms], idf), embedding.embed(heads))
    weights, bias = _descend(features, np.tile(targets, (2, 1)), rng)
    return Router(terms, idf, weights, bias, embedding, tokens)


def soft_targets(vectors: Vectors, centroids: Vectors, prices: NDArray[Any]) -> Vectors:
    """(texts, clusters): softmax of minus the costs |x - c|^2 + price; half-way texts are shared between clusters.

    The temperature is ``SOFT`` of the median gap between the best cost and the second.
    """
    squares = np.einsum("ij,ij->i", centroids, centroids)
    costs = np.asarray(squares + prices - 2 * vectors @ centroids.T, np.float32)
    if costs.shape[1] == 1 or not len(costs):
        return np.ones_like(costs)
    two = np.partition(costs, 1, axis=1)[:, :2]
    temperature = max(SOFT * float(np.median(two[:, 1] - two[:, 0])), 1e-9)
    return _softmax(-costs / np.float32(temperature))


def _descend(features: Any, targets: Vectors, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Weights (features, clusters) and bias (clusters)."""
    (count, width), clusters = features.shape, targets.shape[1]
    weights, squares = np.zeros((width, clusters), np.float32), np.full((width, clusters), 1e-8, np.float32)
    bias, bias_squares = np.zeros(clusters, np.float32), np.full(clusters, 1e-8, np.float32)
    size = min(BATCH, max(LEAST_BATCH, count // BATCHES))
    batches = -(-count // size)
    for epoch in range(EPOCHS):
        order = rng.permutation(count)
        for number in range(batches):
            chosen = order[number * size : (number + 1) * size]
            rows = features[chosen]
            wrong = _softmax(rows @ weights + bias) - targets[chosen]
            touched = np.unique(rows.indices)
            slope = np.asarray(rows[:, touched].T @ wrong, np.float32)
            step = STEP * (1 - (epoch * batches + number) / (EPOCHS * batches))
            squares[touched] += slope * slope
            weights[touched] -= (step * slope / np.sqrt(squares[touched])).astype(np.float32)
            total = wrong.sum(0)
            bias_squares += total * total
            bias -= (step * total / np.sqrt(bias_squares)).astype(np.float32)
    return weights, bias


def _softmax(scores: Vectors) -> Vectors:
    held = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(held / held.sum(1, keepdims=True), np.float32)


def _beside(rows: Any, vectors: Vectors) -> Any:
    from scipy import sparse

    return sparse.hstack([rows, sparse.csr_matrix(vectors)], format="csr", dtype=np.float32)


@lru_cache(maxsize=1)
def _hashing() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=BUCKETS, token_pattern=TERMS, ngram_range=(1, 2), alternate_sign=False,
                             norm=None, dtype=np.float32)  # fmt: skip


def task_text(task: str, record: Mapping[str, Any]) -> str:
    """The text of a task's record that routes it, by the paper's table 3; "question" for tasks that it lacks.

    Raises ``UserError`` if the record has no such text.

    >>> task_text("hellaswag", {"ctx": "A man climbs", "endings": ["up", "down"]})
    'A man climbs'
    """
    known = [name for name in TASK_FIELDS if task.lower().startswith(name)]
    wanted = [TASK_FIELDS[known[0]], "question"] if known else ["question"]
    for field in wanted:
        if isinstance(record.get(field), str) and record[field].strip():
            return str(record[field])
    fix = f"give it one, or name its field; it has {', '.join(sorted(map(str, record)))}"
    raise UserError(Problem(f"no text in {' or '.join(dict.fromkeys(wanted))}", f"a record of {task}", fix))
