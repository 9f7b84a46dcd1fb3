"""The true similarity of documents that might repeat each other: the share of their runs of words in common.

Sketches only estimate it, so that where many pairs lie just below the limit too many would go. Runs are read again,
of the documents alone that share a band with another, and compared where the estimate comes near the limit.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.clean.near_duplicates import Near, runs_of, similarity
from speciate.corpus.clean.ngrams import normalised, word_hashes
from speciate.corpus.clean.parts import Survey
from speciate.corpus.clean.same_text import Numbers
from speciate.corpus.steps.parts import Part, read_part
from speciate.storage import write_atomic

MARGIN = 0.12  # below the limit, of an estimate: more than three standard errors at .8
OPEN = 64  # parts whose files are open

Runs = NDArray[np.uint32]


def ask(surveys: Sequence[Survey], begins: Numbers, wanted: NDArray[np.bool_]) -> None:
    """Leave for each part which of its documents' runs are wanted, by their numbers among those that passed."""
    for survey, first, last in zip(surveys, begins[:-1], begins[1:], strict=True):
        held = io.BytesIO()
        np.save(held, np.flatnonzero(wanted[first:last]))
        write_atomic(survey.file("wanted", "npy"), held.getvalue())


def shingle_part(part: Part, folder: Path, near: Near) -> dict[str, Any]:
    """Write the runs of the documents that ``ask`` named, one after the other, and where each begins."""
    survey = Survey(folder.parent, part)
    wanted = np.load(survey.file("wanted", "npy"))
    if not wanted.size:
        return {"documents": 0}
    reasons = json.loads(survey.file("judged", "json").read_text(encoding="utf-8"))["reasons"]
    left, runs, number = set(wanted.tolist()), [np.zeros(0, np.uint32)], 0
    for document, reason in zip(read_part(part), reasons, strict=True):
        if reason is None:
            if number in left:
                runs.append(np.unique(runs_of(word_hashes(normalised(document.text)), near)))
            number += 1
    write_atomic(survey.file("runs", "u4"), np.concatenate(runs).astype("<u4").tobytes())
    held = io.BytesIO()
    np.save(held, np.cumsum([each.size for each in runs]))
    write_atomic(survey.file("runs", "npy"), held.getvalue())
    return {"documents": len(runs) - 1}


@dataclass
class TrueSimilarity:
    """Similarity of documents by number: counted where the estimate is at least ``least - MARGIN``, else estimated.

    A pair comes again in other bands, so what was counted is kept: 16 bytes a pair. Runs stay in their files, mapped
    into memory: documents may be books.
    """

    surveys: Sequence[Survey]
    begins: Numbers  # of the documents of each part, and the end
    sketches: NDArray[np.uint8]
    least: float
    pairs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    counted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self._of_part = lru_cache(maxsize=OPEN)(self._open)

    def __call__(self, one: Numbers, other: Numbers) -> NDArray[np.float64]:
        """(pairs)."""
        found = similarity(self.sketches[one], self.sketches[other])
        close = np.flatnonzero(found >= self.least - MARGIN)
        asked = one[close] * len(self.sketches) + other[close]
        new = np.unique(asked)
        places = np.searchsorted(self.pairs, new)
        unknown = np.append(self.pairs, -1)[places] != new
        new, places = new[unknown], places[unknown]
        if new.size:
            values = [self._jaccard(*divmod(pair, len(self.sketches))) for pair in new.tolist()]
            self.pairs, self.counted = np.insert(self.pairs, places, new), np.insert(self.counted, places, values)
        found[close] = self.counted[np.searchsorted(self.pairs, asked)]
        return found

    def _jaccard(self, one: int, other: int) -> float:
        a, b = self._runs(one), self._runs(other)
        common = np.intersect1d(a, b, assume_unique=True).size
        return common / (a.size + b.size - common)

    def _runs(self, document: int) -> Runs:
        part = int(np.searchsorted(self.begins, document, "right")) - 1
        wanted, ends, runs = self._of_part(part)
        place = int(np.searchsorted(wanted, document - self.begins[part]))
        return runs[ends[place] : ends[place + 1]]

    def _open(self, part: int) -> tuple[Numbers, Numbers, Runs]:
        file = self.surveys[part].file
        runs = np.asarray(np.memmap(file("runs", "u4"), "<u4", "r"))  # not of memmap's class: to slice that is slow
        return np.load(file("wanted", "npy")), np.load(file("runs", "npy")), runs
