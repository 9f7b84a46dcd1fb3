"""What a study will do and cost, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from speciate.runs.actuals import correction, read_actuals
from speciate.runs.cost import estimate_seconds, savings, train_flops
from speciate.runs.tree import RunTree, build_tree
from speciate.study.config import StudyConfig
from speciate.study.layout import Layout
from speciate.study.progress import duration
from speciate.study.specs import StudyRun, final_runs, pilot_runs
from speciate.study.timing import measured_speeds, with_measuring
from speciate.study.train import nodes_on_disk


def expected_runs(config: StudyConfig, corpus_digest: str, vocab_size: int) -> list[StudyRun]:
    """The pilots, and the final runs as if the middle of the tried ratios came out as the planned one."""
    ratios = sorted(config.pilot.ratios)
    middle = len(ratios) // 2
    guess = round((ratios[max(middle - 1, 0)] + ratios[middle]) / 2, 3)
    runs = pilot_runs(config, corpus_digest, vocab_size)
    return runs + final_runs(config, guess, corpus_digest, vocab_size)


def speeds_of_study(config: StudyConfig) -> dict[int, float]:
    """Training tokens per second of one process by model size, measured here and now."""
    tree = build_tree([run.spec for run in expected_runs(config, "", config.corpus.vocabulary)])
    return measured_speeds(config, tree.nodes)


def expected_seconds(config: StudyConfig, speeds: dict[int, float]) -> float:
    """Expected wall-clock seconds of all training and measuring, at ``speeds_of_study``."""
    tree = build_tree([run.spec for run in expected_runs(config, "", config.corpus.vocabulary)])
    return estimate_seconds(tree, with_measuring(config, tree, speeds), config.compute.processes)[1]


def dry_run_study(config: StudyConfig, layout: Layout, console: Console) -> str:
    """Print the tree, FLOPs and time of what is not done yet; returns the summary line."""
    corpus_digest, vocab_size = _corpus_identity(config, layout)
    runs = expected_runs(config, corpus_digest, vocab_size)
    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    done = {node.key for node in tree.nodes if (layout.runs / node.key / "DONE").exists()}
    speeds = with_measuring(config, tree, measured_speeds(config, tree.nodes))
    learned = correction(read_actuals(layout.actuals))
    low, expected, high = estimate_seconds(tree, speeds, config.compute.processes, done, learned)
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
    summary += "" if learned is None else f"; {learned.told()}"
    console.print(summary, highlight=False)
    return summary


def _corpus_identity(config: StudyConfig, layout: Layout) -> tuple[str, int]:
    """Digest and vocabulary of the corpus when it is built; else what is asked for."""
    if not (layout.corpus / "manifest.json").exists():
        if config.corpus.tokenizer is None:
            return "", config.corpus.vocabulary
        from speciate.corpus.tokens.tokenizer import id_count, load_tokenizer

        return "", id_count(load_tokenizer(Path(config.corpus.tokenizer)))
    from speciate.corpus.tokens.shards import Corpus

    corpus = Corpus.open(layout.corpus, verify=False)
    return corpus.digest, corpus.vocab_size


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
