"""Text of several domains -> a corpus of token shards as a study reads it, from any number of processes.

Every part leaves its ids in one file and a list of units: stretches of one source that are trained on or held out as a
whole. When all parts are there, units are held out by their sizes, and the shards are the parts in order without the
held-out units, or with nothing else.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from speciate.corpus.steps.engine import Engine, Progress, run_parts
from speciate.corpus.steps.parts import PART_BYTES, Part, cut, describe, read_part
from speciate.corpus.steps.text_folder import begin, finish
from speciate.corpus.tokens.byte_pairs import train_byte_pairs
from speciate.corpus.tokens.parts import NAME, TOKENS, Fields, Source, is_held_out, tokenize_part
from speciate.corpus.tokens.shards import read_manifest
from speciate.corpus.tokens.token_shards import join_parts
from speciate.corpus.tokens.tokenizer import check_size, end_of_text_id, id_count, load_tokenizer
from speciate.errors import Problem, UserError
from speciate.storage import digest, file_digest, write_atomic

BLOCK = (16_384, 4_000, 16_777_216)  # bytes of a unit: at least; the input over this; at most
SAMPLE_PARTS = 256  # parts that text for the tokenizer is taken from
OWN = ("tokenizer.json", "tokenizer.sha256", "manifest.json", TOKENS)


@dataclass(frozen=True)
class Tokenizing:
    """How text becomes tokens.

    ``tokenizer`` is a tokenizer.json or a folder with one; without it, ``vocabulary`` entries are trained on
    ``sample_bytes`` of the input, as much of each domain. About ``held_out_share`` of a domain's bytes is held out.
    ``domain_field`` names a field of each document, as "cluster", whose value is its domain; ``held_out_field`` one, as
    "held_out", that is true of the documents to hold out: exactly those are, then, and the tokenizer does not see them.
    """

    tokenizer: str | Path | None = None
    vocabulary: int = 32_768
    sample_bytes: float = 50e6
    held_out_share: float = 0.01
    seed: int = 0
    domain_field: str | None = None
    held_out_field: str | None = None
    text_field: str = "text"
    part_bytes: float = PART_BYTES


def tokenize_corpus(
    sources: Mapping[str, str],
    out: Path,
    how: Tokenizing,
    engine: Engine | None = None,
    progress: Progress | None = None,
    most_bad: float | None = 0.01,
) -> dict[str, Any]:
    """Build the corpus ``out`` of inputs and their domains (input -> domain), or go on with one that was stopped.

    Returns report.json's object with "done_before". ``Corpus.open(out)`` opens what is there then. Raises ``UserError``
    with all that is wrong, also if a domain has too little text to hold some out.
    """
    request = _request(sources, how)
    parts = cut(list(sources), how.part_bytes, how.text_field)
    asked = {"step": "tokenize", "input": describe(parts), **request}
    finished = begin(out, asked, parts, OWN)
    if finished is not None:
        read_manifest(out)
        return finished | {"done_before": True}
    started = time.monotonic()
    origins = tuple(Source(_place(given), domain) for given, domain in sources.items())
    tokenizer = _tokenizer(parts, origins, out, how, digest(asked), progress)
    end = end_of_text_id(tokenizer, Path(how.tokenizer) if how.tokenizer else None)
    fields = Fields(how.domain_field, how.held_out_field)
    least, over, most = BLOCK
    work = partial(
        tokenize_part,
        origins=origins,
        fields=fields,
        end=end,
        dtype="<u2" if id_count(tokenizer) <= 1 << 16 else "<u4",
        block=max(least, min(most, asked["input"]["bytes"] // over)),
    )
    identity = asked | {"tokenizer_sha256": file_digest(out / "tokenizer.json")}
    results = run_parts(work, parts, out, identity, engine, progress, most_bad)
    if progress is not None:
        progress("joining", 1.0)
    rule = None if how.held_out_field else (how.held_out_share, how.seed)
    join_parts(parts, results, out, rule, (id_count(tokenizer), end), asked)
    report = finish(out, asked, results, time.monotonic() - started)
    shutil.rmtree(out / TOKENS, ignore_errors=True)
    return report | {"done_before": False}


def _request(sources: Mapping[str, str], how: Tokenizing) -> dict[str, Any]:
    """What decides the result; checked."""
    problems = [
        Problem(f"domain name {domain!r}", "the input", "name it: NAME=PATH, of letters, digits, _ . and -")
        for domain in sorted(set(sources.values()))
        if not re.fullmatch(NAME, domain)
    ]
    if not 0 < how.held_out_share < 1:
        problems.append(Problem(f"a share of {how.held_out_share} held out", "--held-out", "give one such as 0.01"))
    vocabulary: Any = {"train": how.vocabulary, "bytes": how.sample_bytes}
    try:
        if how.tokenizer is None:
            check_size(how.vocabulary)
        else:
            loaded = load_tokenizer(Path(how.tokenizer))
            vocabulary = [digest(loaded.to_str()), end_of_text_id(loaded, Path(how.tokenizer))]
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    told: dict[str, Any] = {"held_out_share": how.held_out_share, "seed": how.seed}
    if how.held_out_field is not None:
        told = {"held_out_field": how.held_out_field}
    told["domain_field"] = how.domain_field
    return {"domains": sorted(map(list, _named(sources))), "vocabulary": vocabulary, **told}


def _named(sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for given, domain in sources.items():
        yield given if ":" in given and not Path(given).exists() else Path(given).name, domain


def _place(given: str) -> str:
    """How files of an input begin: "hf:..." as it is, a path in full."""
    return given if given.startswith("hf:") and not Path(given).exists() else str(Path(given).resolve())


def _tokenizer(
    parts: list[Part], origins: tuple[Source, ...], out: Path, how: Tokenizing, asked: str, progress: Progress | None
) -> Any:
    """The tokenizer, in the folder; trained once, also when what follows is stopped."""
    file, note = out / "tokenizer.json", out / "tokenizer.sha256"
    if file.is_file() and note.is_file() and note.read_text().split() == [file_digest(file), asked]:
        return load_tokenizer(file)
    if how.tokenizer is None:
        if progress is not None:
            progress("training the tokenizer", 0.0)
        text = sample(parts, origins, how.sample_bytes, how.held_out_field)
        tokenizer = train_byte_pairs(text, how.vocabulary)
    else:
        tokenizer = load_tokenizer(Path(how.tokenizer))
    write_atomic(file, tokenizer.to_str(pretty=True))
    write_atomic(note, f"{file_digest(file)} {asked}\n")
    return load_tokenizer(file)


def sample(
    parts: list[Part], origins: tuple[Source, ...], size: float, held_out_field: str | None = None
) -> Iterator[str]:
    """Text to train a tokenizer on: as many bytes of every domain, from parts all over it.

    Where domains stand in a field of the documents, they count as one here.
    """
    by_domain: dict[str, list[Part]] = {}
    for part in parts:
        for piece in part.pieces:
            alone = Part(part.number, part.name, (piece,), part.text_field)
            by_domain.setdefault(next(o.domain for o in origins if o.holds(piece.file)), []).append(alone)
    for domain in sorted(by_domain):
        pieces = by_domain[domain]
        chosen = list(islice(pieces, 0, None, -(-len(pieces) // SAMPLE_PARTS)))
        left = size / len(by_domain)
        for number, alone in enumerate(chosen):
            share = left / (len(chosen) - number)  # what a short piece leaves goes to those after it
            for document in read_part(alone):
                if held_out_field is not None and is_held_out(document, held_out_field):
                    continue
                yield document.text
                used = len(document.text.encode())
                left, share = left - used, share - used
                if share <= 0:
                    break
