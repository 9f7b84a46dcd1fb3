"""Which texts of a sample to grade: at random first, then in rounds those that rank highest, then some to judge by.

One text in a hundred of a rare topic means that a thousand random labels hold ten of it; the top of a ranking that a
few have taught holds many more. Which texts are asked about follows from the sample and the grades given so far, so a
labelling that was stopped goes on by being started again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.labels import Label
from speciate.corpus.classify.ordinal import TopicModel, count_words, fit_topic, inverse_frequency, weigh
from speciate.corpus.classify.sampling import Candidate
from speciate.errors import Problem, UserError

HELD_OUT_SHARE = 0.4  # of the sample is for judging
EVEN_SHARE = 0.2  # of the held-out labels go anywhere, the rest by rank

Grade = Callable[[Sequence[Candidate], str], None]
"""Grades texts, each of which it hands to ``Labelling.note``; the second argument says what for."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """``rounds`` rounds of ``per_round`` labels, and ``held_out`` labels to judge by.

    What is looked for are texts of grade ``relevant_from`` or more. The mean grade would not find them: where a tenth
    of the texts mention a topic that one in a hundred is about, the tenth would take up all labels.
    """

    per_round: int = 250
    rounds: int = 4
    held_out: int = 250
    relevant_from: int = 3

    @property
    def total(self) -> int:
        """Labels in all."""
        return self.per_round * self.rounds + self.held_out


@dataclass
class Labelling:
    """The grades so far, by id, in the order in which they were given; None: nobody could tell."""

    labels: dict[str, Label] = field(default_factory=dict)

    def note(self, name: str, score: int | None) -> None:
        """Take a grade."""
        self.labels[name] = Label(name, score)


class Ranking:
    """The weighted words of a sample, and models fitted on what is known of it."""

    def __init__(
        self, candidates: Sequence[Candidate], topic: str, characters: int, sampled: int | None = None
    ) -> None:
        self.candidates, self.topic, self.characters = list(candidates), topic, characters
        self.sampled = len(self.candidates) if sampled is None else sampled  # others behind were asked for by id
        self.numbers = {candidate.id: number for number, candidate in enumerate(self.candidates)}
        counts = count_words([candidate.text for candidate in self.candidates])
        self.idf = inverse_frequency(counts)
        self.rows = weigh(counts, self.idf)

    def fit(self, labels: Sequence[Label]) -> TopicModel | None:
        """A model of these labels as far as they are of the sample; None if they tell no two texts apart."""
        known = [label for label in labels if label.score is not None and label.id in self.numbers]
        if not known:
            return None
        known.sort(key=lambda label: self.numbers[label.id])  # answers arrive in any order, sums depend on it
        rows = self.rows[[self.numbers[label.id] for label in known]]
        grades = [label.score for label in known if label.score is not None]
        return fit_topic(rows, grades, self.idf, self.characters, self.topic)

    def nearest_topic(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Cosine of texts and the words of the topic itself: what there is to go by before any label helps."""
        words = weigh(count_words([self.topic]), self.idf)
        near: NDArray[np.float64] = np.asarray((self.rows[list(numbers)] @ words.T).todense(), np.float64)[:, 0]
        return near


def label_in_rounds(ranking: Ranking, grade: Grade, labelling: Labelling, schedule: Schedule, seed: int = 0) -> None:
    """Have texts graded as the module says; ``labelling`` then holds their grades and held-out weights.

    Raises ``UserError`` if the sample is too small for the schedule.
    """
    pool = judged_pool(ranking, schedule)
    if pool.start < schedule.per_round * schedule.rounds:
        what = f"a sample of {len(ranking.candidates):,} texts for {schedule.total:,} labels"
        fix = "ask for fewer labels, or give more text or a larger --sample"
        raise UserError(Problem(what, "the sample", fix))
    chosen: list[int] = []
    for number in range(schedule.rounds):
        asked = _next_round(ranking, labelling, chosen, pool.start, schedule)
        chosen += asked
        _ask(ranking, grade, labelling, asked, f"round {number + 1} of {schedule.rounds}")
    if schedule.held_out:
        known = [labelling.labels[ranking.candidates[n].id] for n in chosen]
        numbers, weights = _to_judge(ranking, ranking.fit(known), pool, schedule, seed)
        _ask(ranking, grade, labelling, numbers, "held out, to judge by")
        for index, weight in zip(numbers, weights, strict=True):
            name = ranking.candidates[index].id
            labelling.labels[name] = Label(name, labelling.labels[name].score, weight, held_out=True)


def judged_pool(ranking: Ranking, schedule: Schedule) -> range:
    """The end of the sample, that no round asks about; sample and labels give way to each other if it is small."""
    size = min(max(round(HELD_OUT_SHARE * ranking.sampled), schedule.held_out), ranking.sampled)
    return range(ranking.sampled - size * bool(schedule.held_out), ranking.sampled)


