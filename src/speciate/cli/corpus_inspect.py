"""The verb corpus inspect: what text holds, before anything is done to it."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from speciate.cli.corpus_options import Address, EngineKind, Field, Inputs, Processes, engine_of, progress_bar
from speciate.cli.output import DONE, Json, emit, lines_of, screen
from speciate.errors import Problem, UserError

Notes = Annotated[
    Path | None, typer.Option("--out", help="Keep notes of what is done here, so that a stopped run goes on.")
]
Languages = Annotated[bool, typer.Option("--languages", help="Tell the language of each document (py3langid).")]
Bytes = Annotated[float, typer.Option(help="Text in one part, in bytes.", min=1e4)]


def inspect(
    inputs: Inputs,
    out: Notes = None,
    languages: Languages = False,
    text_field: Field = "text",
    part_bytes: Bytes = 16e6,
    engine: EngineKind = "local",
    address: Address = None,
    processes: Processes = 1,
    as_json: Json = False,
) -> int:
    """What text holds: documents, lengths, duplicates, languages, and what cannot be read and why."""
    from speciate.corpus.reading.inspect import inspect_corpus
    from speciate.corpus.steps.parts import cut

    where = engine_of(engine, address, processes)
    if address is not None and out is None:
        raise UserError(Problem("machines of a cluster share no temporary folder", "--out", "give one that all see"))
    parts = cut(inputs, part_bytes, text_field)
    with tempfile.TemporaryDirectory(prefix="speciate-") as scratch, progress_bar(as_json) as progress:
        report = inspect_corpus(parts, out or Path(scratch), languages, where, progress)
    report |= {"passed_over": _passed(inputs)}
    report |= {"next": _next(inputs, report, text_field)}
    if as_json:
        emit(report)
    else:
        print("\n".join(lines_of(told(report), screen())))
    return DONE


def _passed(inputs: list[str]) -> dict[str, int]:
    """Files under the inputs that were not read, by why; "other kinds" by their suffix."""
    from collections import Counter

    from speciate.corpus.reading.files import survey

    total: Counter[str] = Counter()
    for path in map(Path, inputs):
        if path.is_dir():
            listing = survey(path)
            total.update({why: count for why, count in listing.passed.items() if why != "other kinds"})
            total.update({f"other kinds ({suffix})": count for suffix, count in listing.others.items()})
    return dict(total.most_common())


def _next(inputs: list[str], report: dict[str, Any], text_field: str) -> str:
    if not report["documents"]:
        return "speciate corpus inspect INPUT --text-field NAME"
    field = "" if text_field == "text" else f" --text-field {shlex.quote(text_field)}"
    return f"speciate corpus clean {shlex.join(inputs)}{field} --out cleaned"


def told(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    lines = [
        f"{_count(report['documents'], 'document')} of {report['bytes']:,} bytes in {_count(report['files'], 'file')} "
        f"({report['bytes_on_disk']:,} bytes on disk)"
    ]
    if report["documents"]:
        middle = ", ".join(f"{float(level):.0%} {size:,}" for level, size in report["quantiles"].items())
        lines.append(f"bytes of a document: {report['shortest']:,} to {report['longest']:,}; quantiles {middle}")
        lines.append(f"exact duplicates: {report['duplicates']:,} ({report['duplicate_share']:.2%})")
    if report["control_characters"]:
        lines.append(f"with control characters: {_count(report['control_characters'], 'document')}")
    if report["languages"]:
        lines.append("languages: " + _listed(report["languages"]))
    if report["fields"]:
        lines.append("other fields: " + _listed(report["fields"]))
    if report["passed_over"]:
        lines.append("files passed over: " + _listed(report["passed_over"]))
    if report["empty"]:
        lines.append(f"empty: {_count(report['empty'], 'record')} without text")
    for reason, count in report["bad"].items():
        lines.append(f"bad: {count:,} {reason}")
        lines += [f"  {each['where']}: {each['what']}" for each in report["bad_examples"][reason]]
        lines.append(f"  -> {report['bad_examples'][reason][0]['fix']}")
    if report["example"]:
        lines.append(f"example: {report['example']['id']}: {_one_line(report['example']['text'])}")
    return [*lines, f"Next: {report['next']}"]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _listed(counts: dict[str, int], most: int = 8) -> str:
    shown = sorted(counts.items(), key=lambda item: -item[1])
    rest = f", and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(f"{name} {count:,}" for name, count in shown[:most]) + rest


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())
    return line if len(line) <= 200 else line[:197] + "..."
