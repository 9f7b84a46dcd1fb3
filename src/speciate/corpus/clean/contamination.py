"""Questions of an evaluation that stand in the text: documents that share a long run of words with one.

As for GPT-3 (Brown et al. 2020, appendix C): runs of 13 words, of shorter questions the whole if it has 8; and what
stands in many questions is the wording of the exam ("which of the following is the most likely ..."), not a question.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.ngrams import Hashes, ngram_hashes, normalised, word_hashes
from speciate.corpus.reading.documents import EMPTY, Bad, Document
from speciate.corpus.reading.files import PLAIN
from speciate.corpus.steps.parts import cut, read_part
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

RUN = 13  # words
SHORTEST = 8  # words of a text that is looked for as a whole
COMMON = 10  # a run in more questions than this is wording
QUESTIONS = ("question", "text", "prompt", "problem")  # fields that a question may stand in
SIEVE_BITS = 22
SIEVE = 1 << SIEVE_BITS  # bytes of the table that most runs fall through


@dataclass(frozen=True)
class Question:
    """One question of an evaluation: its file, its id there, what it asks, and the texts that are looked for."""

    file: str
    id: str
    text: str
    searched: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """Runs of words of all questions, sorted, and which question each stands in; by the length of the runs."""

    lengths: tuple[int, ...]
    keys: tuple[Hashes, ...]
    owners: tuple[NDArray[np.int32], ...]
    sieves: tuple[NDArray[np.bool_], ...]

    def questions_in(self, words: Hashes) -> list[int]:
        """Numbers of the questions of which a run stands in a text, sorted."""
        found: set[int] = set()
        for length, keys, owners, sieve in zip(self.lengths, self.keys, self.owners, self.sieves, strict=True):
            runs = ngram_hashes(words, length)
            runs = runs[sieve[_slot(runs)]]
            first, last = np.searchsorted(keys, runs), np.searchsorted(keys, runs, "right")
            for begin, end in zip(first[last > first], last[last > first], strict=True):
                found.update(owners[begin:end].tolist())
        return sorted(found)

    def save(self, file: Path) -> None:
        """Write what ``load`` reads."""
        arrays: dict[str, Any] = {f"keys{n}": keys for n, keys in zip(self.lengths, self.keys, strict=True)}
        arrays |= {f"owners{n}": owners for n, owners in zip(self.lengths, self.owners, strict=True)}
        held = io.BytesIO()
        np.savez(held, **arrays)
        write_atomic(file, held.getvalue())


@lru_cache(maxsize=1)
def load(file: Path) -> Evaluation:
    """What ``save`` wrote, once in each process."""
    with np.load(file) as arrays:
        lengths = sorted(int(name.removeprefix("keys")) for name in arrays.files if name.startswith("keys"))
        return _evaluation({n: (arrays[f"keys{n}"], arrays[f"owners{n}"]) for n in lengths})


def _evaluation(runs: Mapping[int, tuple[Hashes, NDArray[np.int32]]]) -> Evaluation:
    sieves = []
    for keys, _ in runs.values():
        sieve = np.zeros(SIEVE, bool)
        sieve[_slot(keys)] = True
        sieves.append(sieve)
    keys_of, owners_of = tuple(keys for keys, _ in runs.values()), tuple(owners for _, owners in runs.values())
    return Evaluation(tuple(runs), keys_of, owners_of, tuple(sieves))


def _slot(runs: Hashes) -> NDArray[np.int64]:
    return (runs >> np.uint64(64 - SIEVE_BITS)).astype(np.int64)


def read_questions(files: Sequence[str | Path], fields: Sequence[str] = ()) -> list[Question]:
    """The questions of evaluation files: .jsonl and .parquet, or plain text with one a line.

    Looked for are the ``fields`` named, the first of them the question's own, or else a field of ``QUESTIONS`` and
    ``choices``. Raises ``UserError`` with all that is wrong.
    """
    found: list[Question] = []
    problems: list[Problem] = []
    for file in files:
        try:
            found += _read_file(file, fields)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found


def _read_file(file: str | Path, fields: Sequence[str]) -> list[Question]:
    names = fields[:1] or QUESTIONS
    for name in names:
        try:
            questions = list(_questions(file, name, fields[1:] if fields else ("choices",)))
        except UserError as error:
            if not all(problem.what.startswith("no column") for problem in error.problems):
                raise
            continue
        if questions:
            return questions
    fix = "name the field of the question with --evaluation-field"
    raise UserError(Problem(f"no question in a field {' or '.join(map(repr, names))}", str(file), fix))


def _questions(file: str | Path, name: str, others: Sequence[str]) -> Iterator[Question]:
    bad: list[Bad] = []
    for part in cut(file, text_field=name):
        for document in _lines(read_part(part, bad)):
            beside = [(document.meta or {}).get(field) for field in others]
            searched = (document.text, *(text for value in beside for text in _strings(value)))
            yield Question(str(file), document.id, document.text, searched)
    for each in bad:
        if each.reason not in (EMPTY, "no text field"):
            raise UserError(Problem(each.detail, each.where, "mend it: what is not read is not looked for"))


def _lines(documents: Iterator[Document]) -> Iterator[Document]:
    """Plain text holds a question a line."""
    for document in documents:
        if not document.source.lower().removesuffix(".gz").removesuffix(".zst").endswith(PLAIN):
            yield document
            continue
        for number, line in enumerate(document.text.splitlines()):
            if line.strip():
                yield Document(f"{document.id}:{number}", line, document.source)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


def index(questions: Sequence[Question], run: int = RUN, common: int = COMMON) -> tuple[Evaluation, dict[str, int]]:
    """What documents are compared with; how many questions are too short to be looked for, and runs too common."""
    found: dict[int, list[tuple[Hashes, int]]] = {}
    short = 0
    for number, question in enumerate(questions):
        hidden = True
        for text in question.searched:
            words = word_hashes(normalised(text))
            length = min(run, words.size)
            if length >= min(SHORTEST, run):
                found.setdefault(length, []).append((np.unique(ngram_hashes(words, length)), number))
                hidden = False
        short += hidden
    kept, wording = {}, 0
    for length, pairs in sorted(found.items()):
        runs = np.concatenate([each for each, _ in pairs])
        owners = np.concatenate([np.full(each.size, number, np.int32) for each, number in pairs])
        distinct, counts = np.unique(runs, return_counts=True)
        rare = ~np.isin(runs, distinct[counts > common])
        wording += int(np.count_nonzero(counts > common))
        order = np.lexsort((owners[rare], runs[rare]))
        kept[length] = (runs[rare][order], owners[rare][order])
    return _evaluation(kept), {"too_short": short, "common_runs": wording}
