"""Build a corpus: collect text, hold out whole sources, train or load a tokenizer, write token shards.

The folder appears at once when everything is in it; until then there is only a hidden folder beside it.
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from speciate.corpus.builtin import DOMAINS, installation
from speciate.corpus.collect import Collected, collect
from speciate.corpus.reading.read import list_files
from speciate.corpus.split import choose_held_out
from speciate.corpus.tokens.shards import FORMAT, Corpus, corpus_digest, read_manifest
from speciate.corpus.tokens.tokenizer import end_of_text_id, id_count, load_tokenizer, train_tokenizer
from speciate.corpus.write import SPLITS, sample, write_domain
from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, digest, file_digest, write_atomic

BUILTIN = "builtin"
Progress = Callable[[str, float], None]  # (what is being done, share of it done)
Result = TypeVar("Result")


def build_corpus(
    sources: Mapping[str, str | Path],
    out: Path,
    *,
    cap_bytes: float | None = 6e6,
    held_out_share: float = 0.05,
    vocab_size: int = 1024,
    tokenizer: str | Path | None = None,
    window_tokens: int = 257,
    seed: int = 0,
    processes: int = 2,
    progress: Progress | None = None,
) -> Corpus:
    """Build the corpus folder ``out``, or open it if it holds what is asked for already.

    ``sources`` maps a domain to "builtin" or to a file or folder of text. ``cap_bytes`` caps each domain (None:
    all of it; removing near-duplicates then takes about 100 bytes of memory per distinct line, all else is
    constant). A byte-level BPE of ``vocab_size`` is trained unless ``tokenizer`` names one. ``processes`` domains
    are worked on at once; the result does not depend on it. Raises ``UserError`` with everything that is wrong,
    also if a domain has less than ``window_tokens`` tokens to train on or held out; nothing is then written.
    """
    request = _request(sources, cap_bytes, held_out_share, vocab_size, tokenizer, window_tokens, seed)
    if (out / "manifest.json").exists():
        if read_manifest(out)["request_digest"] == digest(request):
            return Corpus.open(out)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            Problem("not a corpus, and not empty", str(out), "move it away, or give a new folder for the corpus")
        )
    report = progress or (lambda what, share: None)
    domains = sorted(sources)
    building = out.parent / f".{out.name}.building"
    shutil.rmtree(building, ignore_errors=True)
    try:
        (building / "scratch").mkdir(parents=True)
        cap = cap_bytes or float("inf")
        done = iter(range(1, len(domains) + 1))

        def gather(domain: str) -> Collected:
            collected = collect(domain, _path(sources[domain]), building / "scratch", cap, seed)
            report("reading text", next(done) / len(domains))
            return collected

        texts = dict(zip(domains, _each(domains, gather, processes), strict=True))
        held_out = _hold_out(texts, held_out_share, seed)
        report("training the tokenizer", 0.0)
        trained, end = _tokenizer(texts, held_out, vocab_size, tokenizer)
        manifest = _manifest(texts, held_out, building, trained, end, window_tokens, processes, report)
        manifest |= {"request": request, "request_digest": digest(request)}
        manifest |= {"installation": installation()} if BUILTIN in sources.values() else {}
        shutil.rmtree(building / "scratch")
        write_atomic(building / "manifest.json", canonical_json(manifest))
        put_folder(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Corpus.open(out, verify=False)


def _request(
    sources: Mapping[str, str | Path],
    cap_bytes: float | None,
    held_out_share: float,
    vocab_size: int,
    tokenizer: str | Path | None,
    window_tokens: int,
    seed: int,
) -> dict[str, Any]:
    """What was asked for, as far as it decides the result; checked.

    What is installed is not part of it: a study goes on with the text it began with after a pip install.
    """
    problems = [] if sources else [Problem("no domains", "the corpus", "give at least one domain and its text")]
    if not 0 < held_out_share < 1:
        problems.append(Problem(f"held_out_share is {held_out_share}", "the corpus", "use a share such as 0.05"))
    if cap_bytes is not None and not cap_bytes > 0:
        problems.append(Problem(f"cap_bytes is {cap_bytes}", "the corpus", "use a number of bytes such as 6e6"))
    described: dict[str, Any] = {}
    for domain, source in sorted(sources.items()):
        try:
            described[domain] = describe_source(domain, source)
        except UserError as error:
            problems += error.problems
    vocabulary: Any = vocab_size
    try:
        if tokenizer is not None:
            loaded = load_tokenizer(Path(tokenizer))
            vocabulary = [digest(loaded.to_str()), end_of_text_id(loaded, Path(tokenizer))]
        elif vocab_size < 257:
            problems.append(Problem(f"vocab_size is {vocab_size}", "the corpus", "give at least 257"))
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    settings = {"cap_bytes": cap_bytes, "held_out_share": held_out_share, "window_tokens": window_tokens}
    return {"format": FORMAT, "sources": described, "vocabulary": vocabulary, "seed": seed, **settings}


def describe_source(domain: str, source: str | Path) -> str:
    """What a source is, for a request: a digest of names, sizes and times, or "builtin". UserError if it is neither."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", domain):
        raise UserError(Problem(f"domain name {domain!r}", "the corpus", "use letters, digits, _ and -"))
    path = _path(source)
    if path is not None:
        files = {name: file.stat() for name, file in list_files(path).items()}
        return digest({name: [stat.st_size, stat.st_mtime_ns] for name, stat in files.items()})
    if domain not in DOMAINS:
        near = difflib.get_close_matches(domain, DOMAINS, 1) or DOMAINS
        raise UserError(Problem(f"no built-in domain {domain!r}", "the corpus", f"did you mean {', '.join(near)}?"))
    return BUILTIN


