"""What a study will do and cost, before anything is spent."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from speciate.runs.cost import estimate_seconds, savings, train_flops
from speciate.runs.spec import RunSpec
from speciate.runs.tree import RunTree, build_tree
from speciate.study.config import StudyConfig
from speciate.study.layout import Layout
from speciate.study.progress import duration
from speciate.study.specs import StudyRun, final_runs, node_measured_tokens, pilot_runs
from speciate.study.speed import EVALUATION_SHARE, tokens_per_second
from speciate.study.train import nodes_on_disk


def expected_runs(config: StudyConfig, corpus_digest: str, vocab_size: int) -> list[StudyRun]:
    """The pilots, and the final runs as if the middle of the tried ratios came out as the planned one."""
    ratios = sorted(config.pilot.ratios)
    middle = len(ratios) // 2
    guess = round((ratios[max(middle - 1, 0)] + ratios[middle]) / 2, 3)
    runs = pilot_runs(config, corpus_digest, vocab_size)
    return runs + final_runs(config, guess, corpus_digest, vocab_size)


def measured_speeds(config: StudyConfig) -> dict[int, float]:
    """Training tokens per second of one process by model size, measured here and now."""
    return _measured(config, build_tree([run.spec for run in expected_runs(config, "", config.corpus.vocabulary)]))


def expected_seconds(config: StudyConfig, speeds: dict[int, float]) -> float:
    """Expected wall-clock seconds of all training and measuring, at ``measured_speeds``."""
    tree = build_tree([run.spec for run in expected_runs(config, "", config.corpus.vocabulary)])
    return estimate_seconds(tree, _with_measuring(config, tree, speeds), config.compute.processes)[1]


def dry_run_study(config: StudyConfig, layout: Layout, console: Console) -> str:
    """Print the tree, FLOPs and time of what is not done yet; returns the summary line."""
    corpus_digest, vocab_size = _corpus_identity(config, layout)
    runs = expected_runs(config, corpus_digest, vocab_size)
    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    done = {node.key for node in tree.nodes if (layout.runs / node.key / "DONE").exists()}
    speeds = _with_measuring(config, tree, _measured(config, tree))
    low, expected, high = estimate_seconds(tree, speeds, config.compute.processes, done)
    console.print(_drawn(config, tree, done))
    table = Table("model parameters", "nodes", "tokens", "FLOPs", "tokens/s of one process, measured now")
    for params, speed in sorted(speeds.items()):
        nodes = [node for node in tree.nodes if node.spec.model.params == params]
        flops = sum(train_flops(node) for node in nodes)
        tokens = sum(node.tokens for node in nodes)
        table.add_row(f"{params:,}", str(len(nodes)), f"{tokens:,}", f"{flops:.2e}", f"{speed:,.0f}")
    console.print(table)
    saved = savings(tree)
    console.print(
        f"sharing saves {saved.saved_vs_scratch:.0%} of the tokens against every run from scratch, "
        f"{saved.saved_vs_anew:.0%} against every continued run anew from one saved base",
        highlight=False,
    )
    left = sum(node.tokens for node in tree.nodes if node.key not in done)
    summary = (
        f"{len(tree.nodes) - len(done)} of {len(tree.nodes)} nodes to train, {left:,} tokens, about "
        f"{duration(expected)} ({duration(low)} to {duration(high)}) on {config.compute.processes} processes"
    )
    console.print(summary, highlight=False)
    return summary


def _corpus_identity(config: StudyConfig, layout: Layout) -> tuple[str, int]:
    """Digest and vocabulary of the corpus when it is built; else what is asked for."""
    if not (layout.corpus / "manifest.json").exists():
        if config.corpus.tokenizer is None:
            return "", config.corpus.vocabulary
        from speciate.corpus.tokenizer import id_count, load_tokenizer

        return "", id_count(load_tokenizer(Path(config.corpus.tokenizer)))
    from speciate.corpus.shards import Corpus

    corpus = Corpus.open(layout.corpus, verify=False)
    return corpus.digest, corpus.vocab_size


def _measured(config: StudyConfig, tree: RunTree) -> dict[int, float]:
    specs: dict[int, RunSpec] = {node.spec.model.params: node.spec for node in tree.nodes}
    # Random weights are as fast as a checkpoint's, and a dry run must not read gigabytes.
    fresh = [replace(spec, model=replace(spec.model, init_from=None)) for spec in specs.values()]
    wanted = min(config.compute.processes, len(tree.nodes))  # as the executor does
    processes = min(wanted, os.cpu_count() or 1)  # more would share the same cores: told below, not tried
    measured = tokens_per_second(fresh, processes, config.compute.threads)
    return {params: speed * processes / wanted for params, speed in measured.items()}


def _with_measuring(config: StudyConfig, tree: RunTree, measured: dict[int, float]) -> dict[int, float]:
    """Tokens per second by model size, with the time spent on measuring spread over the tokens trained."""
    held_out = config.evaluation.tokens_per_set * len(config.corpus.sources) * EVALUATION_SHARE
    spread = {}
    for params, speed in measured.items():
        nodes = [node for node in tree.nodes if node.spec.model.params == params]
        points = sum(len(node_measured_tokens(config, node)) for node in nodes)
        spread[params] = speed / (1 + points * held_out / sum(node.tokens for node in nodes))
    return spread


def _drawn(config: StudyConfig, tree: RunTree, done: set[str]) -> Tree:
    """The run tree as text: what each node trains on, how far, and whether it is there already."""
    root = Tree(f"run tree: {len(tree.runs)} runs in {len(tree.nodes)} nodes")
    branches: dict[str | None, Any] = {None: root}
    for node in tree.nodes:
        share = dict(node.phase.mixture).get(config.corpus.domain, 0.0)
        mark = "done" if node.key in done else f"{node.tokens:,} tokens"
        text = f"{node.spec.model.params:,} parameters, {share:.1%} {config.corpus.domain}, "
        text += f"to {node.end_tokens:,}: {mark}"
        branches[node.key] = branches[node.parent].add(text, highlight=False)
    return root
