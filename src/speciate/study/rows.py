"""From finished nodes to the ledger's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speciate.runs.cost import flops_per_token
from speciate.runs.tree import Node, RunTree
from speciate.study.specs import StudyRun, is_continued
from speciate.training.folder import read_metrics


def ledger_rows(
    runs: Sequence[StudyRun], tree: RunTree, runs_dir: Path, domain: str, measured_with: dict[str, str]
) -> list[dict[str, Any]]:
    """One row per measurement of every run in the tree, all of whose nodes are finished; each state measured once.

    A run that is only the beginning of a longer one (its pilot) adds nothing of its own. Trunks are
    rows with ``seed_tokens`` 0; a continued run's rows start with ``tokens`` 0, the starting model.
    ``domain`` is the name of the specialisation in ``train_on``; ``measured_with`` holds tokenizer and eval_hash.
    """
    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for run in runs:
        for node in tree.path(run.spec.name):
            common = _identity(run, node, domain) | measured_with
            per_token = flops_per_token(node.spec.model)
            for measured in read_metrics(runs_dir / node.key):
                row = common | measured | {"flops": per_token * measured["tokens"]}
                rows[(row["run"], row["tokens"], row["eval_on"])] = row
    return [rows[key] for key in sorted(rows)]


def _identity(run: StudyRun, node: Node, domain: str) -> dict[str, Any]:
    """Names and mixture of the stretch of a run that a node is."""
    identity = {
        "trunk": run.trunk,
        "params": run.spec.model.params,
        "seed_tokens": None if run.spec.model.init_from is not None else node.tokens_before_phase,
    }
    if not is_continued(node):
        return identity | {"run": run.trunk, "domain_ratio": 0.0, "train_on": "general", "seed": run.spec.init_seed}
    seed = run.spec.phases[-1].order_seed
    return identity | {"run": run.label, "domain_ratio": run.ratio, "train_on": f"general+{domain}", "seed": seed}
