"""How much a text is of a topic: ordinal regression on its words, each grade's classes in balance."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.labels import HIGHEST
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

FEATURES = 1 << 18
INVERSE_PENALTY = 10.0  # C of the logistic regressions; 1 to 100 differ by less than seeds do


def count_words(texts: Sequence[str]) -> Any:
    """How often each word stands in each text: sparse (texts, FEATURES); words are lower-cased and hashed."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32)
    return hashed.transform(texts)


def inverse_frequency(counts: Any) -> NDArray[np.float32]:
    """ln((1 + n) / (1 + texts with the word)) + 1 for each of the FEATURES words."""
    seen = np.bincount(counts.indices, minlength=FEATURES)
    weights: NDArray[np.float32] = (np.log((1 + counts.shape[0]) / (1 + seen)) + 1).astype(np.float32)
    return weights


def weigh(counts: Any, idf: NDArray[np.float32]) -> Any:
    """(1 + ln count) idf, each row of length 1 (of no words: all 0); sparse as ``counts``."""
    rows = counts.copy()
    rows.data = (1 + np.log(rows.data)) * idf[rows.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(rows.data**2, 0.0), rows.indptr[:-1]))
    lengths[np.diff(rows.indptr) == 0] = 1
    rows.data /= np.repeat(lengths, np.diff(rows.indptr)).astype(np.float32)
    return rows


@dataclass(frozen=True)
class TopicModel:
    """P(grade >= k) for k = 1 to 5, each a logistic regression on the weighted words, or the same for all texts.

    ``idf`` (FEATURES,), ``weights`` (5, FEATURES), ``intercepts`` (5,); ``characters`` of a text are read.
    """

    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    characters: int
    topic: str = ""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The expected grade of each text, 0 to 5: the sum of P(grade >= k), none above the one before."""
        if not texts:
            return np.zeros(0, np.float32)
        return self.scores_of(weigh(count_words([text[: self.characters] for text in texts]), self.idf))

    def scores_of(self, rows: Any) -> NDArray[np.float32]:
        """The same for rows that ``weigh`` returned."""
        total: NDArray[np.float32] = self.chances_of(rows).sum(axis=1, dtype=np.float64).astype(np.float32)
        return total

    def chances_of(self, rows: Any) -> NDArray[np.float32]:
        """P(grade >= k) for k = 1 to 5, (rows, 5)."""
        logits = np.clip(np.asarray(rows @ self.weights.T) + self.intercepts, -30, 30)
        chances: NDArray[np.float32] = np.minimum.accumulate(1 / (1 + np.exp(-logits)), axis=1)
        return chances

    def save(self, path: Path) -> None:
        """Write an npz; what a person may want to know of it is in the JSON beside it."""
        used = np.flatnonzero(np.any(self.weights != 0, axis=0))
        about = {"topic": self.topic, "characters": self.characters, "features": FEATURES, "words_used": len(used)}
        held = io.BytesIO()
        np.savez_compressed(held, idf=self.idf, columns=used, weights=self.weights[:, used],
                            intercepts=self.intercepts, about=np.array(json.dumps(about)))  # fmt: skip
        write_atomic(path, held.getvalue())
        write_atomic(path.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def load_topic(path: Path) -> TopicModel:
    """The model that ``TopicModel.save`` wrote."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            about = json.loads(str(held["about"]))
            weights = np.zeros((HIGHEST, FEATURES), np.float32)
            weights[:, held["columns"]] = held["weights"]
            model = TopicModel(held["idf"], weights, held["intercepts"], about["characters"], about["topic"])
    except FileNotFoundError as error:
        raise UserError(Problem("no such file", str(path), "give the model.npz of a step classify")) from error
    except (KeyError, ValueError, IndexError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(Problem("not a model of ours", str(path), "give the model.npz of a step classify")) from error
    return model


def fit_topic(
    rows: Any, grades: Sequence[int], idf: NDArray[np.float32], characters: int, topic: str = ""
) -> TopicModel | None:
    """The model of weighted rows (texts, FEATURES) and their grades; None if no grade tells any two apart.

    A grade k that no text reaches has the probability 0, one that all reach 1. The classes "at least k" and "below"
    count the same in each regression, whatever their sizes: scores rank, and are not calibrated to a corpus.
    """
    from sklearn.linear_model import LogisticRegression

    told = np.asarray(grades)
    if len(set(told.tolist())) < 2:
        return None
    weights, intercepts = np.zeros((HIGHEST, FEATURES), np.float32), np.zeros(HIGHEST, np.float32)
    used = np.unique(rows.indices)
    narrow = rows[:, used]
    for cut in range(1, HIGHEST + 1):
        above = told >= cut
        if above.all() or not above.any():
            intercepts[cut - 1] = 30 if above.all() else -30
        elif cut > 1 and np.array_equal(above, told >= cut - 1):
            weights[cut - 1], intercepts[cut - 1] = weights[cut - 2], intercepts[cut - 2]
        else:
            fitted = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=2000).fit(narrow, above)
            weights[cut - 1, used], intercepts[cut - 1] = fitted.coef_[0], fitted.intercept_[0]
    return TopicModel(idf, weights, intercepts, characters, topic)
