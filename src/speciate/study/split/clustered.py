"""Sources -> one pool of documents -> clusters of their windows -> a corpus whose domains are the clusters.

What is under way stands in ``.text/`` beside the corpus; a folder gets its place when it is finished.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speciate.corpus.build import Progress, describe_source, put_folder
from speciate.corpus.cluster.step import ClusterOptions, cluster_corpus
from speciate.corpus.pool import pool_sources
from speciate.corpus.prepared import check_windows
from speciate.corpus.steps.engine import Engine, stage_of
from speciate.corpus.steps.parts import PART_BYTES, cut, read_part
from speciate.corpus.tokens.parts import domain_name
from speciate.corpus.tokens.shards import Corpus
from speciate.corpus.tokens.step import Tokenizing, tokenize_corpus
from speciate.corpus.tokens.tokenizer import check_size, end_of_text_id, load_tokenizer
from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, digest, write_atomic
from speciate.study.layout import Layout
from speciate.study.split.config import SplitStudy
from speciate.study.split.held_out import HeldOutText, choose_texts, window_tokens

FIELD, HELD_OUT = "cluster", "held_out"  # columns of the clustered text
SAMPLE = 1e6  # bytes of text for each cluster that the tokenizer is trained on
ASKED = "request.json"  # in a folder that is finished: what it was made from
PARTS = PART_BYTES / 4  # of a pool: a study's text is small and should occupy some processes


def clusters_folder(layout: Layout) -> Path:
    """Where the clustered text, its clusters and their cards stand."""
    return layout.root / "clusters"


def work_folder(layout: Layout) -> Path:
    """Where what is under way stands."""
    return layout.root / ".text"


def cluster_sources(config: SplitStudy, layout: Layout, progress: Progress | None = None) -> Corpus:
    """The corpus of the clusters of the sources' text, made or opened; the clusters stand in ``clusters/``."""
    clustering, tokenizing = _requests(config)
    clusters, key = clusters_folder(layout), digest(tokenizing)
    for folder, own in ((layout.corpus, "manifest.json"), (clusters, ASKED)):
        if folder.exists() and any(folder.iterdir()) and not (folder / own).exists():
            fix = "move it away, or give a new folder for the study"
            raise UserError(Problem("not a study's, and not empty", str(folder), fix))
    window = config.training.sequence_length + 1
    if _asked(clusters) == clustering and _asked(layout.corpus) == tokenizing:
        return check_windows(Corpus.open(layout.corpus), window)
    work = work_folder(layout)
    building = work / f"corpus-{key[:16]}"
    engine = Engine(processes=config.compute.processes)
    if _asked(clusters) != clustering:
        _cluster(config, clustering, work, clusters, engine, stage_of(progress, 0.0, 0.8))
    how = Tokenizing(
        tokenizer=config.corpus.tokenizer,
        vocabulary=config.corpus.vocabulary,
        sample_bytes=SAMPLE * clustering["clusters"],
        domain_field=FIELD,
        held_out_field=HELD_OUT,
        part_bytes=PARTS,
    )
    tokenize_corpus({str(clusters): "text"}, building, how, engine, stage_of(progress, 0.8, 1.0))
    corpus = Corpus.open(building)
    missing = [name for name in _names(clustering["clusters"]) if name not in corpus.domains]
    if missing:
        raise UserError([Problem("no text", f"domain {name}", "ask for fewer clusters") for name in missing])
    check_windows(corpus, window)
    write_atomic(building / ASKED, canonical_json(tokenizing))
    put_folder(building, layout.corpus)
    return Corpus.open(layout.corpus, verify=False)


def clustered_texts(layout: Layout, router: Path, prefix_tokens: int) -> list[HeldOutText]:
    """Copy the router of the clusters to its folder, with the "names" of its columns; the held-out texts."""
    clusters = clusters_folder(layout)
    for name in ("router.npz", "embedding.npz"):
        write_atomic(router / name, (clusters / name).read_bytes())
    told = json.loads((clusters / "clusters.json").read_text(encoding="utf-8"))
    names = _names(_asked(clusters)["clusters"])
    told = {"names": names, **told}
    write_atomic(router / "clusters.json", json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    found: dict[str, list[HeldOutText]] = {name: [] for name in names}
    for held in _held_out(clusters):
        found[held.domain].append(held)
    return choose_texts(found, prefix_tokens)


def _held_out(clusters: Path) -> Iterator[HeldOutText]:
    for part in cut(clusters):
        for document in read_part(part):
            told = document.meta or {}
            if told[HELD_OUT]:
                source = document.source.removesuffix(".jsonl")
                yield HeldOutText(document.text, domain_name(told[FIELD], FIELD), source, told["window"])


def _names(clusters: int) -> list[str]:
    return [domain_name(number, FIELD) for number in range(clusters)]


def _requests(config: SplitStudy) -> tuple[dict[str, Any], dict[str, Any]]:
    """What decides the clusters, and what decides the corpus; checked before any text is read."""
    asked = config.corpus
    problems: list[Problem] = []
    described: dict[str, str] = {}
    for name, source in sorted(asked.sources.items()):
        try:
            described[name] = describe_source(name, source)
        except UserError as error:
            problems += error.problems
    vocabulary: Any = asked.vocabulary
    try:
        if asked.tokenizer is None:
            check_size(asked.vocabulary)
        else:
            loaded = load_tokenizer(Path(asked.tokenizer))
            vocabulary = [digest(loaded.to_str()), end_of_text_id(loaded, Path(asked.tokenizer))]
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    clustering = {
        "sources": described,
        "cap_bytes": round(asked.cap_megabytes * 1e6),
        "clusters": asked.clusters,
        "prefix": asked.prefix,
        "window": window_tokens(config),
        "held_out_share": asked.held_out_share,
    }
    return clustering, {"clustering": digest(clustering), "vocabulary": vocabulary}


def _cluster(
    config: SplitStudy,
    request: Mapping[str, Any],
    work: Path,
    out: Path,
    engine: Engine,
    progress: Progress,
) -> None:
    """Pool and cluster the text below ``work``, then put the clusters in their place."""
    pooled = digest({name: request[name] for name in ("sources", "cap_bytes")})[:16]
    building = work / f"clusters-{digest(dict(request))[:16]}"
    for other in work.glob("*"):  # of requests that were stopped and are not asked any more
        if other.name not in (f"pool-{pooled}", building.name):
            shutil.rmtree(other, ignore_errors=True)
    pool = pool_sources(config.corpus.sources, work / f"pool-{pooled}", request["cap_bytes"], progress=progress)
    options = ClusterOptions(
        clusters=request["clusters"],
        window=request["window"],
        prefix=request["prefix"],
        held_out=request["held_out_share"],
    )
    cluster_corpus(cut(pool, PARTS), building, options, engine, progress)
    write_atomic(building / ASKED, canonical_json(dict(request)))
    put_folder(building, out)


def _asked(folder: Path) -> Any:
    """The request that a finished folder was made from, or None."""
    try:
        return json.loads((folder / ASKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
