"""The verb corpus cluster: text into balanced clusters, and a router to them."""

from __future__ import annotations

import shlex
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
from speciate.cli.output import DONE, Json, Seed, emit, lines_of, screen

Clusters = Annotated[int, typer.Option(help="How many, all of the same size.", min=1)]
EmbeddingOf = Annotated[str, typer.Option("--embedding", help="tfidf, or the folder or name of a sentence model.")]
Dimensions = Annotated[int, typer.Option(help="Of the vectors of tfidf.", min=1)]
Window = Annotated[int, typer.Option(help="Tokens of a window; longer documents are cut into several.", min=1)]
Prefix = Annotated[int, typer.Option(help="Tokens that the router reads.", min=1)]
Held = Annotated[float, typer.Option(help="Share of documents to measure on, not fitted.", min=0.0, max=0.99)]
SampleOf = Annotated[int, typer.Option("--sample", help="Windows that tfidf and the router are fitted on.", min=1)]


def cluster(
    inputs: Inputs,
    out: Out,
    clusters: Clusters = 16,
    embedding: EmbeddingOf = "tfidf",
    dimensions: Dimensions = 128,
    window: Window = 2_048,
    prefix: Prefix = 32,
    held_out: Held = 0.1,
    sample: SampleOf = 50_000,
    seed: Seed = 0,
    text_field: Field = "text",
    most_bad: MostBad = 0.01,
    engine: EngineKind = "local",
    address: Address = None,
    processes: Processes = 1,
    as_json: Json = False,
) -> int:
    """Put text into clusters of equal size, and learn to tell a text's cluster by its first tokens."""
    from speciate.corpus.cluster.step import ClusterOptions, cluster_corpus
    from speciate.corpus.steps.parts import cut

    where = engine_of(engine, address, processes)
    options = ClusterOptions(clusters, embedding, dimensions, window, prefix, held_out, sample, seed)
    with progress_bar(as_json) as progress:
        report = cluster_corpus(cut(inputs, text_field=text_field), out, options, where, progress, most_bad)
    every = all(card["held_out"] for card in report["clusters"]["clusters"])  # of little text some have none held out
    fields = "--domain-field cluster" + (" --held-out-field held_out" if every else "")
    report |= {"folder": str(out), "next": f"speciate corpus tokenize {shlex.quote(str(out))} {fields} --out tokens"}
    if as_json:
        emit(report)
    else:
        print("\n".join(lines_of(told(report), screen())))
    return DONE


def told(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    from speciate.corpus.cluster.routing_quality import told_tables

    folder, found = report["folder"], report["clusters"]
    lines = ["already there, from the same command before:"] if report["done_before"] else []
    lines.append(
        f"{report['documents']:,} windows of at most {found['window_tokens']:,} tokens in "
        f"{len(found['clusters'])} clusters, in {folder}/kept (column cluster)"
    )
    lines.append(f"embedding: {found['embedding']['kind']}, which reads {found['embedding']['reads']}")
    for name, text in (("clustered", "clustered text"), ("held_out", "held-out text")):
        balance = found["balance"][name]
        if balance["largest_over_mean"] is not None:
            each = f"{balance['windows']:,} windows"
            lines.append(f"largest cluster over the mean, {text}: {balance['largest_over_mean']:.3f} ({each})")
    bad = {reason: count for reason, count in report["bad"].items() if count}
    lines += [f"bad: {count:,} {reason}, in {folder}/bad" for reason, count in bad.items()]
    lines += [
        f"  {card['cluster']:3}  {card['share']:5.1%}  {', '.join(card['terms'][:8])}" for card in found["clusters"]
    ]
    if found["quality"]["texts"]:
        lines += told_tables(found["quality"])
    return [*lines, f"Cards: {folder}/cards.html", f"Next: {report['next']}"]
