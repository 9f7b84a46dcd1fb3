"""A router between domains that are given, trained on prefixes of their own text as the one between clusters is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from speciate.corpus.cluster.embed import fit_tfidf
from speciate.corpus.cluster.router import Router, train_router
from speciate.corpus.cluster.windows import PREFIX, WINDOW, split_text
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

DIMENSIONS = 128


def fit_domain_router(
    texts: Mapping[str, Sequence[str]],
    folder: Path,
    prefix_tokens: int = PREFIX,
    window_tokens: int = WINDOW,
    dimensions: int = DIMENSIONS,
    seed: int = 0,
) -> Router:
    """Train on the texts of each domain, cut into windows, and write the router to ``folder``.

    Leaves embedding.npz, router.npz and, last, clusters.json, whose "names" are the domains in the order of the
    router's columns: sorted. ``open_router(folder)`` opens it. The same texts and seed give the same files. Raises
    ``UserError`` for fewer than two domains, for every domain without text, and for texts without words.
    """
    names = sorted(texts)
    windows = {name: list(_windows(texts[name], window_tokens)) for name in names}
    fix = "give it more text"
    problems = [Problem("no text to train the router on", f"domain {n}", fix) for n in names if not windows[n]]
    if len(names) < 2:
        problems.append(Problem(f"{len(names)} domains to route between", "the router", "give at least two"))
    if problems:
        raise UserError(problems)
    every = [window for name in names for window in windows[name]]
    columns = np.repeat(np.arange(len(names)), [len(windows[name]) for name in names])
    embedding = fit_tfidf(every, dimensions, seed)
    router = train_router(every, np.eye(len(names), dtype=np.float32)[columns], embedding, prefix_tokens, seed)
    embedding.save(folder / "embedding.npz")
    router.save(folder / "router.npz")
    told = {
        "names": names,
        "embedding": embedding.told(),
        "window_tokens": window_tokens,
        "prefix_tokens": prefix_tokens,
        "trained_on": {name: len(windows[name]) for name in names},  # windows
    }
    write_atomic(folder / "clusters.json", json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return router


def _windows(texts: Sequence[str], tokens: int) -> Iterator[str]:
    for text in texts:
        yield from (window for window in split_text(text, tokens) if window.strip())
