"""The training stages: pilots before the plan, final runs after it; both grow one tree and one ledger."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from speciate.corpus.tokens.shards import Corpus
from speciate.runs.cost import savings, train_flops
from speciate.runs.ledger import write_ledger
from speciate.runs.spec import RunSpec
from speciate.runs.tree import Node, RunTree, build_tree, state_key
from speciate.storage import canonical_json, file_digest, write_atomic
from speciate.study.analyse import load_plan
from speciate.study.config import StudyConfig
from speciate.study.costs import add_seconds, set_cost
from speciate.study.layout import Layout
from speciate.study.measuring import study_eval_hash
from speciate.study.progress import TreeProgressBar
from speciate.study.rows import ledger_rows
from speciate.study.specs import StudyRun, final_runs, pilot_runs
from speciate.study.split.config import AnyStudy
from speciate.study.timing import expect, record
from speciate.training.folder import read_done


def train_pilots(config: StudyConfig, layout: Layout, corpus: Corpus, console: Console) -> dict[str, Any]:
    """Train the pilots that are not done yet; returns what the study has cost so far."""
    runs = pilot_runs(config, corpus.digest, corpus.vocab_size)
    train_tree(config, layout, corpus, [run.spec for run in runs], "pilots", console)
    return _record(config, layout, corpus, runs)


def train_final(
    config: StudyConfig, layout: Layout, corpus: Corpus, planned: float, console: Console
) -> dict[str, Any]:
    """Carry out a plan: the planned ratio and its neighbours, to the horizon; returns the study's cost so far."""
    runs = pilot_runs(config, corpus.digest, corpus.vocab_size)
    runs += final_runs(config, planned, corpus.digest, corpus.vocab_size)
    train_tree(config, layout, corpus, [run.spec for run in runs], "final runs", console)
    return _record(config, layout, corpus, runs)


def nodes_on_disk(layout: Layout) -> list[tuple[Node, bool]]:
    """Every node that was begun below runs/, and whether it is finished; one that cannot be read is passed over."""
    found = []
    for path in sorted(layout.runs.glob("*/spec.json")):
        try:
            node = Node.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append((node, (path.parent / "DONE").exists()))
    return found


def train_tree(
    config: AnyStudy, layout: Layout, corpus: Corpus, specs: Sequence[RunSpec], title: str, console: Console
) -> None:
    """Train what the tree of these runs still lacks, of a study of any kind."""
    from speciate.training.executor import run_nodes  # locks and processes: only for those who train

    tree = build_tree(specs, nodes_on_disk(layout))
    write_atomic(layout.nodes, canonical_json(tree.to_json()))
    identity = study_eval_hash(config, corpus)
    expected = expect(config, layout, tree, title)
    if expected is not None:
        console.print(f"{title}: {expected.told()}", highlight=False, soft_wrap=True)
    started = time.monotonic()
    try:
        with TreeProgressBar(tree, title, console) as bar:
            run_nodes(
                tree,
                layout.runs,
                command=[sys.executable, "-m", "speciate.study.worker", str(layout.root)],
                processes=config.compute.processes,
                threads=config.compute.threads,
                progress=bar.update,
                eval_hash=identity,
            )
    finally:  # time spent on a launch that was interrupted is spent all the same
        add_seconds(layout, "train_seconds", time.monotonic() - started)
        if expected is not None:
            record(config, layout, tree, expected, identity)


def _record(config: StudyConfig, layout: Layout, corpus: Corpus, runs: Sequence[StudyRun]) -> dict[str, Any]:
    """The ledger, the tree and the cost of ``runs`` and of what the sealed plan has had carried out before."""
    plan = load_plan(layout)
    known = {run.spec.name for run in runs}
    if plan is not None and plan["planned_ratio"] is not None:  # a plan that could not decide had nothing carried out
        earlier = final_runs(config, plan["planned_ratio"], corpus.digest, corpus.vocab_size)
        runs = [*runs, *(run for run in earlier if run.spec.name not in known)]
    tree, done = finished_tree(config, layout, corpus, [run.spec for run in runs])
    runs = [run for run in runs if run.spec.name in tree.runs]
    rows = ledger_rows(runs, tree, layout.runs, config.corpus.domain, measured_with(config, corpus))
    write_ledger(rows, layout.ledger)
    write_atomic(layout.tree, json.dumps(tree_summary(runs, tree, done), indent=1))
    return set_tree_cost(layout, tree)


def finished_tree(
    config: AnyStudy, layout: Layout, corpus: Corpus, specs: Sequence[RunSpec]
) -> tuple[RunTree, dict[str, dict[str, Any]]]:
    """The tree of those of these runs that are finished, and DONE of its nodes by key.

    A run without the last weights of each of its phases must not be in the tree at all: where a phase would end it
    cuts nodes that others have trained in one piece, and these would then look unfinished.
    """
    on_disk = nodes_on_disk(layout)
    ends = {node.key for node, finished in on_disk if finished}
    specs = [
        spec for spec in specs
        if all(state_key(spec, index, phase.tokens) in ends for index, phase in enumerate(spec.phases))
    ]  # fmt: skip
    tree = build_tree(specs, on_disk)
    identity = study_eval_hash(config, corpus)
    found = {node.key: read_done(layout.runs / node.key, identity) for node in tree.nodes}
    done = {key: value for key, value in found.items() if value is not None}
    return build_tree([spec for spec in specs if done.keys() >= set(tree.runs[spec.name])], on_disk), done


def measured_with(config: AnyStudy, corpus: Corpus) -> dict[str, str]:
    """The columns of the ledger that are the same in all of its rows."""
    return {"tokenizer": file_digest(corpus.tokenizer_path)[:16], "eval_hash": study_eval_hash(config, corpus)}


def set_tree_cost(layout: Layout, tree: RunTree) -> dict[str, Any]:
    """Write what training a tree cost; returns the study's whole cost."""
    return set_cost(layout, {"tokens": tree.tokens, "flops": sum(train_flops(node) for node in tree.nodes)})


def tree_summary(runs: Sequence[StudyRun], tree: RunTree, done: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """tree.json: every node with its label, its cost (``done``: DONE by key) and runs; and what sharing saved."""
    by_name = {run.spec.name: run for run in runs}
    nodes = []
    for node in tree.nodes:
        run = by_name[node.runs[0]]
        continued = node.phase_index == len(run.spec.phases) - 1
        nodes.append(
            {
                "key": node.key,
                "parent": node.parent,
                "label": run.label if continued else run.trunk,
                "model": run.model,
                "params": run.spec.model.params,
                "phase": node.phase_index,
                "domain_ratio": run.ratio if continued else 0.0,
                "start_tokens": node.start_tokens,
                "end_tokens": node.end_tokens,
                "runs": list(node.runs),
                "seconds": done[node.key]["seconds"],
                "tokens_per_second": done[node.key]["tokens_per_second"],
            }
        )
    return {"nodes": nodes, "savings": savings(tree).to_json()}
