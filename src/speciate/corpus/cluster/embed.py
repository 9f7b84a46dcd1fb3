"""Embeddings of whole windows: TF-IDF with a truncated SVD by default, sentence models by path or name."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

Vectors = NDArray[np.float32]
TFIDF = "tfidf"
WORDS = r"(?u)\b\w\w+\b"
MOST_WORDS = 100_000  # of the vocabulary, the most frequent
AT_LEAST = 3  # windows that a word must stand in (1 in samples below SMALL)
SMALL = 1_000
MOST_COMMON = 0.5  # share of windows: a word in more of them says little


class Embedding(Protocol):
    """What turns text into vectors of length 1 (0 for text that it knows nothing of)."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimensions); a vector does not depend on the texts beside it."""

    def told(self) -> dict[str, Any]:
        """What it is and what it reads of a text, for a report."""


@dataclass(frozen=True, slots=True, eq=False)
class TfidfSvd:
    """Words by (1 + log count) x idf, of length 1, times ``components``, of length 1 again.

    ``vocabulary`` (V) in the order of columns; ``idf`` (V); ``components`` (dimensions, V).
    """

    vocabulary: tuple[str, ...]
    idf: Vectors
    components: Vectors

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return len(self.components)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimensions) float32 of length 1; the zero vector where no word is known."""
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        rows = weigh(_counter(self).transform(texts), self.idf)
        words = np.unique(rows.indices)  # only their columns: copying all takes longer than to route a text
        return unit(np.asarray(rows[:, words] @ np.ascontiguousarray(self.components.T[words]), np.float32))

    def told(self) -> dict[str, Any]:
        """What it is and reads."""
        return {"kind": TFIDF, "dimensions": self.dimensions, "words": len(self.vocabulary),
                "reads": "every word of a window"}  # fmt: skip

    def save(self, path: Path) -> None:
        """Write an npz without pickle: the vocabulary as UTF-8 JSON."""
        words = np.frombuffer(json.dumps(self.vocabulary, ensure_ascii=False).encode(), np.uint8)
        save_arrays(path, vocabulary=words, idf=self.idf, components=self.components)


def fit_tfidf(texts: Sequence[str], dimensions: int = 64, seed: int = 0) -> TfidfSvd:
    """Vocabulary, idf and the leading directions of these texts; fewer directions where there are fewer texts.

    Raises ``UserError`` if the texts hold no words.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    least = AT_LEAST if len(texts) >= SMALL else 1
    common = MOST_COMMON if len(texts) >= SMALL else 1.0
    counter = CountVectorizer(token_pattern=WORDS, min_df=least, max_df=common, max_features=MOST_WORDS,
                              dtype=np.float32)  # fmt: skip
    try:
        counts = counter.fit_transform(texts)
    except ValueError as error:
        fix = "give text with words in it, or a sentence model"
        raise UserError(Problem(f"no words to embed by ({error})", "the text", fix)) from error
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = (np.log((1 + counts.shape[0]) / (1 + seen)) + 1).astype(np.float32)
    rank = max(1, min(dimensions, min(counts.shape) - 1))
    _, _, components = randomized_svd(weigh(counts, idf), rank, n_iter=4, random_state=seed)
    return TfidfSvd(tuple(counter.get_feature_names_out()), idf, np.asarray(components, np.float32))


def load_tfidf(path: Path) -> TfidfSvd:
    """What ``save`` wrote. Raises ``UserError`` for anything else."""
    arrays = load_arrays(path, "vocabulary", "idf", "components")
    words = json.loads(arrays["vocabulary"].tobytes().decode())
    return TfidfSvd(tuple(words), arrays["idf"], arrays["components"])


def weigh(counts: Any, idf: Vectors) -> Any:
    """Rows of counts (scipy CSR) as (1 + log count) x idf, of length 1."""
    from sklearn.preprocessing import normalize

    rows = counts.astype(np.float32)
    rows.data = ((1 + np.log(rows.data)) * idf[rows.indices]).astype(np.float32)
    return normalize(rows, copy=False)


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; zero rows stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


@lru_cache(maxsize=4)
def _counter(embedding: TfidfSvd) -> Any:
    """Kept by the embedding, as the hash of a hundred thousand words takes as long as to count some."""
    from sklearn.feature_extraction.text import CountVectorizer

    words = {word: at for at, word in enumerate(embedding.vocabulary)}
    return CountVectorizer(token_pattern=WORDS, vocabulary=words, dtype=np.float32)


def save_arrays(path: Path, **arrays: Any) -> None:
    """An npz, whole or absent."""
    held = io.BytesIO()
    np.savez(held, **arrays)
    write_atomic(path, held.getvalue())


def load_arrays(path: Path, *names: str) -> dict[str, Any]:
    """These arrays of an npz; never unpickles. Raises ``UserError`` if the file is not there or not ours."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError) as error:
        fix = "give a file that corpus cluster wrote, or run it again"
        raise UserError(Problem(f"cannot be read as {', '.join(names)} ({error})", str(path), fix)) from error