def _ask(ranking: Ranking, grade: Grade, labelling: Labelling, numbers: Sequence[int], why: str) -> None:
    left = [ranking.candidates[n] for n in numbers if ranking.candidates[n].id not in labelling.labels]
    if left:
        grade(left, why)
    assert all(ranking.candidates[n].id in labelling.labels for n in numbers), "a grade, or None, for each"


def _next_round(
    ranking: Ranking, labelling: Labelling, chosen: Sequence[int], cut: int, schedule: Schedule
) -> list[int]:
    """Numbers of the texts to ask about: the sample is in random order, so its beginning is a random choice.

    As long as no grade is high enough, half of the texts are those nearest to the words of the topic; the other half
    are the likeliest to have the highest grade seen so far, or random where all grades are the same.
    """
    taken, count = set(chosen), schedule.per_round
    free = [number for number in range(cut) if number not in taken]
    if not chosen:
        return free[:count]
    known = [labelling.labels[ranking.candidates[n].id] for n in chosen]
    highest = max((label.score or 0 for label in known), default=0)
    model = ranking.fit(known)
    if model is not None and highest >= schedule.relevant_from:
        return _top(free, model.chances_of(ranking.rows[free])[:, schedule.relevant_from - 1], count)
    likely = _top(free, ranking.nearest_topic(free), (count + 1) // 2)
    others = [number for number in free if number not in set(likely)]
    if model is not None:
        others = _top(others, model.chances_of(ranking.rows[others])[:, highest - 1], count)
    return likely + others[: count - len(likely)]


def _top(numbers: Sequence[int], scores: NDArray[Any], count: int) -> list[int]:
    order = np.lexsort((np.asarray(numbers), -scores))
    return [numbers[place] for place in order[:count]]


def suggest(ranking: Ranking, labels: Sequence[Label], schedule: Schedule) -> list[Candidate]:
    """What somebody who keeps labels in a file might grade in a further round, as ``label_in_rounds`` would ask."""
    labelling = Labelling({label.id: label for label in labels})
    chosen = [ranking.numbers[label.id] for label in labels if label.id in ranking.numbers]
    asked = _next_round(ranking, labelling, chosen, judged_pool(ranking, schedule).start, schedule)
    return [ranking.candidates[number] for number in asked]


def suggest_to_judge(
    ranking: Ranking, labels: Sequence[Label], schedule: Schedule, seed: int = 0
) -> list[tuple[Candidate, float]]:
    """The texts that ``label_in_rounds`` would ask about to judge by, after these labels, and their weights."""
    learned = [label for label in labels if not label.held_out]
    numbers, weights = _to_judge(ranking, ranking.fit(learned), judged_pool(ranking, schedule), schedule, seed)
    return [(ranking.candidates[number], weight) for number, weight in zip(numbers, weights, strict=True)]


def _to_judge(
    ranking: Ranking, model: TopicModel | None, pool: range, schedule: Schedule, seed: int
) -> tuple[list[int], list[float]]:
    """Numbers of the held-out texts to ask about, and 1 / the probability with which each was drawn.

    Systematic sampling along the ranking (Madow 1949), with probabilities that mix an even share and one in
    proportion to 1 / rank: what average precision hangs on most is at the top (Aslam and Pavlu 2006).
    """
    scores = np.ones(len(pool))
    if model is not None:
        rows = ranking.rows[pool.start : pool.stop]
        scores = model.chances_of(rows)[:, schedule.relevant_from - 1].astype(float)
    count = min(schedule.held_out, len(pool))
    order = np.lexsort((np.arange(len(pool)), -scores))
    by_rank = np.ones(len(pool)) if model is None else 1 / np.arange(1, len(pool) + 1)
    share = EVEN_SHARE / max(len(pool), 1) + (1 - EVEN_SHARE) * by_rank / max(by_rank.sum(), 1e-300)
    chances = _at_most_one(share, count)
    ends = np.cumsum(chances)
    start = np.random.default_rng([seed, 1]).random()
    drawn = np.floor(ends - start + 1e-9) > np.floor(ends - chances - start + 1e-9)
    return [pool.start + int(n) for n in order[drawn]], [float(1 / chance) for chance in chances[drawn]]


def _at_most_one(share: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Probabilities in proportion to ``share``, at most 1, that sum to ``count``."""
    certain = np.zeros(len(share), bool)
    while True:
        rest = count - certain.sum()
        chances = np.where(certain, 1.0, share * rest / max(share[~certain].sum(), 1e-300))
        more = (chances >= 1) & ~certain
        if not more.any():
            return chances
        certain |= more
