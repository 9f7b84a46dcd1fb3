"""What ``clean`` does with one part: judge its documents, and later write them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speciate.corpus.clean.contamination import load
from speciate.corpus.clean.language import Languages
from speciate.corpus.clean.near_duplicates import Near, sketch
from speciate.corpus.clean.ngrams import normalised, word_hashes
from speciate.corpus.clean.quality import judge_all
from speciate.corpus.clean.quality_rules import Rules
from speciate.corpus.clean.same_text import Column, fingerprint
from speciate.corpus.reading.documents import Document
from speciate.corpus.steps.part_writer import PartWriter
from speciate.corpus.steps.parts import Part, batches, read_part
from speciate.storage import canonical_json, write_atomic

BATCH = 300_000  # characters judged together

Reason = tuple[str, str] | None  # name of a rule and why; None: passes


@dataclass(frozen=True)
class Checks:
    """What a document is asked by itself, and which fingerprints it leaves."""

    rules: Rules | None
    languages: Languages | None
    exact: bool
    near: Near | None
    contamination: bool

    @property
    def columns(self) -> int:
        """Numbers of 64 bits that a document leaves."""
        return (2 if self.exact else 0) + (0 if self.near is None else self.near.bands)


@dataclass(frozen=True)
class Survey:
    """Files of what the first pass found out about a part."""

    folder: Path
    part: Part

    def file(self, kind: str, suffix: str) -> Path:
        """``kind`` is "judged", "repeats", "hits", "prints" or "sketches"."""
        return self.folder / kind / f"{self.part.name}.{suffix}"

    def column(self, number: int, checks: Checks) -> Column:
        """Of ``prints``: the halves of fingerprints, if they are asked for, then the bands."""
        return Column(self.file("prints", "u8"), number, checks.columns)


def survey_part(part: Part, folder: Path, checks: Checks) -> dict[str, Any]:
    """Judge every document of a part; bad records go aside at once. ``folder`` is the scratch folder of the step."""
    told = _Told(Survey(folder, part), checks)
    with PartWriter(folder.parent, part) as out:  # of bad records only
        for batch in batches(read_part(part, out.bad), BATCH):
            told.add(batch, _reasons(batch, checks))
    told.write()
    return out.counts() | {"documents": told.documents, "bytes_in": told.bytes_in, "passed": len(told.passed)}


def _reasons(batch: list[Document], checks: Checks) -> list[Reason]:
    """Languages are told last: that takes longest."""
    texts = [document.text for document in batch]
    reasons: list[Reason] = [None] * len(batch)
    if checks.rules is not None:
        reasons = [None if verdict is True else verdict for verdict in judge_all(texts, checks.rules)]
    if checks.languages is not None:
        for number, document in enumerate(batch):
            if reasons[number] is None and (verdict := checks.languages(document)) is not True:
                reasons[number] = verdict
    return reasons


class _Told:
    """What the first pass finds out about a part, gathered and written."""

    def __init__(self, survey: Survey, checks: Checks) -> None:
        self._survey, self._checks = survey, checks
        self.documents = self.bytes_in = 0
        self.passed: list[str] = []  # ids
        self._reasons: list[Reason] = []
        self._prints: list[bytes] = []  # of each document that passed, ``checks.columns`` numbers
        self._sketches: list[bytes] = []
        self._hits: list[tuple[int, str]] = []
        self._evaluation = load(survey.folder / "evaluation.npz") if checks.contamination else None

    def add(self, batch: list[Document], reasons: list[Reason]) -> None:
        """Documents that pass leave their fingerprints."""
        for document, reason in zip(batch, reasons, strict=True):
            self.documents += 1
            self.bytes_in += len(document.text.encode())
            self._reasons.append(reason or self._look_into(document))

    def _look_into(self, document: Document) -> Reason:
        words = None
        if self._evaluation is not None or self._checks.near is not None:
            words = word_hashes(normalised(document.text))
        if self._evaluation is not None and words is not None:
            questions = self._evaluation.questions_in(words)
            if questions:
                self._hits += [(question, document.id) for question in questions]
                noun = "a question" if len(questions) == 1 else f"{len(questions)} questions"
                return "contamination", f"it holds {noun} of the evaluation"
        self.passed.append(document.id)
        prints = fingerprint(document.text) if self._checks.exact else b""
        if self._checks.near is not None and words is not None:
            bands, numbers = sketch(words, self._checks.near)
            prints += bands.astype("<u8").tobytes()
            self._sketches.append(numbers.tobytes())
        self._prints.append(prints)
        return None

    def write(self) -> None:
        """Files by kind: a column of fingerprints is read at a time, not all of a part."""
        file = self._survey.file
        judged = {"reasons": self._reasons, "passed": self.passed}
        write_atomic(file("judged", "json"), canonical_json(judged))
        if self._hits:
            write_atomic(file("hits", "json"), canonical_json(self._hits))
        if self.passed and self._checks.columns:
            prints = np.frombuffer(b"".join(self._prints), "<u8").reshape(-1, self._checks.columns)
            write_atomic(file("prints", "u8"), prints.T.tobytes())
        if self._sketches:
            write_atomic(file("sketches", "u1"), b"".join(self._sketches))


def write_part(part: Part, folder: Path) -> dict[str, Any]:
    """Write a part's documents as they were judged. ``folder`` is that of the step."""
    survey = Survey(folder / "found", part)
    reasons = json.loads(survey.file("judged", "json").read_text(encoding="utf-8"))["reasons"]
    repeats = survey.file("repeats", "json")
    if repeats.exists():
        at = [number for number, reason in enumerate(reasons) if reason is None]
        for number, reason, detail in json.loads(repeats.read_text(encoding="utf-8")):
            reasons[at[number]] = (reason, detail)
    with PartWriter(folder, part) as out:
        for document, reason in zip(read_part(part, out.bad), reasons, strict=True):
            if reason is None:
                out.keep(document)
            else:
                out.reject(document, *reason)
    return out.counts()