def _path(source: str | Path) -> Path | None:
    return None if source == BUILTIN else Path(source)


def _each(domains: list[str], work: Callable[[str], Result], workers: int) -> list[Result]:
    """``work`` on every domain; the user's errors of all domains are raised together.

    Threads suffice: the tokenizer, which is most of the time, runs outside Python.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(work, domain) for domain in domains]
        try:
            wait(futures)
        except BaseException:  # an interrupt: do not begin the other domains
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failed = [error for future in futures if (error := future.exception()) is not None]
    for error in failed:
        if not isinstance(error, UserError):
            raise error
    if failed:
        raise UserError([problem for error in failed if isinstance(error, UserError) for problem in error.problems])
    return [future.result() for future in futures]


def _hold_out(texts: Mapping[str, Collected], share: float, seed: int) -> dict[str, set[int]]:
    """Domain -> numbers of the units held out.

    A file that is held out in one domain is held out in all: the docstrings of a module stand in its code too.
    """
    keys: set[str] = set()
    for collected in texts.values():
        chosen = choose_held_out({unit.name: unit.size for unit in collected.units}, share, seed)
        keys |= {unit.key for unit in collected.units if unit.name in chosen}
    return {d: {i for i, unit in enumerate(texts[d].units) if unit.key in keys} for d in texts}


def _tokenizer(
    texts: Mapping[str, Collected], held_out: Mapping[str, set[int]], vocab_size: int, path: str | Path | None
) -> tuple[Any, int]:
    """The tokenizer, and the id that ends a text."""
    if path is None:
        tokenizer = train_tokenizer(sample(texts, held_out), vocab_size)
        return tokenizer, end_of_text_id(tokenizer)
    tokenizer = load_tokenizer(Path(path))
    return tokenizer, end_of_text_id(tokenizer, Path(path))


def _manifest(
    texts: Mapping[str, Collected],
    held_out: Mapping[str, set[int]],
    folder: Path,
    tokenizer: Any,
    end: int,
    window_tokens: int,
    processes: int,
    report: Progress,
) -> dict[str, Any]:
    """Write tokenizer and shards into ``folder``; returns the manifest's entries on them."""
    vocabulary = id_count(tokenizer)
    write_atomic(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    total = sum(unit.size for collected in texts.values() for unit in collected.units)
    written = [0]

    def shard(domain: str) -> dict[str, Any]:
        def tick(size: int) -> None:
            written[0] += size
            report("writing tokens", min(1.0, written[0] / total))

        dtype = "<u2" if vocabulary <= 1 << 16 else "<u4"
        entry = write_domain(texts[domain], held_out[domain], folder, tokenizer, end, dtype, tick)
        short = [split for split in SPLITS if entry[split]["tokens"] < window_tokens]
        if short:
            what = " and ".join(f"{entry[s]['tokens']} tokens {SPLITS[s]}" for s in short)
            fix = f"give it more text, from more files: one window is {window_tokens} tokens"
            raise UserError(Problem(f"too small: {what}", f"domain {domain}", fix))
        return entry

    domains = sorted(texts)
    entries = dict(zip(domains, _each(domains, shard, processes), strict=True))
    told = {"sha256": file_digest(folder / "tokenizer.json"), "vocab_size": vocabulary, "end_of_text": end}
    manifest = {"format": FORMAT, "domains": entries, "tokenizer": told}
    return manifest | {"digest": corpus_digest(manifest)}


def put_folder(folder: Path, out: Path) -> None:
    """Put the finished folder in place of what is there: an empty folder or an older corpus."""
    old = out.parent / f".{out.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)
