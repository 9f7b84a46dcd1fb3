"""What a study will do and cost, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from speciate.corpus.tokens.shards import Corpus, read_manifest
from speciate.runs.actuals import correction, read_actuals
from speciate.runs.cost import estimate_seconds, savings, train_flops
from speciate.runs.spec import RunSpec
from speciate.runs.tree import Node, RunTree, build_tree
from speciate.study.config import StudyConfig
from speciate.study.layout import Layout
from speciate.study.progress import duration
from speciate.study.specs import StudyRun, final_runs, pilot_runs
from speciate.study.split.config import AnyStudy, SplitStudy
from speciate.study.split.specs import domain_of
from speciate.study.timing import measured_speeds, with_measuring
from speciate.study.train import nodes_on_disk


def expected_specs(config: AnyStudy, layout: Layout | None = None) -> list[RunSpec]:
    """The runs of a study, as if the middle of what is tried came out as planned; of the corpus there is, if any."""
    corpus = _corpus_if_built(layout)
    known = ("", _vocabulary(config)) if corpus is None else (corpus.digest, corpus.vocab_size)
    if isinstance(config, SplitStudy):
        from speciate.study.split.dryrun import expected_split_specs

        return expected_split_specs(config, corpus, *known)
    return [run.spec for run in expected_runs(config, *known)]


def expected_runs(config: StudyConfig, corpus_digest: str, vocab_size: int) -> list[StudyRun]:
    """The pilots, and the final runs as if the middle of the tried ratios came out as the planned one."""
    ratios = sorted(config.pilot.ratios)
    middle = len(ratios) // 2
    guess = round((ratios[max(middle - 1, 0)] + ratios[middle]) / 2, 3)
    runs = pilot_runs(config, corpus_digest, vocab_size)
    return runs + final_runs(config, guess, corpus_digest, vocab_size)


def speeds_of_study(config: AnyStudy) -> dict[int, float]:
    """Training tokens per second of one process by model size, measured here and now."""
    tree = build_tree(expected_specs(config))
    return measured_speeds(config, tree.nodes)


def expected_seconds(config: AnyStudy, speeds: dict[int, float]) -> float:
    """Expected wall-clock seconds of all training and measuring, at ``speeds_of_study``."""
    tree = build_tree(expected_specs(config))
    return estimate_seconds(tree, with_measuring(config, tree, speeds), config.compute.processes)[1]


def dry_run_study(config: AnyStudy, layout: Layout, console: Console) -> str:
    """Print the tree, FLOPs and time of what is not done yet; returns the summary line."""
    tree = build_tree(expected_specs(config, layout), nodes_on_disk(layout))
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


def _corpus_if_built(layout: Layout | None) -> Corpus | None:
    if layout is None or not (layout.corpus / "manifest.json").exists():
        return None
    return Corpus.open(layout.corpus, verify=False)


def _vocabulary(config: AnyStudy) -> int:
    """The size of the vocabulary that is asked for."""
    corpus = config.corpus
    if corpus.prepared is not None:
        return int(read_manifest(Path(corpus.prepared))["tokenizer"]["vocab_size"])
    if corpus.tokenizer is None:
        return corpus.vocabulary
    from speciate.corpus.tokens.tokenizer import id_count, load_tokenizer

    return id_count(load_tokenizer(Path(corpus.tokenizer)))


def _drawn(config: AnyStudy, tree: RunTree, done: set[str]) -> Tree:
    """The run tree as text: what each node trains on, how far, and whether it is there already."""
    root = Tree(f"run tree: {len(tree.runs)} runs in {len(tree.nodes)} nodes")
    branches: dict[str | None, Any] = {None: root}
    for node in tree.nodes:
        mark = "done" if node.key in done else f"{node.tokens:,} tokens"
        text = f"{node.spec.model.params:,} parameters, {_text_of(config, node)}, to {node.end_tokens:,}: {mark}"
        branches[node.key] = branches[node.parent].add(text, highlight=False)
    return root


def _text_of(config: AnyStudy, node: Node) -> str:
    """What a node is trained on."""
    if isinstance(config, SplitStudy):
        return domain_of(node) or "all domains"
    return f"{dict(node.phase.mixture).get(config.corpus.domain, 0.0):.1%} {config.corpus.domain}"
