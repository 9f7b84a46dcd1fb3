"""The texts of a corpus that are of a topic: graded on a sample, learned, scored everywhere, cut by score or tokens.

The folder holds, beside what every step leaves: ``topic.json`` (what is asked), ``sample/``, ``labels.csv``,
``model.npz`` and ``model.json``, ``scores/``, ``classification.json`` (how good it is), ``to_label.csv`` (texts that
would teach most).
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.classify.held_out import judge_scores
from speciate.corpus.classify.labels import HIGHEST, Label, write_questions, write_questions_to_judge
from speciate.corpus.classify.ordinal import load_topic
from speciate.corpus.classify.rounds import Ranking, Schedule, judged_pool, suggest, suggest_to_judge
from speciate.corpus.classify.sampling import Candidate, Sample, priority
from speciate.corpus.classify.threshold import Cut, cut_to_budget, read_scores, tokens_above
from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.parts import Part, batches, describe, read_part
from speciate.corpus.steps.text_folder import PartWriter, run_step
from speciate.errors import Problem, UserError
from speciate.storage import digest, file_digest, write_atomic

OWN = ("topic.json", "sample", "labels.csv", "model.npz", "model.json", "scores", "classification.json", "to_label.csv",
       "to_judge.csv", "encoder")  # fmt: skip
BATCH = 1_000_000  # characters of text that are scored together
HELD_OUT = 4  # one label in so many is held out, where the labels do not say which
FEWEST_HELD_OUT = 10


@dataclass(frozen=True, slots=True)
class Tokens:
    """How tokens are counted: by a tokenizer, or as bytes of UTF-8 divided by ``bytes_each``."""

    tokenizer: str | None = None
    bytes_each: float = 4.0

    @property
    def told(self) -> str | float:
        """The same, whatever the file is called: a digest, or bytes."""
        return self.bytes_each if self.tokenizer is None else file_digest(_tokenizer_file(self.tokenizer))


def claim(folder: Path, parts: Sequence[Part], asked: dict[str, Any]) -> None:
    """Make the folder one for this topic and text. Raises ``UserError`` if it is for something else."""
    where = str(folder)
    inside = [p.file for part in parts for p in part.pieces if Path(p.file).resolve().is_relative_to(folder.resolve())]
    if inside:
        raise UserError(Problem(f"the input {inside[0]} stands in it", where, "give another folder for the output"))
    if folder.exists() and not folder.is_dir():
        raise UserError(Problem("a file, not a folder", where, "give a folder for the output"))
    asked = asked | {"input": describe(parts)}
    file = folder / "topic.json"
    if file.exists():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(Problem("not what a step of ours wrote", str(file), "give a new folder")) from error
        if there != asked:
            differing = ", ".join(key for key in asked if there.get(key) != asked[key]) or "what is asked"
            fix = "give a new folder, or repeat the command that made this one"
            raise UserError(Problem(f"it was made for something else (another {differing})", where, fix))
    elif folder.exists() and any(folder.iterdir()):
        raise UserError(Problem("it holds other things", where, "give a new folder"))
    else:
        write_atomic(file, json.dumps(asked, indent=1, ensure_ascii=False) + "\n")


def known_texts(sample: Sample, labels: Sequence[Label], where: str) -> Sample:
    """The sample with the labelled texts among it. Raises ``UserError`` if none of them is in the corpus."""
    there = {candidate.id for candidate in sample.candidates}
    added = [Candidate(name, text) for name, text in sorted(sample.wanted.items()) if name not in there]
    found = there | sample.wanted.keys()
    if not any(label.id in found for label in labels):
        names = ", ".join(candidate.id for candidate in sample.candidates[:2])
        what = f"none of its {len(labels):,} ids is in the corpus, whose ids are like {names}"
        raise UserError(Problem(what, where, "label texts of this corpus, by the ids of its documents"))
    return replace(sample, candidates=sample.candidates + added)


def with_held_out(labels: Sequence[Label], sample: Sequence[str] = (), seed: int = 0) -> tuple[list[Label], str]:
    """The labels, some of them held out, and how those were drawn.

    "by weight": as the labels say. "at random": where none say so, one in ``HELD_OUT`` of those that are the beginning
    of ``sample``, ids in random order; labels given later, to texts that rank high, would flatter. "as given": of all,
    where the labels do not begin so; nobody but their author knows what they are a sample of.
    """
    if any(label.held_out for label in labels):
        return list(labels), "by weight"
    known = {label.id for label in labels}
    first = set(takewhile(known.__contains__, sample))
    for among, drawn in ((first, "at random"), (known, "as given")):
        held = {name for name in among if priority(name, seed + 1) % HELD_OUT == 0}
        chosen = [replace(label, held_out=label.id in held) for label in labels]
        if sum(label.held_out and label.score is not None for label in chosen) >= FEWEST_HELD_OUT:
            return chosen, drawn
    return list(labels), "none"


def learn_topic(ranking: Ranking, labels: Sequence[Label], folder: Path, encoder: str | None = None) -> Path:
    """Learn from the labels that are not held out: the ``model.npz`` that was written, or the folder of an encoder.

    Raises ``UserError`` if they tell no two texts apart.
    """
    model = ranking.fit([label for label in labels if not label.held_out])
    learned = [label for label in labels if label.score is not None and not label.held_out]
    if model is None:
        grades = sorted({label.score or 0 for label in learned})
        what = f"all grades to learn from are {grades[0]}" if grades else "no grades to learn from"
        fix = "label more texts (more rounds, or more in each), some of the topic and some not"
        raise UserError(Problem(what, "the labels", fix))
    model.save(folder / "model.npz")
    if encoder is None:
        return folder / "model.npz"
    from speciate.corpus.classify.topic_encoder import fine_tune

    known = sorted((x for x in learned if x.id in ranking.numbers), key=lambda label: ranking.numbers[label.id])
    texts = [ranking.candidates[ranking.numbers[label.id]].text for label in known]
    return fine_tune(encoder, texts, [label.score or 0 for label in known], folder / "encoder", ranking.characters)


def assess(
    model: Path,
    ranking: Ranking,
    labels: Sequence[Label],
    schedule: Schedule,
    threshold: float,
    drawn: str = "by weight",
    seed: int = 0,
) -> dict[str, Any]:
    """What was labelled, and what the held-out labels say of the model's scores (None without any).

    ``drawn`` is what ``with_held_out`` says of them: unless "as given", they tell of the end of the sample.
    """
    told = sorted((x for x in labels if x.id in ranking.numbers), key=lambda label: ranking.numbers[label.id])
    held = [label for label in told if label.held_out and label.score is not None]
    learned = Counter(label.score for label in told if not label.held_out and label.score is not None)
    scorer = _scorer(str(model.resolve()), model_digest(model))
    judged = None
    if held:
        texts = [ranking.candidates[ranking.numbers[label.id]].text for label in held]
        pool_of = judged_pool(ranking, schedule)
        others = ranking.candidates[pool_of.start : pool_of.stop] if drawn != "as given" else []
        pool = scorer([each.text for each in others]) if others else None
        judged = {"drawn": drawn}
        judged |= judge_scores(scorer(texts), held, schedule.relevant_from, threshold, seed, pool)
    return {
        "grades": {str(grade): learned.get(grade, 0) for grade in range(HIGHEST + 1)},
        "untold": sum(label.score is None for label in told),
        "unknown_ids": len(labels) - len(told),
        "relevant_from": schedule.relevant_from,
        "held_out": judged,
    }


def write_suggestions(
    folder: Path, ranking: Ranking, labels: Sequence[Label], schedule: Schedule, to_judge: bool, seed: int = 0
) -> None:
    """``to_label.csv``: the texts of a further round. ``to_judge.csv``, where asked for: texts to judge by."""
    write_questions(folder / "to_label.csv", [(each.id, each.text) for each in suggest(ranking, labels, schedule)])
    if to_judge:
        drawn = suggest_to_judge(ranking, labels, schedule, seed)
        write_questions_to_judge(folder / "to_judge.csv", [(each.id, each.text, weight) for each, weight in drawn])


def score_corpus(
    parts: Sequence[Part],
    folder: Path,
    model: Path,
    tokens: Tokens,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
) -> list[Path]:
    """Score and tokens of every document, in a file per part; ``model`` is a model.npz or the folder of an encoder."""
    identity = model_digest(model)
    asked = {"step": "score", "input": describe(parts), "model": identity, "tokens": tokens.told}
    own = folder / "scores" / digest(asked)[:12]
    work = partial(_score_part, model=str(model.resolve()), identity=identity, tokens=tokens)
    run_parts(work, parts, own, asked, engine, progress, most_bad)
    return [_scores_file(own, part) for part in parts]


def keep_topic(
    parts: Sequence[Part],
    folder: Path,
    files: Sequence[Path],
    request: dict[str, Any],
    threshold: float | None = None,
    budget: float | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
    rejected_text: bool = False,
) -> dict[str, Any]:
    """Write the documents that score at least ``threshold``, or the best ones up to ``budget`` tokens; the report.

    Of the others, ids and scores, and what they say only with ``rejected_text``: of a rare topic they are the corpus.
    """
    assert (threshold is None) != (budget is None)
    if budget is None:
        assert threshold is not None
        cut = Cut(threshold)
    else:
        cut, _ = cut_to_budget(files, budget)
    scores = str(files[0].parent.resolve())
    work = partial(_keep_part, scores=scores, cut=cut, rejected_text=rejected_text)
    asked = {**request, "threshold": threshold, "budget_tokens": budget, "scores": Path(scores).name,
             "rejected_text": rejected_text}  # fmt: skip
    report = run_step("classify", work, parts, folder, asked, engine, progress, most_bad, OWN)
    documents, kept_tokens = tokens_above(files, cut)
    assert documents == report["kept"], "the counts of the scores and of what is written"
    return report | {"threshold": cut.score, "tokens_kept": kept_tokens, "budget_tokens": budget}


def model_digest(model: Path) -> str:
    """SHA-256 of a model.npz, or of the files of an encoder's folder."""
    if not model.exists():
        fix = "give the model.npz, or the folder encoder/, of a step classify"
        raise UserError(Problem("no such file", str(model), fix))
    if not model.is_dir():
        return file_digest(model)
    return digest({file.name: file_digest(file) for file in sorted(model.iterdir()) if file.is_file()})


