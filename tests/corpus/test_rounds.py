"""Which texts are asked about, what held-out labels tell, and where the corpus is cut."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from speciate.corpus.classify.held_out import average_precision, judge_scores, sampled_average_precision
from speciate.corpus.classify.labels import Label
from speciate.corpus.classify.rounds import (
    Labelling,
    Ranking,
    Schedule,
    judged_pool,
    label_in_rounds,
    suggest_to_judge,
)
from speciate.corpus.classify.sampling import Candidate, draw_sample, priority
from speciate.corpus.classify.threshold import Cut, Scores, cut_to_budget, parse_tokens, tokens_above
from speciate.corpus.steps.parts import cut
from speciate.errors import UserError

WORDS = [f"word{i}" for i in range(400)]


def corpus(size: int, prevalence: float, seed: int = 0) -> list[Candidate]:
    """Texts of 30 words; those of the topic have ids that begin with t, and four words of its thirty."""
    rng = random.Random(seed)
    texts = []
    for number in range(size):
        of_topic = rng.random() < prevalence
        words = rng.choices(WORDS, k=26) + rng.choices([f"lex{i}" for i in range(30)] if of_topic else WORDS, k=4)
        rng.shuffle(words)
        texts.append(Candidate(f"{'t' if of_topic else 'o'}{number}", " ".join(words)))
    return texts


class Oracle:
    """Grades by the id, and remembers what it was asked."""

    def __init__(self, labelling: Labelling) -> None:
        self.labelling = labelling
        self.asked: dict[str, list[str]] = {}

    def __call__(self, texts: Sequence[Candidate], why: str) -> None:
        self.asked[why] = [text.id for text in texts]
        for text in texts:
            self.labelling.note(text.id, 5 if text.id[0] == "t" else 0)


def run(candidates: list[Candidate], schedule: Schedule, topic: str = "lex1 lex2") -> tuple[Ranking, Labelling, Oracle]:
    ranking, labelling = Ranking(candidates, topic, 4000), Labelling()
    oracle = Oracle(labelling)
    label_in_rounds(ranking, oracle, labelling, schedule)
    return ranking, labelling, oracle


def test_rounds_find_a_rare_topic_that_random_labels_miss() -> None:
    candidates = corpus(6000, 0.01)
    schedule = Schedule(per_round=100, rounds=4, held_out=0)
    ranking, labelling, oracle = run(candidates, schedule)
    first = sum(name[0] == "t" for name in oracle.asked["round 1 of 4"])
    found = sum(name[0] == "t" for name in labelling.labels)
    assert oracle.asked["round 1 of 4"] == [c.id for c in candidates[:100]]
    assert len(labelling.labels) == 400 and first <= 4 and found > 30
    unseen = corpus(4000, 0.01, seed=9)
    relevant = np.array([c.id[0] == "t" for c in unseen])
    random_labels = [Label(c.id, 5 * (c.id[0] == "t")) for c in candidates[:400]]
    by_rounds, at_random = (
        average_precision(model.scores([c.text for c in unseen]), relevant, np.ones(len(unseen)))
        for labels in (list(labelling.labels.values()), random_labels)
        if (model := ranking.fit(labels)) is not None
    )
    assert by_rounds is not None and at_random is not None and by_rounds > 0.9 and by_rounds > at_random + 0.05


def test_texts_that_only_mention_a_topic_do_not_take_up_the_labels() -> None:
    """A third of the texts mentions the topic, one in a hundred is about it: the rounds look for the latter."""
    rng = random.Random(1)
    candidates = [
        Candidate(("m" if rng.random() < 0.33 else c.id[0]) + c.id, c.text) if c.id[0] == "o" else c
        for c in corpus(6000, 0.01)
    ]
    candidates = [Candidate(c.id, c.text + " near miss almost" * (c.id[0] == "m")) for c in candidates]
    ranking, labelling = Ranking(candidates, "lex1 lex2", 4000), Labelling()

    def grade(texts: Sequence[Candidate], why: str) -> None:
        for text in texts:
            labelling.note(text.id, {"t": 5, "m": 1}.get(text.id[0], 0))

    label_in_rounds(ranking, grade, labelling, Schedule(100, 4, 0))
    assert sum(label.score == 5 for label in labelling.labels.values()) > 30


def test_a_first_round_that_finds_nothing_is_followed_by_texts_near_the_topic() -> None:
    candidates = [Candidate(f"o{i}", "word" + str(i)) for i in range(200)] + corpus(2000, 0.01)
    _, labelling, oracle = run(candidates, Schedule(50, 3, 0))
    assert not any(name[0] == "t" for name in oracle.asked["round 1 of 3"])
    assert sum(name[0] == "t" for name in oracle.asked["round 2 of 3"]) >= 3
    assert sum(name[0] == "t" for name in labelling.labels) >= 10


def test_a_labelling_that_was_stopped_goes_on_where_it_was() -> None:
    candidates, schedule = corpus(3000, 0.03), Schedule(60, 3, 60)
    _, whole, oracle = run(candidates, schedule)
    assert len(whole.labels) == schedule.total == sum(map(len, oracle.asked.values()))
    for done in (0, 1, 59, 60, 150, 200, 239, 240):
        begun = Labelling({name: Label(name, whole.labels[name].score) for name in list(whole.labels)[:done]})
        again = Oracle(begun)
        label_in_rounds(Ranking(candidates, "lex1 lex2", 4000), again, begun, schedule)
        assert begun.labels == whole.labels and list(begun.labels) == list(whole.labels)
        assert sum(map(len, again.asked.values())) == schedule.total - done


def test_texts_that_nobody_can_grade_are_asked_about_once() -> None:
    candidates = corpus(1000, 0.1)
    ranking, labelling = Ranking(candidates, "lex1", 4000), Labelling()

    def grade(texts: Sequence[Candidate], why: str) -> None:
        for number, text in enumerate(texts):
            labelling.note(text.id, None if number % 3 == 0 else 5 * (text.id[0] == "t"))

    label_in_rounds(ranking, grade, labelling, Schedule(40, 3, 40))
    assert len(labelling.labels) == 160 and sum(x.score is None for x in labelling.labels.values()) == 56


def test_a_sample_too_small_for_the_labels_is_told() -> None:
    with pytest.raises(UserError, match="a sample of 100 texts for 160 labels"):
        run(corpus(100, 0.1), Schedule(40, 3, 40))


def test_held_out_labels_tell_what_all_labels_would() -> None:
    """Estimates from 200 weighted labels are unbiased for the precision and recall of the whole pool."""
    candidates = corpus(5000, 0.02)
    ranking, labelling, _ = run(candidates, Schedule(40, 2, 0))  # few, so that there are errors to be seen
    model = ranking.fit(list(labelling.labels.values()))
    assert model is not None
    pool = candidates[3000:]
    relevant = np.array([c.id[0] == "t" for c in pool])
    scores = model.scores([c.text for c in pool])
    at_score = float(np.sort(scores)[-35])
    kept = scores >= at_score
    truth = (kept & relevant).sum() / kept.sum(), (kept & relevant).sum() / relevant.sum(), relevant.mean()
    assert 0.2 < truth[0] < 0.98 and 0.2 < truth[1] < 0.999
    seen = []
    for seed in range(40):
        again = Labelling(dict(labelling.labels))
        label_in_rounds(ranking, Oracle(again), again, Schedule(40, 2, 200), seed)
        held = [label for label in again.labels.values() if label.held_out]
        at = {c.id: float(score) for c, score in zip(pool, scores, strict=True)}
        assert len(held) == 200 and sum(label.weight for label in held) == pytest.approx(2000, rel=0.2)
        told = judge_scores(np.array([at[label.id] for label in held]), held, 3, at_score)
        seen.append((told["precision"]["value"], told["recall"]["value"], told["prevalence"]))
    means, errors = np.mean(seen, axis=0), np.std(seen, axis=0) / np.sqrt(len(seen))
    assert (np.abs(means - truth) <= 4 * errors + 0.01).all(), (means, truth, errors)


def test_average_precision_told_by_a_few_labels_is_that_of_all() -> None:
    """Neither too high nor too low in the mean, and the interval holds it as often as it says."""
    candidates = corpus(5000, 0.02)
    ranking, labelling, _ = run(candidates, Schedule(40, 2, 0))
    labels = list(labelling.labels.values())
    model = ranking.fit(labels)
    assert model is not None
    schedule = Schedule(40, 2, 200)
    pool = candidates[judged_pool(ranking, schedule).start :]
    scores = model.scores([c.text for c in pool])
    at = {c.id: float(score) for c, score in zip(pool, scores, strict=True)}
    truth = average_precision(scores, np.array([c.id[0] == "t" for c in pool]), np.ones(len(pool)))
    assert truth is not None and 0.5 < truth < 0.95
    told = []
    for seed in range(40):
        drawn = suggest_to_judge(ranking, labels, schedule, seed)
        held = [Label(c.id, 5 * (c.id[0] == "t"), weight, True) for c, weight in drawn]
        of_labels = np.array([at[label.id] for label in held])
        judged = judge_scores(of_labels, held, pool=scores)["average_precision"]
        told.append((judged["value"], judged["low"] <= truth <= judged["high"]))
    values, inside = np.array(told).T
    assert abs(values.mean() - truth) < 4 * values.std() / 40**0.5 + 0.01
    assert inside.mean() >= 0.8
    everything = [Label(c.id, 5 * (c.id[0] == "t")) for c in pool]
    assert judge_scores(scores, everything, pool=scores)["average_precision"]["value"] == pytest.approx(truth)


def test_average_precision_told_by_labels_at_random_is_that_of_all() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(40):
        relevant = rng.random(2000) < 0.3
        scores = rng.normal(size=2000) + 3 * relevant
        truth = average_precision(scores, relevant, np.ones(2000))
        drawn = rng.choice(2000, 100, replace=False)
        held = [Label(str(at), 5 * int(relevant[at]), held_out=True) for at in drawn]
        told = judge_scores(scores[drawn], held, pool=scores)["average_precision"]
        errors.append(told["value"] - truth)
    assert abs(np.mean(errors)) < 0.02 and np.std(errors) < 0.04


def test_average_precision_is_scikit_learns_with_weights_and_ties() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, relevant, weights = rng.integers(0, 8, 50) / 2, rng.random(50) < 0.3, rng.random(50) + 0.1
        expected = average_precision_score(relevant, scores, sample_weight=weights)
        assert average_precision(scores, relevant, weights) == pytest.approx(expected)
        even, above = np.ones(50), (scores[None, :] >= scores[:, None]).sum(1)
        expected = average_precision_score(relevant, scores)
        assert sampled_average_precision(scores, relevant, even, above) == pytest.approx(expected)
    assert average_precision(np.zeros(3), np.zeros(3, bool), np.ones(3)) is None


def test_what_no_label_tells_is_null() -> None:
    told = judge_scores(np.array([0.1, 0.2]), [Label("a", 0), Label("b", None)], 3, 2.5)
    assert told["labels"] == 1 and told["prevalence"] == 0
    assert [told[name]["value"] for name in ("average_precision", "precision", "recall")] == [None] * 3
    json.dumps(told, allow_nan=False)
    assert judge_scores(np.zeros(0), [], 3, 2.5)["average_precision"] == {"value": None, "low": None, "high": None}


def test_calibration_is_the_mean_grade_of_a_band() -> None:
    labels = [Label("a", 0, 3.0), Label("b", 4, 1.0), Label("c", 5)]
    bands = judge_scores(np.array([2.0, 2.5, 5.0]), labels)["calibration"]
    assert [(b["from"], b["mean_grade"], b["mean_score"]) for b in bands] == [(2.0, 1.0, 2.125), (4.0, 5.0, 5.0)]


def scores_files(folder: Path, seed: int, tied: bool = False) -> tuple[list[Path], Scores]:
    rng = np.random.default_rng(seed)
    parts = []
    for number, size in enumerate((0, 1, 500, 2000)):
        score = rng.beta(0.2, 3, size).astype(np.float32) * 5
        score = np.round(score * 2).astype(np.float32) / 2 if tied else score
        rank = rng.integers(0, 1 << 53, size).astype(np.uint64)
        parts.append(Scores(score, rng.integers(1, 2000, size), rank))
        np.savez(folder / f"{number}.npz", score=score, tokens=parts[-1].tokens, rank=rank)
    whole = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "tokens", "rank"))
    return sorted(folder.glob("*.npz")), Scores(*whole)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("budget", [1, 1500, 40_000.5, 1e6, 2.4e6, None])
def test_a_budget_is_met_within_half_a_document_by_the_best(tmp_path: Path, budget: float | None, tied: bool) -> None:
    files, whole = scores_files(tmp_path, 1, tied)
    budget = float(whole.tokens.sum()) if budget is None else budget
    at, tokens = cut_to_budget(files, budget)
    kept = at.keeps(whole)
    assert (int(kept.sum()), tokens) == tokens_above(files, at)
    assert whole.tokens[kept].sum() == tokens
    if kept.sum() > 1:
        assert abs(tokens - budget) <= 1000
    assert whole.score[kept].min() >= whole.score[~kept].max(initial=0.0)


def test_more_tokens_than_there_are_is_told(tmp_path: Path) -> None:
    files, whole = scores_files(tmp_path, 1)
    with pytest.raises(UserError, match="are asked for"):
        cut_to_budget(files, float(whole.tokens.sum()) + 1)
    assert Cut(0.0).keeps(whole).all()


@pytest.mark.parametrize("text", ["", "B", "many", "-1", "0", "nan", "inf", "1e400", "3kk"])
def test_no_number_of_tokens(text: str) -> None:
    with pytest.raises(UserError, match="no number of tokens"):
        parse_tokens(text)


def test_a_sample_is_the_same_from_any_parts_and_uniform(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, size in (("a", 3000), ("b", 10), ("c", 700)):
        lines = [json.dumps({"text": f"{name} {i} " + "x" * (i % 50)}) for i in range(size)]
        (tmp_path / "in" / f"{name}.jsonl").write_text("\n".join(lines))
    drawn = [
        draw_sample(cut(tmp_path / "in", size), tmp_path / f"s{size}", 400, 20, ["c.jsonl:0"]) for size in (1e9, 1e4)
    ]
    assert drawn[0].candidates == drawn[1].candidates and drawn[0].wanted == {"c.jsonl:0": "c 0 "}
    assert drawn[0].documents == 3710 and len(drawn[0].candidates) == 400
    ranks = [priority(c.id, 0) for c in drawn[0].candidates]
    assert ranks == sorted(ranks) and max(ranks) / 2**53 == pytest.approx(400 / 3710, rel=0.15)
    assert 290 < sum(c.id[0] == "a" for c in drawn[0].candidates) < 355
    again = draw_sample(cut(tmp_path / "in"), tmp_path / "other", 400, 20, seed=1)
    assert {c.id for c in again.candidates} != {c.id for c in drawn[0].candidates}
    everything = draw_sample(cut(tmp_path / "in", 1e4), tmp_path / "all", 10_000, 20)
    assert len(everything.candidates) == 3710


def test_a_part_that_leaves_out_ends_the_sample_and_keeps_it_uniform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of many short texts among parts of a few long ones has more of the sample than its bytes tell."""
    (tmp_path / "in").mkdir()
    long, short = (json.dumps({"text": text}) for text in ("x" * 20_000, "short"))
    (tmp_path / "in" / "a.jsonl").write_text("\n".join([long] * 200))
    (tmp_path / "in" / "b.jsonl").write_text("\n".join([short] * 4000))
    sample = draw_sample(cut(tmp_path / "in", 1e6), tmp_path / "s", 1000, 20)
    size = len(sample.candidates)
    assert 100 <= size < 1000
    assert sum(c.id[0] == "a" for c in sample.candidates) == pytest.approx(
        size * 200 / 4200, abs=4 * (size / 20) ** 0.5
    )
