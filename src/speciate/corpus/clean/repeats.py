"""What ``clean`` puts together between its passes: which documents repeat one before, which questions were found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.contamination import Question
from speciate.corpus.clean.near_duplicates import ORDERS
from speciate.corpus.clean.parts import Checks, Survey
from speciate.corpus.clean.same_text import Repeats, alike_by_check, find_repeats, met
from speciate.corpus.clean.shingles import TrueSimilarity, ask, shingle_part
from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.parts import Part
from speciate.storage import canonical_json, write_atomic

SHOWN = 5  # documents named of a question


def settle(
    parts: Sequence[Part],
    found: Path,
    checks: Checks,
    request: Mapping[str, Any] | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> None:
    """Find repeats among the documents that passed, in order, and leave for each part what its documents repeat.

    Documents that may be near duplicates are read again, a part at a time on any engine, to count what they share.
    """
    surveys = [Survey(found, part) for part in parts]
    if not checks.columns:
        return
    sizes = [_size(survey.file("prints", "u8")) // (8 * checks.columns) for survey in surveys]
    alive = np.ones(sum(sizes), bool)
    begins = np.concatenate(([0], np.cumsum(sizes)))
    found_of: list[tuple[str, Repeats]] = []
    if checks.exact:
        halves = np.concatenate([survey.column(1, checks).read() for survey in surveys])
        keys = [[survey.column(0, checks) for survey in surveys]]
        found_of.append(("exact duplicate", find_repeats(keys, alive, alike_by_check(halves), 1.0)))
        del halves
    if checks.near is not None and alive.any():
        sketches = _together([survey.file("sketches", "u1") for survey in surveys], found / "sketches.u1")
        numbers = range(checks.columns - checks.near.bands, checks.columns)
        bands = [[survey.column(number, checks) for survey in surveys] for number in numbers]
        ask(surveys, begins, met(bands, alive))
        run_parts(partial(shingle_part, near=checks.near), parts, found / "shingled", request or {}, engine, progress)
        alike = TrueSimilarity(surveys, begins, sketches, checks.near.similarity)
        repeats = find_repeats(bands, alive, alike, checks.near.similarity)
        found_of.append(("near duplicate", repeats))
    _write(surveys, begins, found_of)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _together(files: Sequence[Path], into: Path) -> NDArray[np.uint8]:
    """The sketches of all parts as one file mapped into memory."""
    with into.open("wb") as out:
        for file in files:
            if file.exists():
                out.write(file.read_bytes())
    return np.memmap(into, np.uint8, "r").reshape(-1, ORDERS)


def _write(surveys: Sequence[Survey], begins: NDArray[np.int64], found: Sequence[tuple[str, Repeats]]) -> None:
    @lru_cache(maxsize=8)
    def ids(number: int) -> list[str]:
        judged: list[str] = json.loads(surveys[number].file("judged", "json").read_text(encoding="utf-8"))["passed"]
        return judged

    def name(document: int) -> str:
        number = int(np.searchsorted(begins, document, "right")) - 1
        return ids(number)[document - int(begins[number])]

    for number, survey in enumerate(surveys):
        rows: list[tuple[int, str, str]] = []
        for reason, repeats in found:
            low, high = np.searchsorted(repeats.which, (begins[number], begins[number + 1]))
            for at in range(low, high):
                alike = "the same as" if reason == "exact duplicate" else f"{repeats.similarity[at]:.0%} like"
                rows.append((int(repeats.which[at] - begins[number]), reason, f"{alike} {name(int(repeats.of[at]))}"))
        if rows:
            write_atomic(survey.file("repeats", "json"), canonical_json(sorted(rows)))


def write_hits(parts: Sequence[Part], found: Path, questions: Sequence[Question], into: Path) -> dict[str, Any]:
    """A line for each question found: where it is asked, and the first documents that hold it."""
    if not questions:
        return {}
    held: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    for part in parts:
        file = Survey(found, part).file("hits", "json")
        for number, document in json.loads(file.read_text(encoding="utf-8")) if file.exists() else ():
            counts[number] = counts.get(number, 0) + 1
            if counts[number] <= SHOWN:
                held.setdefault(number, []).append(document)
    lines, by_file = [], dict.fromkeys((question.file for question in questions), 0)
    for number in sorted(counts):
        asked = questions[number]
        by_file[asked.file] += 1
        row = {"file": asked.file, "id": asked.id, "question": asked.text, "documents": counts[number]}
        lines.append(json.dumps(row | {"first_documents": held[number]}, ensure_ascii=False) + "\n")
    write_atomic(into, "".join(lines).encode("utf-8", "surrogatepass"))
    return {"questions_found": len(counts), "questions_found_by_file": by_file}
