"""How good a topic's scores are, from held-out labels, corrected for how those were drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.labels import HIGHEST, Label

DRAWS = 400
LEVEL = 0.9
BANDS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)


def judge_scores(
    scores: NDArray[Any],
    labels: Sequence[Label],
    relevant_from: int = 3,
    threshold: float | None = None,
    seed: int = 0,
    pool: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Average precision, precision and recall at the threshold, each with low and high, and calibration by bands.

    A text is relevant if its grade is at least ``relevant_from``. Every label counts by its weight (Horvitz and
    Thompson 1952); ``low`` and ``high`` are 90 % intervals of the bootstrap over labels. None where no label tells.
    ``pool``: scores of all texts that labels were drawn from, labelled or not, which average precision is then of,
    unless all labels weigh the same: a random sample is better taken as it is (of 100 labels, 30 % relevant, the pool
    would make .97 to .84).
    """
    told = [(score, label) for score, label in zip(scores, labels, strict=True) if label.score is not None]
    score = np.array([s for s, _ in told], float)
    grade = np.array([label.score for _, label in told], float)
    weight = np.array([label.weight for _, label in told])
    if pool is not None and len(told):
        weight *= len(pool) / weight.sum()  # of texts that nobody could grade the others take over
    relevant = grade >= relevant_from
    measures: dict[str, Callable[[NDArray[Any]], float | None]] = {
        "average_precision": lambda w: average_precision(score, relevant, w)
    }
    if pool is not None and len(set(weight.tolist())) > 1:
        above = len(pool) - np.searchsorted(np.sort(pool), score, "left")
        measures["average_precision"] = lambda w: sampled_average_precision(score, relevant, w, above)
    if threshold is not None:
        kept = score >= threshold
        measures["precision"] = lambda w: _share(w * relevant * kept, w * kept)
        measures["recall"] = lambda w: _share(w * relevant * kept, w * relevant)
    rng = np.random.default_rng([seed, 2])
    draws = [weight * rng.multinomial(len(told), np.full(len(told), 1 / len(told))) for _ in range(DRAWS * bool(told))]
    report: dict[str, Any] = {"labels": len(told), "relevant_labels": int(relevant.sum())}
    report["prevalence"] = _share(weight * relevant, weight)
    for name, measure in measures.items():
        seen = [value for draw in draws if (value := measure(draw)) is not None]
        low, high = np.quantile(seen, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist() if seen else (None, None)
        report[name] = {"value": measure(weight), "low": low, "high": high}
    return report | {"calibration": _calibration(score, grade, weight)}


def average_precision(scores: NDArray[Any], relevant: NDArray[np.bool_], weights: NDArray[np.float64]) -> float | None:
    """The mean, over relevant texts, of the precision among the texts that score no less; None without any.

    >>> average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), np.ones(3))
    0.8333333333333333
    """
    total = float((weights * relevant).sum())
    if not total:
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each group of equal scores
    found, seen = (np.cumsum(values[order])[last] for values in (weights * relevant, weights))
    gained = np.diff(found, prepend=0.0)
    return float((gained * found / np.maximum(seen, 1e-300)).sum() / total)


def sampled_average_precision(
    scores: NDArray[Any], relevant: NDArray[np.bool_], weights: NDArray[np.float64], above: NDArray[Any]
) -> float | None:
    """Average precision of all texts from a sample of them, of weight 1 / probability of being drawn; None if no text
    of the sample is relevant.

    ``above``: how many of all texts score no less than each; that needs no labels, and taken from them it would be
    too small as often as a text of large weight is missed. What stands for itself counts once, not by its weight.

    >>> sampled_average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), np.ones(3), np.arange(1, 4))
    0.8333333333333333
    """
    relevant = relevant & (weights > 0)
    own, weights, above = scores[relevant], weights[relevant], above[relevant]
    if not len(own):
        return None
    order = np.argsort(own, kind="stable")
    from_here = np.append(weights[order][::-1].cumsum()[::-1], 0.0)  # weights of this one and of higher scores
    found = from_here[np.searchsorted(own[order], own, "left")] - weights + 1
    return float((weights * np.minimum(found / np.maximum(above, 1), 1)).sum() / weights.sum())


def _share(part: NDArray[Any], whole: NDArray[Any]) -> float | None:
    total = float(whole.sum())
    return float(part.sum()) / total if total else None


def _calibration(score: NDArray[Any], grade: NDArray[Any], weight: NDArray[Any]) -> list[dict[str, Any]]:
    """Mean score and mean grade of the texts of each band of scores."""
    bands = []
    for low, high in zip(BANDS, BANDS[1:], strict=False):
        inside = (score >= low) & ((score < high) | (high == HIGHEST))
        share = _share(weight * inside, weight)
        if inside.any():
            mean_score, mean_grade = (float(np.average(v[inside], weights=weight[inside])) for v in (score, grade))
            bands.append({"from": low, "to": high, "labels": int(inside.sum()), "share": share,
                          "mean_score": mean_score, "mean_grade": mean_grade})  # fmt: skip
    return bands
