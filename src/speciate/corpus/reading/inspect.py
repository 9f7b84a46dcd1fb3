"""What a corpus holds: documents, bytes, lengths, languages, exact duplicates, what could not be read and why."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from speciate.corpus.reading.documents import EMPTY, FIXES, Bad
from speciate.corpus.reading.lengths import bin_of, count_lengths, quantiles
from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.parts import Part, describe, read_part
from speciate.corpus.steps.text_folder import add_counts
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
EXAMPLES = 3  # bad records shown of each reason
LOOKED_AT = 1_000  # characters by which the language of a document is told
MOST_FIELDS = 200  # names of other fields that are counted in a part
AT_ONCE = 50_000_000  # fingerprints that are compared at a time (400 MB)


def inspect_corpus(
    parts: Sequence[Part],
    folder: Path,
    languages: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read everything once; ``folder`` is for fingerprints of documents, 8 bytes each, and notes of finished parts.

    Quantiles of lengths are within 1 %. Duplicates are documents of the same text as one before; two different texts
    of 64 equal bits of BLAKE2 would be taken for one, once in 4 billion documents or more. Memory does not grow with
    the corpus up to ``AT_ONCE`` documents, and stays there beyond.
    """
    told_input = describe(parts)
    request = {"step": "inspect", "languages": languages, "input": told_input}
    results = run_parts(partial(_inspect_part, languages=languages), parts, folder, request, engine, progress)
    bad_examples: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        for reason, shown in result["bad_examples"].items():
            told = bad_examples.setdefault(reason, [])
            told += shown[: EXAMPLES - len(told)]
    totals = add_counts(results)
    documents, duplicates = totals.get("documents", 0), count_duplicates(parts, folder)
    lengths = {int(number): count for number, count in totals.get("lengths", {}).items()}
    return {
        "files": told_input["files"],
        "bytes_on_disk": told_input["bytes"],
        "documents": documents,
        "bytes": totals.get("bytes", 0),
        "characters": totals.get("characters", 0),
        "shortest": min((result["shortest"] for result in results if result["documents"]), default=None),
        "longest": max((result["longest"] for result in results if result["documents"]), default=None),
        "quantiles": dict(zip(map(str, QUANTILES), quantiles(lengths, QUANTILES), strict=True)),
        "duplicates": duplicates,
        "duplicate_share": duplicates / documents if documents else None,
        "control_characters": totals.get("control_characters", 0),
        "languages": dict(Counter(totals.get("languages", {})).most_common()) if languages else None,
        "fields": dict(sorted(totals.get("fields", {}).items())),
        "empty": totals.get("bad", {}).get(EMPTY, 0),
        "bad": {reason: count for reason, count in sorted(totals.get("bad", {}).items()) if reason != EMPTY},
        "bad_bytes": totals.get("bad_bytes", 0),
        "bad_examples": {reason: bad_examples[reason] for reason in sorted(bad_examples)},
        "example": next((result["example"] for result in results if result["example"]), None),
    }


@dataclass
class _BadCounts:
    """Bad records: counted, a few of each reason kept."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lost_bytes: int = 0

    def append(self, bad: Bad) -> None:
        """Take one."""
        self.reasons[bad.reason] += 1
        if bad.reason == EMPTY:
            return
        self.lost_bytes += bad.size
        told = self.examples.setdefault(bad.reason, [])
        if len(told) < EXAMPLES:
            where = bad.where.encode("utf-8", "backslashreplace").decode()
            told.append({"where": where, "what": bad.detail, "text": bad.text[:200], "fix": FIXES[bad.reason]})


def _inspect_part(part: Part, folder: Path, languages: bool) -> dict[str, Any]:
    bad, numbers = _BadCounts(), Counter[str]()
    lengths, found, fields = Counter[int](), Counter[str](), Counter[str]()
    shortest, longest, example = None, 0, None
    prints = array("Q")
    for document in read_part(part, bad):
        data = document.text.encode()
        numbers.update(documents=1, bytes=len(data), characters=len(document.text))
        numbers["control_characters"] += has_controls(data)
        lengths[bin_of(len(data))] += 1
        shortest, longest = min(len(data), shortest or len(data)), max(longest, len(data))
        prints.append(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little"))
        fields.update(key for key in document.meta or () if key in fields or len(fields) < MOST_FIELDS)
        if languages:
            found[language_of(document.text)] += 1
        if example is None:
            example = {"id": document.id, "text": document.text[:500]}
    write_atomic(_prints_file(folder, part), np.asarray(prints, "<u8").tobytes())
    return {
        **{name: numbers[name] for name in ("documents", "bytes", "characters", "control_characters")},
        "lengths": count_lengths(lengths),
        "shortest": shortest,
        "longest": longest,
        "languages": dict(sorted(found.items())),
        "fields": dict(sorted(fields.items())),
        "bad": dict(sorted(bad.reasons.items())),
        "bad_bytes": bad.lost_bytes,
        "bad_examples": bad.examples,
        "example": example,
    }


_PRINTABLE = bytes(code for code in range(256) if code >= 32 and code != 127 or code in b"\t\n\r\f\v")


def has_controls(data: bytes) -> bool:
    """Whether a text holds control characters other than white space: remains of a terminal, or of a binary file.

    >>> has_controls(b"two\\nlines"), has_controls(b"a\\x00b")
    (False, True)
    """
    return bool(data.translate(None, _PRINTABLE))


def language_of(text: str) -> str:
    """The language of the first thousand characters, as py3langid tells it: a code of two letters."""
    try:
        from py3langid import classify
    except ModuleNotFoundError as error:
        fix = "pip install py3langid, or leave it out"
        raise UserError(Problem("telling languages needs py3langid", "--languages", fix)) from error
    return str(classify(text[:LOOKED_AT])[0])


def _prints_file(folder: Path, part: Part) -> Path:
    return folder / "fingerprints" / f"{part.name}.u8"


def count_duplicates(parts: Sequence[Part], folder: Path, at_once: int = AT_ONCE) -> int:
    """Documents whose text a document before them has, from the fingerprints of the parts.

    In several passes, by the first bits of the fingerprints, if there are more than ``at_once``.
    """
    files = [_prints_file(folder, part) for part in parts]
    total = sum(file.stat().st_size for file in files) // 8
    bits = max(0, int(np.ceil(np.log2(max(total, 1) / at_once))))
    duplicates = 0
    for first in range(1 << bits):
        chosen = []
        for file in files:
            prints = np.fromfile(file, "<u8")
            chosen.append(prints if not bits else prints[prints >> np.uint64(64 - bits) == first])
        held = np.concatenate(chosen) if chosen else np.zeros(0, "<u8")
        held.sort()
        duplicates += int(np.count_nonzero(held[1:] == held[:-1]))
    return duplicates
