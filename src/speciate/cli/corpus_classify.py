"""The verb corpus classify: the texts of a topic, by grades of a sample that a person or a language model gives."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from speciate.cli.corpus_grades import Sampling, grades_by_hand, grades_of_file, grades_of_model
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
from speciate.cli.output import DONE, Json, Seed, Stopped, emit, lines_of, number, screen
from speciate.errors import Problem, UserError

Topic = Annotated[str, typer.Option(help='What the texts are to be about, as in "Brazilian law".')]
Labels = Annotated[
    Path | None,
    typer.Option(help="Grades 0..5: a CSV with columns id, score. If it is not there, one is written to be filled."),
]
With = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Have a language model grade (OPENAI_BASE_URL, OPENAI_API_KEY).")
]
ByHand = Annotated[bool, typer.Option("--label-by-hand", help="Grade here, in the terminal; you may stop and go on.")]
Known = Annotated[Path | None, typer.Option(help="Grade nothing: score with the model.npz of an earlier run.")]
PerRound = Annotated[int | None, typer.Option(help="Labels in each round: 250, by hand 50.", min=2)]
Rounds = Annotated[int, typer.Option(help="The first is at random, the others the highest ranked.", min=1)]
HeldOut = Annotated[int | None, typer.Option(help="Further labels to judge by: as many as a round.", min=0)]
SampleSize = Annotated[int, typer.Option("--sample", help="Documents that labels are chosen among.", min=10)]
Budget = Annotated[str | None, typer.Option(metavar="TOKENS", help="Keep the best up to so many, as in 8.4B.")]
Threshold = Annotated[float | None, typer.Option(help="Keep scores from here on (3, without a budget).", min=0, max=5)]
Tokenizer = Annotated[Path | None, typer.Option(help="Count tokens with it; else they are bytes / --bytes-per-token.")]
BytesEach = Annotated[float, typer.Option("--bytes-per-token", help="Bytes of a token, roughly.", min=0.1)]
Characters = Annotated[int, typer.Option(help="How much of a text is read to grade and to score it.", min=100)]
From = Annotated[int, typer.Option(help="The grade from which a text counts as of the topic, to judge.", min=1, max=5)]
Encoder = Annotated[
    str | None, typer.Option(help="Fine-tune this model of transformers (a path or name) instead of words.")
]
RejectedText = Annotated[
    bool, typer.Option("--rejected-text", help="Keep what other texts say too, not only their ids and scores.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Send texts to the model without asking first.")]
Cache = Annotated[Path | None, typer.Option(help="Where answers are kept (~/.cache/speciate/answers).")]
AtOnce = Annotated[int, typer.Option(help="Questions to the model that are open at once.", min=1)]


def classify(
    inputs: Inputs,
    topic: Topic,
    out: Out,
    labels: Labels = None,
    label_with: With = None,
    label_by_hand: ByHand = False,
    model: Known = None,
    labels_per_round: PerRound = None,
    rounds: Rounds = 4,
    held_out_labels: HeldOut = None,
    sample: SampleSize = 20_000,
    budget: Budget = None,
    threshold: Threshold = None,
    tokenizer: Tokenizer = None,
    bytes_per_token: BytesEach = 4.0,
    characters: Characters = 4_000,
    relevant_from: From = 3,
    encoder: Encoder = None,
    rejected_text: RejectedText = False,
    yes: Yes = False,
    cache: Cache = None,
    parallel_calls: AtOnce = 4,
    text_field: Field = "text",
    most_bad: MostBad = 0.01,
    engine: EngineKind = "local",
    address: Address = None,
    processes: Processes = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Keep the texts of a topic: grade a sample, learn from it, score everything, cut by score or by tokens."""
    import json

    from speciate.corpus.classify.labelling import LabellingStopped
    from speciate.corpus.classify.rounds import Schedule
    from speciate.corpus.classify.step import (
        Tokens,
        assess,
        claim,
        keep_topic,
        learn_topic,
        score_corpus,
        write_suggestions,
    )
    from speciate.corpus.classify.threshold import parse_tokens
    from speciate.corpus.steps.parts import cut
    from speciate.storage import write_atomic

    _check(topic, [labels, label_with, label_by_hand or None, model], budget, threshold)
    most = None if budget is None else parse_tokens(budget)
    at = None if budget is not None else 3.0 if threshold is None else threshold
    each = labels_per_round or (50 if label_by_hand else 250)
    schedule = Schedule(each, rounds, each if held_out_labels is None else held_out_labels, relevant_from)
    where, parts = engine_of(engine, address, processes), cut(inputs, text_field=text_field)
    graded_by = label_with or ("hand" if label_by_hand else "a file" if labels else "an earlier model")
    tokens = Tokens(None if tokenizer is None else str(tokenizer.resolve()), bytes_per_token)
    asked = {"tokens": tokens.told, "topic": topic, "graded_by": graded_by, "seed": seed, "characters": characters}
    claim(out, parts, asked)
    topic_model = model
    found: dict[str, Any] = {"labels": None, "calls": None}
    if topic_model is None:
        sampling = Sampling(parts, out, topic, sample, characters, schedule, seed, where, as_json, most_bad)
        drawn = "by weight"
        try:
            if label_with is not None:
                ranking, known, found["calls"] = grades_of_model(sampling, label_with, cache, parallel_calls, yes)
            elif label_by_hand:
                ranking, known = grades_by_hand(sampling)
            else:
                ranking, known, drawn = grades_of_file(sampling, labels or Path())
        except LabellingStopped as stopped:
            _tell_stopped(str(stopped), as_json)
            raise Stopped from stopped
        topic_model = learn_topic(ranking, known, out, encoder)
    with progress_bar(as_json) as progress:
        files = score_corpus(parts, out, topic_model, tokens, where, progress, most_bad)
        report = keep_topic(parts, out, files, asked, at, most, where, progress, most_bad, rejected_text)
    if model is None:
        write_suggestions(out, ranking, known, schedule, drawn != "by weight", seed)
        found["labels"] = assess(topic_model, ranking, known, schedule, report["threshold"], drawn, seed)
    to_judge = out / "to_judge.csv"
    found["to_judge"] = str(to_judge) if to_judge.exists() else None
    report |= found | {"next": f"speciate corpus tokenize {shlex.quote(str(out))} --out shards"}
    write_atomic(out / "classification.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if as_json:
        emit(report)
    else:
        print("\n".join(lines_of(told(report), screen())))
    return DONE


FEWEST_RELEVANT = 30  # held-out texts of the topic, for figures to go by


def _check(topic: str, sources: list[object], budget: str | None, threshold: float | None) -> None:
    problems = []
    if not topic.strip():
        problems.append(Problem("no topic", "--topic", 'say what the texts are to be about, as in "Brazilian law"'))
    if sum(source is not None for source in sources) != 1:
        what = "several ways to label" if any(source is not None for source in sources) else "no labels"
        fix = "give one of --labels CSV, --label-with MODEL, --label-by-hand, --model FILE"
        problems.append(Problem(what, "the options", fix))
    if budget is not None and threshold is not None:
        problems.append(Problem("a budget and a threshold", "--budget, --threshold", "give one of them"))
    if problems:
        raise UserError(problems)


def _tell_stopped(what: str, as_json: bool) -> None:
    if as_json:
        emit({"status": f"stopped: {what}"})
    else:
        print(f"Stopped: {what}\nNext: the same command again")


def told(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    share = report["kept"] / max(report["documents"], 1)
    lines = [
        f"kept {report['kept']:,} of {report['documents']:,} documents ({share:.2%}), {report['tokens_kept']:,} of "
        f"{report['tokens']:,} tokens: those that score {report['threshold']:.3f} or more"
    ]
    if report["budget_tokens"] is not None:
        off = report["tokens_kept"] / report["budget_tokens"] - 1
        lines.append(f"budget: {report['budget_tokens']:,.0f} tokens, met within {abs(off):.2%}")
    if report["labels"]:
        lines += _labels_told(report["labels"], report["to_judge"])
    if report["calls"]:
        lines.append(
            "calls of the model: " + ", ".join(f"{k.replace('_', ' ')} {n:,}" for k, n in report["calls"].items())
        )
    if report["bad"]:
        lines.append("bad: " + ", ".join(f"{count:,} {reason}" for reason, count in report["bad"].items()))
    if report["done_before"]:
        lines.append("(the texts were there already)")
    return [*lines, f"Next: {report['next']}"]


def _labels_told(labels: dict[str, Any], to_judge: str | None) -> list[str]:
    grades = ", ".join(f"{count:,} of grade {grade}" for grade, count in labels["grades"].items() if count)
    lines = [f"learned from {grades}"]
    if labels["unknown_ids"]:
        lines.append(f"labels of texts that are not here: {labels['unknown_ids']:,}")
    held = labels["held_out"]
    better = f"fill in {to_judge} and add its rows to your labels" if to_judge else "ask for --held-out-labels"
    if held is None:
        return [*lines, f"no held-out labels: how good this is was not measured; to measure it, {better}"]
    lines.append(
        f"held out: {held['labels']:,} labels, {held['relevant_labels']:,} of grade {labels['relevant_from']} or more"
        f" (of all texts {number(held['prevalence'])})"
    )
    if held["drawn"] == "as given":
        lines.append(f"  nobody knows what these are a sample of: what follows may flatter; for better, {better}")
    elif held["drawn"] == "at random" and held["relevant_labels"] < FEWEST_RELEVANT:
        lines.append(f"  few of the topic are among labels at random; for more, {better}")
    named = {"average_precision": "average precision", "precision": "precision of what is kept",
             "recall": "recall: the share of the topic that is kept"}  # fmt: skip
    for name, meaning in named.items():
        value, low, high = (number(held[name][key]) for key in ("value", "low", "high"))
        lines.append(f"  {meaning}: {value} ({low} to {high})")
    for band in held["calibration"]:
        lines.append(f"  scores {band['from']:g} to {band['to']:g}: mean score {band['mean_score']:.2f}, "
                     f"mean grade {band['mean_grade']:.2f} ({band['labels']:,} labels)")  # fmt: skip
    return lines
