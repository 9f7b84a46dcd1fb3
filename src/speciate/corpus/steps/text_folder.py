"""The folder of text that a step leaves, and that any step (and a study) reads as its input.

``kept/`` and ``rejected/`` hold a table per part, ``bad/`` the records that gave no document, ``parts/`` the counts of
each part that is done, and ``report.json``, written last, says that the step is done and what became of everything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from speciate.corpus.steps.engine import Engine, Progress, Work, run_parts
from speciate.corpus.steps.part_writer import PartWriter
from speciate.corpus.steps.parts import Part, describe
from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, digest, write_atomic

__all__ = ["PartWriter", "begin", "finish", "run_step"]

OURS = {"kept", "rejected", "bad", "parts", "report.json"}


def run_step(
    step: str,
    work: Work,
    parts: Sequence[Part],
    folder: Path,
    request: Mapping[str, Any],
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
    own: Collection[str] = (),
) -> dict[str, Any]:
    """Do a step on all parts, or go on with one that was stopped; the report, with ``done_before`` added.

    ``request`` holds the options that decide the result, not how it is computed. Raises ``UserError`` as ``begin`` and
    ``run_parts`` do.
    """
    asked = {"step": step, "input": describe(parts), **request}
    finished = begin(folder, asked, parts, own)
    if finished is not None:
        return finished | {"done_before": True}
    started = time.monotonic()
    results = run_parts(work, parts, folder, asked, engine, progress, most_bad)
    return finish(folder, asked, results, time.monotonic() - started) | {"done_before": False}


def begin(
    folder: Path, request: Mapping[str, Any], parts: Sequence[Part] = (), own: Collection[str] = ()
) -> dict[str, Any] | None:
    """The report if the step is done already, else None, and the folder is there.

    ``own`` names what the step writes there before its parts. Raises ``UserError`` if the folder holds another
    request, only what no step wrote, or the text of ``parts`` themselves.
    """
    inside = [p.file for part in parts for p in part.pieces if Path(p.file).resolve().is_relative_to(folder.resolve())]
    if inside:
        fix = "give another folder for the output"
        raise UserError(Problem(f"the input {inside[0]} stands in it", str(folder), fix))
    if folder.exists() and not folder.is_dir():
        raise UserError(Problem("a file, not a folder", str(folder), "give a folder for the output"))
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if there - OURS - set(own) and not there & OURS:  # what a step adds to its own folder is no matter
        foreign = min(there - OURS - set(own))
        raise UserError(Problem(f"it holds other things, such as {foreign}", str(folder), "give a new folder"))
    report = read_report(folder)
    if report is None:
        folder.mkdir(parents=True, exist_ok=True)
        return None
    if report["request_digest"] != digest(dict(request)):
        raise UserError(_another(folder, report["request"], request))
    return report


def finish(
    folder: Path, request: Mapping[str, Any], results: Sequence[Mapping[str, Any]], seconds: float
) -> dict[str, Any]:
    """Write and return ``report.json``: the counts of all parts added up, and what was asked for."""
    for name in ("kept", "rejected", "bad"):
        for leftover in (folder / name).glob(".*.tmp"):  # of workers that were killed
            leftover.unlink(missing_ok=True)
    totals = {"documents": 0, "kept": 0, "bytes_in": 0, "bytes_out": 0, "rejected": {}, "bad": {}, "bytes_bad": 0}
    added = add_counts([totals, *results])
    report = {"request": dict(request), "request_digest": digest(dict(request)), **added}
    report |= {"parts": len(results), "seconds": round(seconds, 3)}
    write_atomic(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return {"step": request.get("step"), **report}


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of a finished step, or None. Raises ``UserError`` if there is one that no step wrote."""
    file = folder / "report.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(Problem(f"not a report of ours ({error})", str(file), "give a new folder")) from error
    if not isinstance(told, dict) or not {"request", "request_digest"} <= told.keys():
        raise UserError(Problem("not a report of ours", str(file), "give a new folder"))
    return {"step": told["request"].get("step"), **told}


def add_counts(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers added up by key, and by key within dictionaries; all else is left out.

    >>> add_counts([{"kept": 2, "bad": {"not JSON": 1}}, {"kept": 3, "name": "b", "bad": {"not JSON": 1, "empty": 4}}])
    {'kept': 5, 'bad': {'not JSON': 2, 'empty': 4}}
    """
    total: dict[str, Any] = {}
    for result in results:
        for key, value in result.items():
            if isinstance(value, Mapping):
                total[key] = add_counts([total.get(key, {}), value])
            elif isinstance(value, int | float):
                total[key] = total.get(key, 0) + value
    return total


def _another(folder: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> Problem:
    differing = [key for key in sorted({*there, *asked}) if there.get(key) != asked.get(key)]
    told = "; ".join(f"{key} was {_short(there.get(key))}, is {_short(asked.get(key))}" for key in differing[:3])
    fix = "give a new folder, or remove this one, or repeat the command that made it"
    return Problem(f"it holds the result of another request ({told})", str(folder), fix)


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "digest" in value:  # an input: what a person can tell apart
        return f"{value.get('files')} files of {value.get('bytes'):,} bytes ({value['digest'][:8]})"
    text = canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "..."
