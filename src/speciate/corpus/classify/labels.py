"""Grades of texts for a topic, 0 (nothing of it) to 5 (about nothing else), as a table that people can edit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

HIGHEST = 5
SHOWN = 10  # problems told of one file
QUESTIONS = ("id", "score", "weight", "held_out", "text")  # of all tables alike: rows go from one to the other


@dataclass(frozen=True, slots=True)
class Label:
    """The grade of a text, None where nobody could tell.

    ``weight`` is how many texts of the corpus it stands for, up to a factor: 1 / the probability of being asked about.
    ``held_out``: for judging, not for learning.
    """

    id: str
    score: int | None
    weight: float = 1.0
    held_out: bool = False


def read_labels(path: Path) -> list[Label]:
    """Labels of a CSV with columns id and score, and if wanted weight and held_out (1 or 0); others are passed over.

    An empty score is a text still to be graded. Raises ``UserError`` with all that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(Problem("no such file", str(path), "give a CSV with columns id and score")) from error
    except UnicodeDecodeError as error:
        raise UserError(Problem("not UTF-8", str(path), "save it as CSV in UTF-8")) from error
    csv.field_size_limit(1 << 26)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in ("id", "score") if name not in (rows.fieldnames or ())]
    if missing:
        what = f"no column {' and no column '.join(missing)} (found {', '.join(rows.fieldnames or ['nothing'])})"
        raise UserError(Problem(what, str(path), "name the columns id and score"))
    problems: list[Problem] = []
    labels: dict[str, Label] = {}
    try:
        for row in rows:
            where = f"{path} line {rows.line_num}"
            label = _label(row, where, problems)
            before = labels.get(label.id) if label else None
            if label and before and before.score is not None and label.score not in (None, before.score):
                what = f"{label.id} is graded {before.score} and {label.score}"
                problems.append(Problem(what, where, "keep one of the two"))
            elif label and (before is None or label.score is not None):
                labels[label.id] = label
    except csv.Error as error:
        raise UserError(Problem(f"not CSV ({error})", str(path), "save it as CSV in UTF-8")) from error
    if problems:
        raise UserError(problems[:SHOWN])
    return list(labels.values())


def _label(row: dict[str, str | None], where: str, problems: list[Problem]) -> Label | None:
    name, told = (row["id"] or "").strip(), (row["score"] or "").strip()
    found = len(problems)
    if None in row:  # rows of another table put below this one: their weights would be lost
        columns = ", ".join(name for name in row if name is not None)
        problems.append(Problem(f"more fields than columns ({columns})", where, "give all rows the same columns"))
    if not name:
        problems.append(Problem("no id", where, "give the id of the text, as corpus steps write it"))
    score = _number(told) if told else None
    if told and (score is None or not 0 <= score <= HIGHEST or score != int(score)):
        problems.append(Problem(f"a score of {told!r}", where, "give a whole number from 0 to 5, or leave it empty"))
    weight = _number((row.get("weight") or "").strip() or "1")
    if weight is None or weight <= 0:
        problems.append(Problem(f"a weight of {row.get('weight')!r}", where, "give a positive number"))
    held_out = (row.get("held_out") or "").strip().lower()
    if held_out not in ("", "0", "1", "true", "false"):
        problems.append(Problem(f"held_out is {row.get('held_out')!r}", where, "give 1 or 0"))
    if len(problems) > found or weight is None:
        return None
    return Label(name, None if score is None else int(score), weight, held_out in ("1", "true"))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Write what ``read_labels`` reads."""
    rows = [(x.id, "" if x.score is None else x.score, repr(float(x.weight)), int(x.held_out)) for x in labels]
    _write(path, ("id", "score", "weight", "held_out"), rows)


def write_questions(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Write a table of (id, text) whose empty column score somebody is to fill."""
    _write(path, QUESTIONS, [(name, "", "", "", text) for name, text in texts])


def write_questions_to_judge(path: Path, texts: Iterable[tuple[str, str, float]]) -> None:
    """The same of (id, text, weight), as labels that are held out."""
    _write(path, QUESTIONS, [(name, "", repr(float(weight)), 1, text) for name, text, weight in texts])


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, out.getvalue().encode("utf-8", "replace"))
