"""The text of a split study: a corpus by domain, the router between the domains, and held-out texts to route.

Domains are the sources, those of a corpus that is finished, or clusters of the sources' text taken together. What
routes, what tokenises and what is trained never sees held-out text.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciate.corpus.build import Progress
from speciate.corpus.cluster.domain_router import fit_domain_router
from speciate.corpus.tokens.shards import Corpus
from speciate.corpus.tokens.texts import sample_texts
from speciate.corpus.tokens.tokenizer import load_tokenizer
from speciate.storage import digest, file_digest, write_atomic
from speciate.study.layout import Layout
from speciate.study.split.clustered import cluster_sources, clustered_texts, work_folder
from speciate.study.split.config import SplitStudy
from speciate.study.split.held_out import HeldOutText, choose_texts, texts_of, window_tokens, write_texts
from speciate.study.split.specs import domain_weights
from speciate.study.text import given_text

ROUTER_TOKENS = 1 << 25  # of training text that a router is trained on, all domains together
ROUTER_FILES = ("router.npz", "embedding.npz", "clusters.json")
FORMAT = 1


@dataclass(frozen=True)
class SplitText:
    """``domains`` sorted, those of the corpus; ``weights`` sum to 1; ``router`` is a folder for ``open_router``, whose
    clusters.json names the domain of each column in "names"; ``texts`` a JSON line of {"text", "domain", "source"}
    for each held-out text."""

    corpus: Corpus
    domains: tuple[str, ...]
    weights: dict[str, float]
    router: Path
    texts: Path


def split_text(config: SplitStudy, layout: Layout, progress: Progress | None = None) -> SplitText:
    """The text of a study, made or, from the same request before, opened.

    What was stopped goes on; another request makes anew what depends on it. The result does not depend on
    ``compute.processes``. Raises ``UserError`` with all that is wrong, as text too small for its domains.
    """
    asked = config.corpus
    assert asked.clusters is None or asked.prepared is None, "checked in split/checks.py"
    if asked.clusters is None:
        corpus = given_text(config, layout, progress)
    else:
        corpus = cluster_sources(config, layout, progress)
    shutil.rmtree(work_folder(layout), ignore_errors=True)
    weights = domain_weights(config, {domain: len(corpus.train[domain]) for domain in corpus.domains})
    router, texts = layout.root / "router", layout.root / "held_out.jsonl"
    done = layout.root / "text.json"
    request = {"format": FORMAT, "corpus": corpus.digest, "clusters": asked.clusters, "prefix": asked.prefix}
    request["window"] = window_tokens(config)
    files = [router / name for name in ROUTER_FILES] + [texts]
    if not _is_done(done, request, files):
        if asked.clusters is None:
            found = _route_domains(config, corpus, router, progress)
        else:
            found = clustered_texts(layout, router, asked.prefix)
        write_texts(texts, found)
        told = {"request_digest": digest(request), "request": request}
        told |= {"files": {file.name: file_digest(file) for file in files}}
        write_atomic(done, json.dumps(told, indent=1) + "\n")
    return SplitText(corpus, corpus.domains, weights, router, texts)


def _route_domains(config: SplitStudy, corpus: Corpus, router: Path, progress: Progress | None) -> list[HeldOutText]:
    """Train the router on the corpus's training text; the held-out texts."""
    if progress is not None:
        progress("training the router", 0.0)
    tokenizer, end = load_tokenizer(corpus.tokenizer_path), corpus.end_of_text
    each, window, prefix = ROUTER_TOKENS // len(corpus.domains), window_tokens(config), config.corpus.prefix
    texts = {d: list(sample_texts(corpus.train[d], tokenizer, end, each)) for d in corpus.domains}
    fit_domain_router(texts, router, prefix, window)
    held_out = {d: sample_texts(corpus.held_out[d], tokenizer, end, each) for d in corpus.domains}
    return choose_texts({d: texts_of(held_out[d], d, window) for d in corpus.domains}, prefix)


def _is_done(file: Path, request: Mapping[str, Any], files: list[Path]) -> bool:
    """Whether what this request leaves is there, and whole."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return bool(told["request_digest"] == digest(dict(request))) and all(
            told["files"][path.name] == file_digest(path) for path in files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
