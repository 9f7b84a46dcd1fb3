"""The router, and the two tables that say how good it is."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.cluster.embed import TfidfSvd, fit_tfidf
from speciate.corpus.cluster.router import NearestCentroid, load_router, soft_targets, task_text, train_router
from speciate.corpus.cluster.routing_quality import recalls, retrieval_rows, routing_rows
from speciate.errors import UserError

TOPICS = ("law court judge appeal statute", "cell gene protein tissue enzyme", "loop array class method string")


def topical(topic: int, seed: int) -> str:
    rng = random.Random(seed)
    own, shared = TOPICS[topic].split(), ["the", "of", "and", "to", "in", "is", "for", "on"]
    return " ".join(rng.choice(own if rng.random() < 0.3 else shared) for _ in range(120))


TEXTS = [topical(i % 3, i) for i in range(240)]
LABELS = np.arange(240) % 3
SHARES = np.eye(3, dtype=np.float32)[LABELS]


@pytest.fixture(scope="module")
def embedding() -> TfidfSvd:
    return fit_tfidf(TEXTS[:180], 4)


def test_a_router_finds_the_topic_from_a_prefix(embedding: TfidfSvd) -> None:
    router = train_router(TEXTS[:180], SHARES[:180], embedding)
    held, labels = TEXTS[180:], LABELS[180:]
    assert (router.route(held) == labels).mean() > 0.95
    rows = routing_rows(router, held, labels, 3, (1, 32))
    assert rows[0]["r1"] < rows[1]["r1"] and rows[1]["r1"] > 0.95 and rows[1]["r5"] == 1.0
    assert 1 <= rows[1]["busiest"] < 1.2


def test_the_nearest_centroid_is_by_distance(embedding: TfidfSvd) -> None:
    vectors = embedding.embed(TEXTS)
    centroids = np.stack([vectors[label == LABELS].mean(0) for label in range(3)])
    scores = NearestCentroid(centroids, embedding).scores(TEXTS)
    distances = ((vectors[:, None] - centroids) ** 2).sum(2)
    assert np.array_equal(scores.argmax(1), distances.argmin(1))
    assert np.allclose(np.diff(scores), -np.diff(distances), atol=1e-5)


def test_the_same_seed_is_the_same_router_and_so_is_what_is_saved(tmp_path: Path, embedding: TfidfSvd) -> None:
    first, again = (train_router(TEXTS[:60], SHARES[:60], embedding, tokens=16, seed=5) for _ in range(2))
    assert np.array_equal(first.weights, again.weights)
    first.save(tmp_path / "r.npz")
    loaded = load_router(tmp_path / "r.npz", embedding)
    assert np.array_equal(loaded.scores(TEXTS), first.scores(TEXTS)) and loaded.tokens == 16
    with pytest.raises(UserError, match="another embedding"):
        load_router(tmp_path / "r.npz", fit_tfidf(TEXTS, 2))


def test_the_rest_of_a_text_does_not_change_its_route(embedding: TfidfSvd) -> None:
    router = train_router(TEXTS[:180], SHARES[:180], embedding, tokens=8)
    mixed = [" ".join(a.split()[:8] + b.split()) for a, b in zip(TEXTS[180:], TEXTS[181:], strict=False)]
    assert np.array_equal(router.route(mixed), router.route(TEXTS[180:-1]))


def test_empty_text_has_a_route(embedding: TfidfSvd) -> None:
    router = train_router(TEXTS[:60], SHARES[:60], embedding)
    assert router.route(["", "?!"]).shape == (2,) and np.isfinite(router.scores([""])).all()


def test_a_tie_is_no_hit() -> None:
    assert recalls(np.zeros((2, 7), np.float32), np.array([0, 3])) == (0.0, 0.0)
    scores = np.array([[5, 4, 3, 2, 1, 0]], np.float32)
    assert [recalls(scores, np.array([at])) for at in (0, 4, 5)] == [(1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]


def test_retrieval_is_of_the_text_itself(embedding: TfidfSvd) -> None:
    texts = TEXTS[:40]
    rows = retrieval_rows(embedding, texts, embedding.embed(texts), np.arange(40), (1, 32, 1000))
    assert rows[0]["r1"] < rows[1]["r1"] < rows[2]["r1"] == rows[2]["r5"] == 1.0
    assert rows[1]["paper_r1"] == 0.8775 and rows[2]["paper_r1"] is None
    assert retrieval_rows(embedding, [], embedding.embed(texts), np.arange(0)) == []


def test_tasks_are_routed_by_the_fields_of_table_3() -> None:
    assert task_text("boolq", {"question": "q", "passage": "p"}) == "q"
    assert task_text("piqa_val", {"goal": "g", "question": "q"}) == "g"
    assert task_text("winogrande_xl", {"sentence": "s _ t"}) == "s _ t"
    assert task_text("oab", {"question": "q"}) == "q"
    assert task_text("piqa", {"question": "q"}) == "q", "files that name it otherwise"
    with pytest.raises(UserError, match="no text in ctx or question"):
        task_text("hellaswag", {"endings": ["a"]})


def test_targets_are_shared_at_borders() -> None:
    centroids = np.array([[0.0], [1.0]], np.float32)
    vectors = np.array([[0.0], [0.1], [0.5], [1.0], [1.2]], np.float32)
    even = soft_targets(vectors, centroids, np.zeros(2))
    assert np.allclose(even.sum(1), 1) and np.allclose(even[2], 0.5) and even[0, 0] > 0.99 and even[3, 1] > 0.99
    dear = soft_targets(vectors, centroids, np.array([0.5, 0.0]))
    assert dear[2, 1] > 0.9, "a price moves the border"
    assert np.array_equal(soft_targets(vectors, centroids[:1], np.zeros(1)), np.ones((5, 1)))
