"""A corpus on disk: memory-mapped tokens with a checksum each, and a manifest that is written last.

    manifest.json  tokenizer.json  <domain>.train.bin  <domain>.held_out.bin  <domain>.files.json

A .bin is the ids of all documents one after the other, each followed by the end-of-text id, little endian.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.tokens.tokenizer import load_tokenizer, token_bytes
from speciate.errors import Problem, UserError
from speciate.storage import digest, file_digest

FORMAT = 1
_AGAIN = "build the corpus again (delete its folder first)"


@dataclass(frozen=True)
class TokenShards:
    """The tokens of one domain's train or held-out text: ``len`` and slices as of a 1-D array."""

    path: Path
    tokens: NDArray[np.unsignedinteger[Any]]
    bytes: int  # of text, without the end-of-text marks
    documents: int
    sha256: str

    @staticmethod
    def open(path: Path, verify: bool = True, record: Mapping[str, Any] | None = None) -> TokenShards:
        """Map a shard. ``record`` is its entry in the manifest, by default that of the manifest beside it.

        Raises ``UserError`` naming the shard if it is missing, truncated or (with ``verify``) changed by one bit.
        """
        if record is None:
            record = _records(read_manifest(path.parent)).get(path.name)
            if record is None:
                raise UserError(Problem("not in the manifest beside it", str(path), _AGAIN))
        expected = record["tokens"] * np.dtype(record["dtype"]).itemsize
        if not path.is_file():
            raise UserError(Problem("missing shard", str(path), _AGAIN))
        if path.stat().st_size != expected:
            what = f"truncated shard: {path.stat().st_size} bytes where the manifest says {expected}"
            raise UserError(Problem(what, str(path), _AGAIN))
        if verify and file_digest(path) != record["sha256"]:
            raise UserError(Problem("corrupt shard: its SHA-256 is not the manifest's", str(path), _AGAIN))
        tokens = np.memmap(path, np.dtype(record["dtype"]), "r", shape=(record["tokens"],))
        return TokenShards(path, tokens, record["bytes"], record["documents"], record["sha256"])

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, which: slice) -> NDArray[np.unsignedinteger[Any]]:
        return self.tokens[which]


@dataclass(frozen=True)
class Corpus:
    """An opened corpus. ``digest`` is the hash of its text as tokens, the same wherever and whenever it is built."""

    path: Path
    domains: tuple[str, ...]  # sorted
    train: Mapping[str, TokenShards]
    held_out: Mapping[str, TokenShards]
    digest: str
    vocab_size: int
    end_of_text: int
    manifest: Mapping[str, Any]

    @staticmethod
    def open(path: Path, verify: bool = True) -> Corpus:
        """Open a corpus folder. Every missing, truncated or corrupt file is named in one ``UserError``.

        ``verify`` reads every byte once (about 1 GB/s); a worker whose parent has done so may leave it out.
        """
        manifest = read_manifest(path)
        problems: list[Problem] = []
        opened: dict[str, TokenShards] = {}
        for name, record in _records(manifest).items():
            try:
                opened[name] = TokenShards.open(path / name, verify, record)
            except UserError as error:
                problems += error.problems
        tokenizer = path / "tokenizer.json"
        if not tokenizer.is_file() or file_digest(tokenizer) != manifest["tokenizer"]["sha256"]:
            problems.append(Problem("missing or altered tokenizer", str(tokenizer), _AGAIN))
        if problems:
            raise UserError(problems)
        domains = tuple(sorted(manifest["domains"]))
        return Corpus(
            path,
            domains,
            {d: opened[f"{d}.train.bin"] for d in domains},
            {d: opened[f"{d}.held_out.bin"] for d in domains},
            manifest["digest"],
            manifest["tokenizer"]["vocab_size"],
            manifest["tokenizer"]["end_of_text"],
            manifest,
        )

    @property
    def tokenizer_path(self) -> Path:
        """For ``transformers.PreTrainedTokenizerFast(tokenizer_file=...)``."""
        return self.path / "tokenizer.json"

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """Bytes of text per token id, (vocab_size,)."""
        return token_bytes(load_tokenizer(self.tokenizer_path))


def read_manifest(path: Path) -> dict[str, Any]:
    """A corpus folder's manifest, checked against its own hash."""
    file = path / "manifest.json"
    if not file.is_file():
        raise UserError(Problem("no corpus: there is no manifest.json", str(path), "build the corpus first"))
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        sound = manifest["format"] == FORMAT and manifest["digest"] == corpus_digest(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(Problem(f"not a manifest ({error!r})", str(file), _AGAIN)) from error
    if not sound:
        raise UserError(Problem("altered, or of another version of Speciate", str(file), _AGAIN))
    return dict(manifest)


def corpus_digest(manifest: Mapping[str, Any]) -> str:
    """Hash of what training reads: the tokens of every domain and the tokenizer; not where they came from."""
    shards = {name: [r["sha256"], r["tokens"], r["bytes"]] for name, r in _records(manifest).items()}
    return digest({"format": FORMAT, "shards": shards, "tokenizer": manifest["tokenizer"]})


def describe(corpus: Corpus) -> list[dict[str, Any]]:
    """One row per domain: files, documents, bytes of text, tokens to train on and held out, bytes per token."""
    rows = []
    for name in corpus.domains:
        train, held_out = corpus.train[name], corpus.held_out[name]
        text = train.bytes + held_out.bytes
        documents = train.documents + held_out.documents
        rows.append(
            {
                "domain": name,
                "files": corpus.manifest["domains"][name]["files"]["count"],
                "documents": documents,
                "bytes": text,
                "train_tokens": len(train),
                "held_out_tokens": len(held_out),
                "bytes_per_token": text / (len(train) + len(held_out) - documents),
            }
        )
    return rows


def _records(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Shard file name -> {dtype, tokens, bytes, documents, sha256}."""
    splits = ("train", "held_out")
    return {f"{d}.{split}.bin": entry[split] for d, entry in manifest["domains"].items() for split in splits}
