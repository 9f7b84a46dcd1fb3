"""The training stages: pilots before the plan, final runs after it; both grow one tree and one ledger."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from speciate.corpus.shards import Corpus
from speciate.runs.cost import savings, train_flops
from speciate.runs.ledger import write_ledger
from speciate.runs.tree import Node, RunTree, build_tree
from speciate.storage import canonical_json, file_digest, write_atomic
from speciate.study.analyse import load_plan
from speciate.study.config import StudyConfig
from speciate.study.files import read_object
from speciate.study.layout import Layout
from speciate.study.progress import TreeProgressBar
from speciate.study.rows import ledger_rows
from speciate.study.specs import StudyRun, final_runs, pilot_runs, study_eval_hash
from speciate.training.folder import read_done


def train_pilots(config: StudyConfig, layout: Layout, corpus: Corpus, console: Console) -> dict[str, Any]:
    """Train the pilots that are not done yet; returns what the study has cost so far."""
    return _train(config, layout, corpus, pilot_runs(config, corpus.digest, corpus.vocab_size), "pilots", console)


def train_final(
    config: StudyConfig, layout: Layout, corpus: Corpus, planned: float, console: Console
) -> dict[str, Any]:
    """Carry out a plan: the planned ratio and its neighbours, to the horizon; returns the study's cost so far."""
    runs = pilot_runs(config, corpus.digest, corpus.vocab_size)
    runs += final_runs(config, planned, corpus.digest, corpus.vocab_size)
    return _train(config, layout, corpus, runs, "final runs", console)


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


def _train(
    config: StudyConfig, layout: Layout, corpus: Corpus, runs: Sequence[StudyRun], title: str, console: Console
) -> dict[str, Any]:
    """Train what the tree still lacks, then write the ledger, the tree and what it cost."""
    from speciate.training.executor import run_nodes  # locks and processes: only for those who train

    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    write_atomic(layout.nodes, canonical_json(tree.to_json()))
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
                eval_hash=study_eval_hash(config, corpus),
            )
    finally:  # time spent on a launch that was interrupted is spent all the same
        _add_seconds(layout, time.monotonic() - started)
    return _record(config, layout, corpus, runs)


def _record(config: StudyConfig, layout: Layout, corpus: Corpus, runs: Sequence[StudyRun]) -> dict[str, Any]:
    """The ledger, the tree and the cost of ``runs`` and of what the sealed plan has had carried out before."""
    plan = load_plan(layout)
    known = {run.spec.name for run in runs}
    if plan is not None and plan["planned_ratio"] is not None:  # a plan that could not decide had nothing carried out
        earlier = final_runs(config, plan["planned_ratio"], corpus.digest, corpus.vocab_size)
        runs = [*runs, *(run for run in earlier if run.spec.name not in known)]
    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    identity = study_eval_hash(config, corpus)
    done = {node.key for node in tree.nodes if read_done(layout.runs / node.key, identity) is not None}
    runs = [run for run in runs if done.issuperset(tree.runs[run.spec.name])]
    tree = build_tree([run.spec for run in runs], nodes_on_disk(layout))
    rows = ledger_rows(runs, tree, layout.runs, config.corpus.domain, file_digest(corpus.tokenizer_path)[:16])
    write_ledger(rows, layout.ledger)
    write_atomic(layout.tree, json.dumps(tree_summary(runs, tree, layout.runs), indent=1))
    flops = sum(train_flops(node) for node in tree.nodes)
    cost = read_cost(layout) | {"tokens": tree.tokens, "flops": flops}
    write_atomic(layout.cost, json.dumps(cost, indent=1))
    return cost


def read_cost(layout: Layout) -> dict[str, Any]:
    """What this study has cost so far: the content of cost.json, empty when there is none."""
    fix = "delete it (the count of minutes starts anew) and relaunch the same command"
    return read_object(layout.cost, fix) if layout.cost.exists() else {}


def _add_seconds(layout: Layout, seconds: float) -> None:
    """cost.json: wall-clock seconds of training over all launches of this study."""
    cost = read_cost(layout)
    cost["train_seconds"] = cost.get("train_seconds", 0.0) + seconds
    write_atomic(layout.cost, json.dumps(cost, indent=1))


def tree_summary(runs: Sequence[StudyRun], tree: RunTree, runs_dir: Path) -> dict[str, Any]:
    """tree.json: every node with its label, its cost and who passes through it; and what sharing saved."""
    by_name = {run.spec.name: run for run in runs}
    nodes = []
    for node in tree.nodes:
        run = by_name[node.runs[0]]
        finished = runs_dir / node.key / "DONE"
        done = json.loads(finished.read_text(encoding="utf-8")) if finished.exists() else {}
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
                "seconds": done.get("seconds"),
                "tokens_per_second": done.get("tokens_per_second"),
            }
        )
    return {"nodes": nodes, "savings": savings(tree).to_json()}
