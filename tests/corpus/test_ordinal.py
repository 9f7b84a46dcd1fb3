"""Grades learned from words: they rank, whatever the balance of classes, and come back from disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.classify.ordinal import count_words, fit_topic, inverse_frequency, load_topic, weigh
from speciate.errors import UserError

TOPIC, OTHER = ([f"{kind}{i}" for i in range(60)] for kind in ("lex", "word"))


def text_of(grade: int, rng: random.Random, words: int = 40) -> str:
    """A text of which grade / 5 are words of the topic."""
    return " ".join(rng.choice(TOPIC if rng.random() < grade / 5 else OTHER) for _ in range(words))


def made(grades: list[int], seed: int) -> list[str]:
    rng = random.Random(seed)
    return [text_of(grade, rng) for grade in grades]


def test_words_are_weighed_as_the_textbook_says() -> None:
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = count_words(["a bb bb cc", "bb", "", "cc dd dd dd", ""])
    idf = inverse_frequency(counts)
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(counts).toarray()
    np.testing.assert_allclose(weigh(counts, idf).toarray(), expected, atol=1e-6)


def test_scores_follow_the_grades_and_rare_ones_are_not_drowned() -> None:
    grades = [0] * 150 + [1, 2, 3, 4, 5] * 6
    texts = made(grades, 1)
    counts = count_words(texts)
    idf = inverse_frequency(counts)
    model = fit_topic(weigh(counts, idf), grades, idf, 4000)
    assert model is not None
    unseen = [grade for grade in range(6) for _ in range(40)]
    scores = model.scores(made(unseen, 2))
    means = [scores[np.array(unseen) == grade].mean() for grade in range(6)]
    assert means == sorted(means) and means[5] - means[0] > 2
    assert np.corrcoef(scores, unseen)[0, 1] > 0.9
    assert scores.min() >= 0 and scores.max() <= 5


def test_two_grades_are_enough_and_one_is_not() -> None:
    texts = made([0, 5] * 20, 3)
    counts = count_words(texts)
    idf = inverse_frequency(counts)
    rows = weigh(counts, idf)
    model = fit_topic(rows, [0, 5] * 20, idf, 4000)
    assert model is not None and len({row.tobytes() for row in model.weights}) == 1
    middle = fit_topic(rows, [2, 3] * 20, idf, 4000)
    assert middle is not None and ((middle.scores(texts) > 1.99) & (middle.scores(texts) < 3.01)).all()
    assert fit_topic(rows, [3] * 40, idf, 4000) is None


def test_a_model_comes_back_from_disk_and_reads_so_much_of_a_text(tmp_path: Path) -> None:
    texts = made([0, 1, 2, 5] * 10, 4)
    counts = count_words(texts)
    idf = inverse_frequency(counts)
    model = fit_topic(weigh(counts, idf), [0, 1, 2, 5] * 10, idf, 100, "lawé")
    assert model is not None
    model.save(tmp_path / "m.npz")
    first = (tmp_path / "m.npz").read_bytes()
    model.save(tmp_path / "m.npz")
    assert (tmp_path / "m.npz").read_bytes() == first
    again = load_topic(tmp_path / "m.npz")
    assert again.topic == "lawé" and again.characters == 100
    np.testing.assert_array_equal(again.scores(texts), model.scores(texts))
    longer = [text[:100] + " " + " ".join(TOPIC) for text in texts]
    np.testing.assert_array_equal(again.scores(longer), model.scores([text[:100] for text in texts]))
    np.testing.assert_array_equal(again.scores(texts[:1]), model.scores(texts)[:1])  # whatever is beside it
    assert again.scores([]).shape == (0,) and np.isfinite(again.scores(["", "  ", "unheard"])).all()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x,y\n"])
def test_what_is_no_model_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(UserError, match="not a model of ours"):
        load_topic(tmp_path / "m.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not a model of ours"):
        load_topic(tmp_path / "other.npz")
    with pytest.raises(UserError, match="no such file"):
        load_topic(tmp_path / "none.npz")
