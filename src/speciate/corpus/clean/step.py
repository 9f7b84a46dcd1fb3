"""The step ``clean``: documents that break a rule, are of another language, hold questions of an evaluation, or
repeat one before them go to ``rejected/`` with the reason; the others are kept.

Passes over the text. The first judges every document by itself and leaves fingerprints of those that pass; those that
may nearly repeat another are read again, to count; then repeats are found, in the order of documents; the last pass
writes. Each does a part at a time, anywhere.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from speciate.corpus.clean.contamination import RUN, Question, index, read_questions
from speciate.corpus.clean.language import Languages
from speciate.corpus.clean.near_duplicates import Near
from speciate.corpus.clean.parts import Checks, survey_part, write_part
from speciate.corpus.clean.quality_rules import Rules
from speciate.corpus.clean.repeats import settle, write_hits
from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.parts import Part, describe
from speciate.corpus.steps.text_folder import begin, finish
from speciate.storage import digest, file_digest

FOUND = "found"  # scratch folder, gone when the step is done
CONTAMINATION = "contamination.jsonl"
OWN = (FOUND, CONTAMINATION)


@dataclass(frozen=True)
class Cleaning:
    """What a document has to pass; None and False switch a check off."""

    rules: Rules | None = field(default_factory=Rules)
    languages: Languages | None = None
    exact: bool = True
    near: Near | None = field(default_factory=Near)
    evaluation: tuple[str, ...] = ()
    evaluation_fields: tuple[str, ...] = ()
    run: int = RUN  # words that a document and a question share


def clean(
    parts: Sequence[Part],
    folder: Path,
    cleaning: Cleaning | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
) -> dict[str, Any]:
    """Clean the text of ``parts`` into ``folder``; the report, with ``done_before``.

    Reasons in it: names of ``quality.RULES``, "language", "contamination", "exact duplicate", "near duplicate".
    ``contamination.jsonl`` has a line for each question that stands in the text. Memory: the fingerprints that are
    compared at a time (``same_text``) and a part's documents. Raises ``UserError`` as ``run_step`` does.
    """
    cleaning = cleaning or Cleaning()
    request = _request(parts, cleaning)
    finished = begin(folder, request, parts, OWN)
    found = folder / FOUND
    if finished is not None:
        shutil.rmtree(found, ignore_errors=True)
        return finished | {"done_before": True}
    started = time.monotonic()
    questions = read_questions(cleaning.evaluation, cleaning.evaluation_fields) if cleaning.evaluation else []
    told = _prepare(questions, cleaning.run, found)
    checks = Checks(cleaning.rules, cleaning.languages, cleaning.exact, cleaning.near, bool(questions))
    survey = partial(survey_part, checks=checks)
    run_parts(survey, parts, found, request, engine, _share(progress, 0.0, 0.65, "judged"), most_bad)
    settle(parts, found, checks, request, engine, _share(progress, 0.65, 0.7, "compared"))
    results = run_parts(write_part, parts, folder, request, engine, _share(progress, 0.7, 1.0, "written"), most_bad)
    told |= write_hits(parts, found, questions, folder / CONTAMINATION)
    report = finish(folder, request, [results[0] | told, *results[1:]], time.monotonic() - started)
    shutil.rmtree(found, ignore_errors=True)
    return report | {"done_before": False}


def _request(parts: Sequence[Part], cleaning: Cleaning) -> dict[str, Any]:
    files = {name: _contents(name) for name in cleaning.evaluation}
    return {"step": "clean", "input": describe(parts), **_plain(asdict(cleaning)), "evaluation": files}


def _contents(name: str) -> str:
    path = Path(name)
    if path.is_file():
        return file_digest(path)
    return digest(sorted([str(p.relative_to(path)), file_digest(p)] for p in path.rglob("*") if p.is_file()))


def _plain(value: Any) -> Any:
    """As JSON reads it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _prepare(questions: Sequence[Question], run: int, found: Path) -> dict[str, Any]:
    """Leave what every process compares documents with."""
    if not questions:
        return {}
    evaluation, told = index(questions, run)
    evaluation.save(found / "evaluation.npz")
    return {"questions": len(questions), "questions_too_short": told["too_short"], "common_runs": told["common_runs"]}


def _share(progress: Progress | None, low: float, high: float, what: str) -> Progress | None:
    if progress is None:
        return None
    return lambda told, share: progress(f"{told} {what}", low + share * (high - low))
