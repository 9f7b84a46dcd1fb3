"""The verb corpus tokenize: text of several domains as token shards, and what a mixture of them will draw."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciate.cli.corpus_options import Address, EngineKind, Field, MostBad, Out, Processes, engine_of, progress_bar
from speciate.cli.output import DONE, Json, emit, lines_of, screen, table
from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.corpus.tokens.step import Tokenizing

Named = Annotated[
    list[str],
    typer.Argument(
        metavar="[DOMAIN=]INPUT...",
        help="Text of each domain: files, folders, what an earlier step left, or hf:NAME[@CONFIG][:SPLIT].",
    ),
]
ByField = Annotated[
    str | None, typer.Option(help="A field of each document that holds its domain, as cluster.", metavar="NAME")
]
Tokenizer = Annotated[
    str, typer.Option(help="A tokenizer.json, a folder with one, or train: byte-level BPE on this text.")
]
Vocabulary = Annotated[int | None, typer.Option(help="Entries of the tokenizer that is trained.  [default: 32768]")]
Sample = Annotated[float, typer.Option(help="Bytes of text that it is trained on.", min=1.0)]
HeldOut = Annotated[
    float | None,
    typer.Option(help="Share of each domain's bytes that is held out, by whole stretches.  [default: 0.01]"),
]
HeldOutField = Annotated[
    str | None,
    typer.Option(
        help="A field that is true of the documents to hold out, as held_out, in place of a share.", metavar="NAME"
    ),
]
Mixture = Annotated[
    list[str] | None,
    typer.Option(
        help="Shares, as law=.1,general=.9, or natural; again for each later phase.", metavar="NAME=SHARE,..."
    ),
]
Tokens = Annotated[list[float] | None, typer.Option(help="Tokens of each --mixture.", metavar="TOKENS")]
Length = Annotated[int, typer.Option(help="Tokens of a sample, for the mixture's report.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of what is held out.", min=0)]

OPTIONS = {"--tokenizer": "tokenizer", "--vocabulary": "vocabulary", "--sample-bytes": "sample_bytes",
           "--held-out": "held_out_share", "--seed": "seed", "--domain-field": "domain_field",
           "--held-out-field": "held_out_field", "--text-field": "text_field"}  # fmt: skip


def tokenize(
    inputs: Named,
    out: Out,
    tokenizer: Tokenizer = "train",
    vocabulary: Vocabulary = None,
    sample_bytes: Sample = 50e6,
    held_out: HeldOut = None,
    domain_field: ByField = None,
    held_out_field: HeldOutField = None,
    mixture: Mixture = None,
    tokens: Tokens = None,
    sequence_length: Length = 2048,
    text_field: Field = "text",
    most_bad: MostBad = 0.01,
    seed: Seed = 0,
    engine: EngineKind = "local",
    address: Address = None,
    processes: Processes = 1,
    as_json: Json = False,
) -> int:
    """Text as token shards that training reads, and what a mixture of the domains will really draw."""
    from speciate.corpus.tokens.shards import Corpus, describe
    from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus

    if tokenizer != "train" and vocabulary is not None:
        raise UserError(Problem("a vocabulary, and a tokenizer that has one", "--vocabulary", "leave one out"))
    if held_out is not None and held_out_field is not None:
        raise UserError(Problem("a share, and a field that says what is held out", "--held-out", "leave one out"))
    _check_phases(mixture or [], tokens or [])
    how = Tokenizing(
        tokenizer=None if tokenizer == "train" else tokenizer,
        vocabulary=32_768 if vocabulary is None else vocabulary,
        sample_bytes=sample_bytes,
        held_out_share=0.01 if held_out is None else held_out,
        seed=seed,
        domain_field=domain_field,
        held_out_field=held_out_field,
        text_field=text_field,
    )
    where = engine_of(engine, address, processes)
    with progress_bar(as_json) as progress:
        report = tokenize_corpus(domains_of(inputs), out, how, where, progress, most_bad)
    corpus = Corpus.open(out, verify=report["done_before"])
    report |= {
        "folder": str(out),
        "vocabulary": corpus.vocab_size,
        "digest": corpus.digest,
        "domains": describe(corpus),
    }
    report |= {"mixture": _mixture(corpus, mixture or [], tokens or [], sequence_length)}
    report |= {"next": _next(_again(inputs, out, how), out, report["mixture"])}
    if as_json:
        emit({name: value for name, value in report.items() if name != "request"})
    else:
        print("\n".join(lines_of(told(report), screen())))
    return DONE


def domains_of(inputs: list[str]) -> dict[str, str]:
    """Input -> domain: what stands before "=", or the input's own name without endings.

    >>> domains_of(["law=texts/statutes", "texts/prose.jsonl.gz", "hf:stas/openwebtext-10k"])
    {'texts/statutes': 'law', 'texts/prose.jsonl.gz': 'prose', 'hf:stas/openwebtext-10k': 'openwebtext-10k'}
    """
    found: dict[str, str] = {}
    for given in inputs:
        name, mark, path = given.partition("=")
        if not mark or Path(given).exists():
            name, path = "", given
        if path in found:
            raise UserError(Problem("given twice", path, "give each input once, in one domain"))
        last = path.split(":")[1] if path.startswith("hf:") else str(Path(path).resolve())
        own = re.sub(r"(\.(jsonl?|txt|md|parquet|arrow|gz|zst))+$", "", Path(last).name)
        found[path] = name if mark and name else re.sub(r"[^A-Za-z0-9_.-]+", "-", own).strip("-._") or "text"
    return found


def _check_phases(mixture: list[str], tokens: list[float]) -> None:
    if len(mixture) != len(tokens):
        what = f"{len(mixture)} mixtures and {len(tokens)} numbers of tokens"
        raise UserError(Problem(what, "--mixture", "give --tokens once for each --mixture, as in --tokens 1e9"))


def _mixture(corpus: Any, mixture: list[str], tokens: list[float], length: int) -> dict[str, Any] | None:
    from speciate.corpus.tokens.mixture import Phase, draws, parse_mixture

    if not mixture:
        return None
    sizes = {domain: len(corpus.train[domain]) for domain in corpus.domains}
    phases = [Phase(parse_mixture(text, sizes), int(size)) for text, size in zip(mixture, tokens, strict=True)]
    return draws(sizes, phases, length)


def _again(inputs: list[str], out: Path, how: Tokenizing) -> str:
    """The command that made this, to be given more options; where it ran is left out, as all is done."""
    from speciate.corpus.tokens.step import Tokenizing

    plain, words = Tokenizing(), [*inputs, "--out", str(out)]
    for option, name in OPTIONS.items():
        if (value := getattr(how, name)) != getattr(plain, name):
            words += [option, str(value)]
    return f"speciate corpus tokenize {shlex.join(words)}"


def _next(again: str, out: Path, mixture: dict[str, Any] | None) -> str:
    if mixture is None:
        return f"see what a mixture draws: {again} --mixture natural --tokens 1e9"
    if mixture["repeats"]:
        return f"less of {mixture['repeats'][0]}, or more of its text: {again} --mixture ... --tokens ..."
    return f"speciate init DIR begins a study; corpus.prepared: {out.resolve()} in its study.yaml makes this its text"


def told(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    lines = ["already there, from the same command before:"] if report["done_before"] else []
    count = sum(row["train_tokens"] + row["held_out_tokens"] for row in report["domains"])
    lines.append(
        f"{count:,} tokens of {report['documents']:,} documents, a vocabulary of {report['vocabulary']:,}, "
        f"in {report['folder']}"
    )
    rows = [
        [
            row["domain"], f"{row['documents']:,}", f"{row['bytes']:,}", f"{row['train_tokens']:,}",
            f"{row['held_out_tokens']:,}", f"{row['bytes_per_token']:.2f}",
        ]
        for row in report["domains"]
    ]  # fmt: skip
    lines += table(["domain", "documents", "bytes", "train", "held out", "bytes/token"], rows).splitlines()
    if report["bad"]:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in report["bad"].items())
        lines.append(f"records that are no document: {listed}; they stand in {report['folder']}/bad")
    if report["mixture"]:
        lines += _mixture_lines(report["mixture"])
    return [*lines, f"Next: {report['next']}"]


def _mixture_lines(mixture: dict[str, Any]) -> list[str]:
    lines = []
    for number, phase in enumerate(mixture["phases"], 1):
        lines.append(f"phase {number} draws {phase['tokens']:,} tokens, {phase['samples']:,} samples:")
        rows = [
            [
                row["domain"], f"{row['share']:.4%}", f"{row['samples']:,}", f"{row['tokens']:,}",
                f"{row['epochs']:.3g}", f"{row['repeated']:,} tokens read again" if row["repeated"] else "",
            ]
            for row in phase["domains"]
        ]  # fmt: skip
        lines += table(["domain", "share", "samples", "tokens", "passes so far", ""], rows).splitlines()
    if mixture["repeats"]:
        lines.append(f"Repeats: {', '.join(mixture['repeats'])}")
    return lines