def _tokenizer_file(name: str | None) -> Path:
    path = Path(name or "")
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        fix = "give a tokenizer.json or a folder that holds one"
        raise UserError(Problem("no tokenizer there", str(file), fix))
    return file


def _scores_file(folder: Path, part: Part) -> Path:
    return folder / f"{part.name}.npz"


@lru_cache(maxsize=2)
def _scorer(model: str, identity: str) -> Any:
    """What gives texts their scores: loaded once in a process, and again when its files change."""
    del identity
    if Path(model).is_dir():
        from speciate.corpus.classify.topic_encoder import load_encoder

        return load_encoder(Path(model)).scores
    return load_topic(Path(model)).scores


@lru_cache(maxsize=2)
def _tokenizer(name: str) -> Any:
    from speciate.corpus.tokens.tokenizer import load_tokenizer

    return load_tokenizer(Path(name))


def _score_part(part: Part, folder: Path, model: str, identity: str, tokens: Tokens) -> dict[str, Any]:
    scorer = _scorer(model, identity)
    columns: list[list[NDArray[Any]]] = [[], [], []]
    volume = 0
    with PartWriter(folder, part) as out:  # of bad records only
        for batch in batches(read_part(part, out.bad), BATCH):
            texts = [document.text for document in batch]
            columns[0].append(scorer(texts))
            columns[1].append(_count_tokens(texts, tokens))
            columns[2].append(np.array([priority(document.id, 0) for document in batch], np.uint64))
            volume += sum(len(text.encode()) for text in texts)
    kinds = (np.float32, np.int64, np.uint64)
    whole = [np.concatenate([np.zeros(0, kind), *held]) for kind, held in zip(kinds, columns, strict=True)]
    held = io.BytesIO()
    np.savez_compressed(held, score=whole[0].astype(np.float32), tokens=whole[1], rank=whole[2])
    write_atomic(_scores_file(folder, part), held.getvalue())
    return out.counts() | {"documents": len(whole[0]), "bytes_in": volume, "tokens": int(whole[1].sum())}


def _count_tokens(texts: Sequence[str], tokens: Tokens) -> NDArray[np.int64]:
    if tokens.tokenizer is None:
        counts = [max(1, round(len(text.encode()) / tokens.bytes_each)) for text in texts]
    else:
        from speciate.corpus.tokens.tokenizer import encode

        counts = [len(ids) for ids in encode(_tokenizer(tokens.tokenizer), list(texts))]
    return np.array(counts, np.int64)


def _keep_part(part: Part, folder: Path, scores: str, cut: Cut, rejected_text: bool) -> dict[str, Any]:
    told = read_scores(_scores_file(Path(scores), part))
    kept = cut.keeps(told)
    with PartWriter(folder, part, {"score": "float"}) as out:
        for document, score, keep in zip(read_part(part, out.bad), told.score.tolist(), kept.tolist(), strict=True):
            if keep:
                out.keep(document, score=score)
            else:
                detail = f"its score is {score:.2f}, kept are those from {cut.score:.2f}"
                out.reject(document, "off topic", detail, rejected_text, score=score)
    return out.counts(tokens=int(told.tokens.sum()), tokens_kept=int(told.tokens[kept].sum()))
