"""Cards of clusters and their page."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from speciate.corpus.cluster.cards import page, top_terms


def told(routing: bool = True) -> dict[str, Any]:
    row = {"tokens": 32, "r1": 0.5, "r5": 0.75, "busiest": 1.25}
    found = {"tokens": 32, "r1": 0.25, "r5": 0.5, "paper_r1": 0.8775, "paper_r5": 0.933}
    cards = [
        {
            "cluster": number, "windows": 7, "held_out": 1, "share": 0.5, "price": 0.0,
            "terms": ["<b>", "law & order"], "nearest": [{"cluster": 1 - number, "distance": 0.5}],
            "examples": [{"id": "a:0", "text": "<script>alert(1)</script>"}],
        }
        for number in range(2)
    ]  # fmt: skip
    return {
        "clusters": cards,
        "distances": [[0.0, 0.5], [0.5, 0.0]],
        "embedding": {"kind": "tfidf", "dimensions": 4, "reads": "every word of a window"},
        "window_tokens": 2048,
        "balance": {"clustered": {"windows": 14, "largest_over_mean": 1.0},
                    "held_out": {"windows": 0, "largest_over_mean": None}},
        "quality": {"texts": 2 * routing, "among": 16, "routing": [row] * routing, "routing_nearest": [row] * routing,
                    "retrieval": [found] * routing},
    }  # fmt: skip


def test_the_page_shows_everything_and_needs_no_network() -> None:
    text = page(told())
    for part in ("2 clusters", "law &amp; order", "&lt;script&gt;", "0 and 1: 0.500", "0.750", "0.877", "none"):
        assert part in text
    assert "<script" not in text and "<b>" not in text and "$" not in text
    assert not re.findall(r"(?:src|href)=\"(?!#)", text) and "url(" not in text and "@import" not in text
    assert text == page(told())


def test_a_page_without_held_out_text_says_so() -> None:
    assert "Nothing was held out" in page(told(routing=False))


def test_terms_that_stand_out_come_first() -> None:
    texts = ["the law of the court", "the law", "a cell of the body", "the cell"]
    assert top_terms(texts, np.array([0, 0, 1, 1]), 2)[0][0] == "law"
    assert top_terms(texts, np.array([0, 0, 1, 1]), 3)[2] == [], "an empty cluster"
    assert top_terms(["1", "?"], np.array([0, 1]), 2) == [[], []]
