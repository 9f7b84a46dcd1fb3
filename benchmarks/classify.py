"""Topics that are rare in the shared corpora: average precision from 1,000 labels in rounds and at random.

Run: OMP_NUM_THREADS=1 PYTHONPATH=src .venv/bin/python benchmarks/classify.py [--seeds 4] [--data DIR]

Each topic is thinned to 1 % of the pool; its other documents are left out. Labels are the sources of documents: 5 for
the topic, 0 for the rest, and in the last lines 1 for two neighbouring fields, which a third of the texts then have.
Half of the documents are the pool that labels come from, half are held out and all their labels known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import zstandard

from speciate.corpus.classify.held_out import average_precision, judge_scores
from speciate.corpus.classify.labels import Label
from speciate.corpus.classify.ordinal import TopicModel
from speciate.corpus.classify.rounds import Labelling, Ranking, Schedule, judged_pool, label_in_rounds, suggest_to_judge
from speciate.corpus.classify.sampling import Candidate

CHARACTERS = 4_000
PREVALENCE = 0.01
DRAWS = 50  # of held-out labels
TOPICS = {"law_us": "law, statutes", "medicine": "medicine, diseases", "arxiv_math": "mathematics",
          "arxiv_physics": "physics"}  # fmt: skip
NEAR = ("arxiv_cs", "arxiv_physics", "arxiv_math")


def read(folder: Path) -> list[tuple[str, str]]:
    documents = []
    for file in sorted(folder.glob("*.jsonl.zst")):
        text = zstandard.ZstdDecompressor().stream_reader(file.open("rb")).read().decode()
        domain = file.name.split(".")[0]
        documents += [(domain, json.loads(line)["text"][:CHARACTERS]) for line in text.splitlines()]
    return documents


def thinned(documents: Sequence[tuple[str, str]], topic: str, rng: np.random.Generator) -> list[Candidate]:
    """Candidates in random order, ``PREVALENCE`` of them of the topic; ids begin with the domain."""
    others = [n for n, (domain, _) in enumerate(documents) if domain != topic]
    own = rng.permutation([n for n, (domain, _) in enumerate(documents) if domain == topic])
    chosen = rng.permutation([*others, *own[: round(len(others) * PREVALENCE / (1 - PREVALENCE))]])
    return [Candidate(f"{documents[n][0]}:{n}", documents[n][1]) for n in chosen]


def grader(labelling: Labelling, grade: Callable[[str], int]) -> Callable[[Sequence[Candidate], str], None]:
    def grade_all(texts: Sequence[Candidate], _: str) -> None:
        for text in texts:
            labelling.note(text.id, grade(text.id.split(":")[0]))

    return grade_all


def study(documents: Sequence[tuple[str, str]], topic: str, near: bool, seed: int) -> dict[str, float]:
    candidates = thinned(documents, topic, np.random.default_rng(seed))
    half = len(candidates) // 2
    pool, held = candidates[:half], candidates[half:]

    def grade(domain: str) -> int:
        return 5 if domain == topic else int(near and domain in NEAR)

    relevant = np.array([grade(c.id.split(":")[0]) == 5 for c in held])
    result: dict[str, float] = {}

    def ap(model: TopicModel | None) -> float:
        scores = np.zeros(len(held)) if model is None else model.scores([c.text for c in held])
        return average_precision(scores, relevant, np.ones(len(held))) or 0.0

    started = time.process_time()
    ranking = Ranking(pool, TOPICS[topic], CHARACTERS)
    result["featurise_s"] = time.process_time() - started
    labels = [Label(c.id, grade(c.id.split(":")[0])) for c in pool[:1000]]
    result["random"] = ap(ranking.fit(labels))
    for rounds in (2, 4):
        labelling = Labelling()
        started = time.process_time()
        label_in_rounds(ranking, grader(labelling, grade), labelling, Schedule(1000 // rounds, rounds, 0))
        model = ranking.fit(list(labelling.labels.values()))
        result[f"rounds{rounds}_s"] = time.process_time() - started
        result[f"rounds{rounds}"] = ap(model)
        result[f"found{rounds}"] = sum(label.score == 5 for label in labelling.labels.values())
    return result | estimates(ranking, grade, ap, seed)


def estimates(
    ranking: Ranking, grade: Callable[[str], int], ap: Callable[[TopicModel | None], float], seed: int
) -> dict[str, float]:
    """What 250 held-out labels say of average precision, for draws of these labels; rounds leave their pool alone."""
    labelling, schedule = Labelling(), Schedule(250, 4, 250)
    label_in_rounds(ranking, grader(labelling, grade), labelling, schedule, seed)
    labels = [label for label in labelling.labels.values() if not label.held_out]
    model = ranking.fit(labels)
    if model is None:
        return {}
    pool = judged_pool(ranking, schedule)
    candidates = ranking.candidates[pool.start : pool.stop]
    scores = model.scores([c.text for c in candidates])
    at = {c.id: score for c, score in zip(candidates, scores, strict=True)}
    relevant = np.array([grade(c.id.split(":")[0]) == 5 for c in candidates])
    truth = average_precision(scores, relevant, np.ones(len(scores))) or 0.0
    told = []
    for draw in range(DRAWS):
        held = [
            Label(c.id, grade(c.id.split(":")[0]), weight)
            for c, weight in suggest_to_judge(ranking, labels, schedule, draw)
        ]
        judged = judge_scores(np.array([at[label.id] for label in held]), held, pool=scores)["average_precision"]
        told.append((judged["value"] or 0.0, judged["low"] or 0.0, judged["high"] or 0.0))
    value, low, high = np.array(told).T
    inside = np.mean((low <= truth) & (truth <= high))
    return {"elsewhere": ap(model), "truth": truth, "told": value.mean(), "told_median": float(np.median(value)),
            "told_sd": value.std(), "inside": float(inside)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--only", help="one topic")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/corpora"))
    options = parser.parse_args()
    documents = read(options.data)
    size = sum(len(text.encode()) for _, text in documents)
    print(f"{len(documents):,} documents, {size / 1e6:.1f} MB; means (lowest) of {options.seeds} seeds")
    for topic, near in [*((topic, False) for topic in TOPICS), ("arxiv_math", True), ("arxiv_physics", True)]:
        if options.only not in (None, topic):
            continue
        runs = [study(documents, topic, near, seed) for seed in range(options.seeds)]
        columns = [f"{key} {np.mean([run[key] for run in runs]):.3f} ({min(run[key] for run in runs):.3f})"
                   for key in runs[0]]  # fmt: skip
        print(f"{topic}{' with near misses' if near else ''}: " + ", ".join(columns), flush=True)


if __name__ == "__main__":
    main()
