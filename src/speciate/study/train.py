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
from speciate.runs.ledger import read_ledger, write_ledger
from speciate.runs.tree import RunTree, build_tree
from speciate.storage import canonical_json, file_digest, write_atomic
from speciate.study.config import StudyConfig
from speciate.study.layout import Layout
from speciate.study.progress import TreeProgressBar
from speciate.study.rows import ledger_rows
from speciate.study.specs import StudyRun, final_runs, pilot_runs, study_eval_hash


def study_runs(config: StudyConfig, layout: Layout, corpus: Corpus) -> list[StudyRun]:
    """The pilots, and once a plan is sealed the runs that carry it out."""
    runs = pilot_runs(config, corpus.digest, corpus.vocab_size)
    if layout.plan.exists():
        planned = json.loads(layout.plan.read_text(encoding="utf-8"))["planned_ratio"]
        runs += final_runs(config, planned, corpus.digest, corpus.vocab_size)
    return runs


def train(config: StudyConfig, layout: Layout, corpus: Corpus, title: str, console: Console) -> dict[str, Any]:
    """Train what the tree still lacks, then write the ledger, the tree and what it cost. Returns the cost."""
    from speciate.training.executor import run_nodes  # pid locks and processes: only for those who train

    runs = study_runs(config, layout, corpus)
    tree = build_tree([run.spec for run in runs])
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
        cost = _add_cost(layout, tree, time.monotonic() - started)
    rows = ledger_rows(runs, tree, layout.runs, config.corpus.domain, file_digest(corpus.tokenizer_path)[:16])
    write_ledger(rows, layout.ledger)
    write_atomic(layout.tree, json.dumps(tree_summary(runs, tree, layout.runs), indent=1))
    return cost


def _add_cost(layout: Layout, tree: RunTree, seconds: float) -> dict[str, Any]:
    """cost.json: wall-clock seconds of training over all launches of this study, and what they bought."""
    earlier = json.loads(layout.cost.read_text(encoding="utf-8")) if layout.cost.exists() else {}
    cost = earlier | {
        "train_seconds": earlier.get("train_seconds", 0.0) + seconds,
        "tokens": tree.tokens,
        "flops": sum(train_flops(node) for node in tree.nodes),
    }
    write_atomic(layout.cost, json.dumps(cost, indent=1))
    return cost


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


def load_ledger(layout: Layout) -> Any:
    """The study's measurements as a validated table."""
    return read_ledger(layout.ledger)
