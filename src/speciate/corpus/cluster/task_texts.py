"""The texts of an exam by which its questions are routed: one field of each record (paper 001, table 3)."""

from __future__ import annotations

from pathlib import Path

from speciate.corpus.cluster.router import TASK_FIELDS
from speciate.corpus.reading.documents import EMPTY, Bad
from speciate.corpus.steps.parts import cut, read_part
from speciate.errors import Problem, UserError

SHOWN = 5
MISSING = "no text field"


def task_texts(path: str | Path, task: str | None = None, field: str | None = None) -> list[str]:
    """The text that routes each question of a file (.jsonl, .gz, .zst, .parquet), in order.

    ``field`` names it; else it is the one that ``TASK_FIELDS`` has for ``task`` (default: the file's name), or
    "question" where the file names it so. Raises ``UserError`` for a file of other fields, and for records without a
    text: a question that is left out would shift the answers of the others.
    """
    name = (task or Path(path).name).lower()
    known = [wanted for start, wanted in TASK_FIELDS.items() if name.startswith(start)]
    fields = [field] if field else list(dict.fromkeys([*known, "question"]))
    for wanted in fields:
        bad: list[Bad] = []
        try:
            texts = [document.text for part in cut(path, text_field=wanted) for document in read_part(part, bad)]
        except UserError as error:
            if all(problem.what.startswith("no column") for problem in error.problems):
                continue  # a table without it
            raise
        if bad and not texts and all(each.reason == MISSING for each in bad):
            continue
        if bad or not texts:
            raise UserError(
                [_problem(each, wanted) for each in bad[:SHOWN]] or [Problem("no records", str(path), "give questions")]
            )
        return texts
    what = f"no text in {' or '.join(fields)}"
    raise UserError(Problem(what, str(path), "name the field that a question stands in"))


def _problem(bad: Bad, field: str) -> Problem:
    what = f"no text in {field}" if bad.reason in (EMPTY, MISSING) else bad.detail
    return Problem(what, bad.where, "give it one, or take the record out")
