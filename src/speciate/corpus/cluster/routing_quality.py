"""How well prefixes stand for their texts: two tables, of two different questions.

Routing: is the cluster of the whole text the best for the prefix (R@1), or among the best five (R@5)? Retrieval: is
the text itself, among all texts, the one nearest to its prefix? Table 5 of paper 001 has the shape of the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.embed import Embedding, Vectors
from speciate.corpus.cluster.router import Routes
from speciate.corpus.cluster.windows import prefix

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # tokens
# Table 5 of paper 001 (R@1, R@5 by tokens), "retrieval accuracy of the full document given the prefix".
PAPER = {
    1: (0.0128, 0.0362), 2: (0.0955, 0.1753), 4: (0.2664, 0.3765), 8: (0.4802, 0.5884), 16: (0.7112, 0.8078),
    32: (0.8775, 0.9330), 64: (0.9663, 0.9870), 128: (0.9972, 0.9995), 256: (0.9998, 1.0),
}  # fmt: skip
AT_ONCE = 512


def recalls(scores: Vectors, right: NDArray[Any]) -> tuple[float, float]:
    """R@1 and R@5 of the right column of each row; one that ties with others ranks behind them.

    >>> recalls(np.array([[3.0, 1.0], [2.0, 2.0]], np.float32), np.array([0, 1]))
    (0.5, 1.0)
    """
    own = scores[np.arange(len(scores)), right][:, None]
    before = (scores >= own).sum(1) - 1
    return float((before < 1).mean()), float((before < 5).mean())


def routing_rows(
    routes: Routes, texts: Sequence[str], labels: NDArray[Any], clusters: int, lengths: Sequence[int] = LENGTHS
) -> list[dict[str, float]]:
    """{"tokens", "r1", "r5", "busiest"} for each length: recalls of the cluster of the whole text.

    ``labels`` (texts) are the clusters of the whole texts. ``busiest``: share of the prefixes that go to the cluster
    that gets most, times the number of clusters.
    """
    rows = []
    for length in lengths if len(texts) else ():
        scores = routes.scores([prefix(text, length) for text in texts])
        first, five = recalls(scores, labels)
        busiest = np.bincount(scores.argmax(1), minlength=clusters).max() * clusters / len(texts)
        rows.append({"tokens": length, "r1": first, "r5": five, "busiest": float(busiest)})
    return rows


def retrieval_rows(
    embedding: Embedding, texts: Sequence[str], among: Vectors, own: NDArray[Any], lengths: Sequence[int] = LENGTHS
) -> list[dict[str, float]]:
    """{"tokens", "r1", "r5", "paper_r1", "paper_r5"}: recalls of the text itself by the cosine with its prefix.

    ``among`` (n, dimensions) are the vectors of all whole texts, ``own`` (texts) which of them is each text's.
    """
    rows: list[dict[str, float]] = []
    for length in lengths if len(texts) else ():
        total = np.zeros(2)
        for first in range(0, len(texts), AT_ONCE):
            chosen = slice(first, first + AT_ONCE)
            vectors = embedding.embed([prefix(text, length) for text in texts[chosen]])
            total += np.array(recalls(vectors @ among.T, own[chosen])) * len(vectors)
        one, five = total / len(texts)
        paper = PAPER.get(length, (None, None))
        rows.append({"tokens": length, "r1": float(one), "r5": float(five), "paper_r1": paper[0], "paper_r5": paper[1]})  # type: ignore[dict-item]
    return rows


def told_tables(quality: dict[str, Any]) -> list[str]:
    """Both tables for a person, with what each of them says."""
    lines = [f"Routing of {quality['texts']:,} held-out windows: is the whole window's cluster first, or in five?"]
    lines.append("  tokens  router R@1  R@5    nearest centroid R@1  R@5    busiest/mean: router  centroid")
    for learned, nearest in zip(quality["routing"], quality["routing_nearest"], strict=True):
        lines.append(
            f"  {learned['tokens']:6}  {learned['r1']:10.3f}  {learned['r5']:.3f}  {nearest['r1']:20.3f}  "
            f"{nearest['r5']:.3f}  {learned['busiest']:21.2f}  {nearest['busiest']:8.2f}"
        )
    lines.append(f"Retrieval: is the window itself first, or in five, of {quality['among']:,} (paper 001, table 5)?")
    lines.append("  tokens  R@1    R@5    paper R@1  R@5")
    for row in quality["retrieval"]:
        paper = "" if row["paper_r1"] is None else f"  {row['paper_r1']:9.3f}  {row['paper_r5']:.3f}"
        lines.append(f"  {row['tokens']:6}  {row['r1']:.3f}  {row['r5']:.3f}{paper}")
    return lines
