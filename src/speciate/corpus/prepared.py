"""A finished corpus, as ``speciate corpus tokenize`` leaves it, taken over by a study."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from speciate.corpus.build import put_folder
from speciate.corpus.tokens.shards import Corpus, read_manifest
from speciate.errors import Problem, UserError


def prepared_domains(path: Path) -> tuple[str, ...]:
    """The domains of a tokenised folder, sorted. Raises ``UserError`` if it is not one, or not finished."""
    try:
        return tuple(sorted(read_manifest(path)["domains"]))
    except UserError as error:
        fix = "give a folder that speciate corpus tokenize has finished"
        raise UserError(Problem(problem.what, problem.where, fix) for problem in error.problems) from error


def take_prepared(path: Path, out: Path, window_tokens: int) -> Corpus:
    """Put the corpus of a tokenised folder in ``out``, or open it if it is there.

    Files are linked where the disk allows it, else copied. A later launch compares with the folder, which must still be
    there. Raises ``UserError`` if the folder holds no finished corpus, for every file of it that is damaged, and for
    every domain of less than ``window_tokens`` tokens to train on or held out.
    """
    prepared_domains(path)
    if (out / "manifest.json").exists():
        if read_manifest(out) == read_manifest(path):
            return check_windows(Corpus.open(out), window_tokens)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        fix = "move it away, or give a new folder for the study"
        raise UserError(Problem("not a corpus, and not empty", str(out), fix))
    check_windows(Corpus.open(path), window_tokens)
    building = out.parent / f".{out.name}.building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    lists = [entry["files"]["list"] for entry in read_manifest(path)["domains"].values()]
    shards = [f"{domain}.{split}.bin" for domain in prepared_domains(path) for split in ("train", "held_out")]
    for name in ["manifest.json", "tokenizer.json", *shards, *(name for name in lists if (path / name).is_file())]:
        _link(path / name, building / name)
    put_folder(building, out)
    return Corpus.open(out, verify=False)


def check_windows(corpus: Corpus, window_tokens: int) -> Corpus:
    """The corpus, if each domain has a window of so many tokens to train on and one held out; else ``UserError``."""
    problems = []
    for domain in corpus.domains:
        counts = {"to train on": len(corpus.train[domain]), "held out": len(corpus.held_out[domain])}
        short = [f"{count} tokens {use}" for use, count in counts.items() if count < window_tokens]
        if short:
            fix = f"give it more text, or ask for fewer domains: one window is {window_tokens} tokens"
            problems.append(Problem(f"too small: {' and '.join(short)}", f"domain {domain}", fix))
    if problems:
        raise UserError(problems)
    return corpus


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
