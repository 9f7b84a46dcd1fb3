"""The verb corpus clean: leave out what is no good text, what repeats, and what an evaluation asks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from speciate.cli.corpus_options import (
    Address,
    EngineKind,
    Field,
    Inputs,
    MostBad,
    Out,
    Processes,
    engine_of,
    progress_bar,
)
from speciate.cli.output import DONE, Json, emit, lines_of, screen
from speciate.errors import Problem, UserError

NO_RULES = "none"

Preset = Annotated[
    str, typer.Option(help="Quality rules for this kind of text: english, portuguese, any, code, maths, or none.")
]
Rule = Annotated[
    list[str] | None, typer.Option("--rule", help="Set a rule otherwise, as in least_words=20 or stop_words=off.")
]
Language = Annotated[list[str] | None, typer.Option(help="Keep this language only, as in en or pt; repeatable.")]
LanguageField = Annotated[
    str | None, typer.Option("--field", help="The field that names a document's language; else it is detected.")
]
EvaluationFiles = Annotated[
    list[str] | None, typer.Option(help="Questions (.jsonl, .parquet, or a line each) that may not stand in the text.")
]
EvaluationField = Annotated[
    list[str] | None, typer.Option(help="Their field, then others looked for, if not question and choices.")
]
Words = Annotated[int, typer.Option(help="Words in a row that a question and a document have to share.", min=5)]
Exact = Annotated[bool, typer.Option("--exact-duplicates/--no-exact-duplicates", help="Leave out equal documents.")]
Nearly = Annotated[bool, typer.Option("--near-duplicates/--no-near-duplicates", help="And nearly equal ones.")]
Similarity = Annotated[
    float, typer.Option(help="Share of runs of 5 words that makes near duplicates.", min=0.3, max=1.0)
]


def clean(
    inputs: Inputs,
    out: Out,
    preset: Preset = "english",
    rule: Rule = None,
    language: Language = None,
    language_field: LanguageField = None,
    evaluation: EvaluationFiles = None,
    evaluation_field: EvaluationField = None,
    words: Words = 13,
    exact_duplicates: Exact = True,
    near_duplicates: Nearly = True,
    similarity: Similarity = 0.8,
    text_field: Field = "text",
    most_bad: MostBad = 0.01,
    engine: EngineKind = "local",
    address: Address = None,
    processes: Processes = 1,
    as_json: Json = False,
) -> int:
    """Leave out poor text, other languages, repeated documents, and those that hold questions of an evaluation."""
    from speciate.corpus.clean.language import languages
    from speciate.corpus.clean.near_duplicates import Near
    from speciate.corpus.clean.quality_presets import PRESETS, rules_of
    from speciate.corpus.clean.step import Cleaning
    from speciate.corpus.clean.step import clean as clean_corpus
    from speciate.corpus.steps.parts import cut

    if preset == NO_RULES and rule:
        raise UserError(Problem("a rule, but no rules", "--rule", f"give --preset {', '.join(PRESETS)}"))
    if language_field is not None and not language:
        raise UserError(Problem("a field of languages, but no language", "--field", "add --language, as in en"))
    cleaning = Cleaning(
        rules=None if preset == NO_RULES else rules_of(preset, rule or ()),
        languages=languages(language or (), language_field),
        exact=exact_duplicates,
        near=Near(similarity) if near_duplicates else None,
        evaluation=tuple(evaluation or ()),
        evaluation_fields=tuple(evaluation_field or ()),
        run=words,
    )
    where = engine_of(engine, address, processes)
    with progress_bar(as_json) as progress:
        report = clean_corpus(cut(inputs, text_field=text_field), out, cleaning, where, progress, most_bad)
    report |= {"folder": str(out), "next": _next(out, report)}
    if as_json:
        emit(report)
    else:
        print("\n".join(lines_of(told(report, preset), screen())))
    return DONE


def _next(out: Path, report: dict[str, Any]) -> str:
    if not report["kept"]:
        return "speciate corpus clean INPUT --preset any --out ANOTHER"
    return f"speciate corpus cluster {shlex.quote(str(out))} --out clusters"


def told(report: dict[str, Any], preset: str) -> list[str]:
    """The report for a person."""
    folder, documents = report["folder"], report["documents"]
    lines = ["already there, from the same command before:"] if report["done_before"] else []
    share = f" ({report['kept'] / documents:.1%}, of bytes {report['bytes_out'] / report['bytes_in']:.1%})"
    lines.append(
        f"kept {report['kept']:,} of {documents:,} documents{share if documents else ''}, "
        f"{report['bytes_out']:,} bytes, in {folder}/kept"
    )
    reasons = sorted(report["rejected"].items(), key=lambda item: (-item[1], item[0]))
    if reasons:
        lines.append(f"rejected {sum(report['rejected'].values()):,}, each with its reason, in {folder}/rejected")
        lines += [f"  {reason:22}  {count:,}" for reason, count in reasons]
    if reasons and reasons[0][1] > documents / 2:
        lines.append(f"More than half went by one reason: is --preset {preset} right for this text?")
    if report.get("questions"):
        lines += _questions(report)
    if report["bad"]:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in report["bad"].items())
        lines.append(f"records that are no document: {listed}; they stand in {folder}/bad")
    return [*lines, f"Next: {report['next']}"]


def _questions(report: dict[str, Any]) -> list[str]:
    found, asked = report["questions_found"], report["questions"]
    lines = [f"{found:,} of {asked:,} questions stand in the text; {report['folder']}/contamination.jsonl names them"]
    if report["questions_too_short"]:
        lines.append(f"  {report['questions_too_short']:,} are too short to be looked for (below 8 words)")
    if report["common_runs"]:
        lines.append(f"  {report['common_runs']:,} runs of words in more than 10 questions do not count")
    return lines
