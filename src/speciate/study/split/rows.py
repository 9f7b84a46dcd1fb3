"""From finished nodes of a split study to the ledger's rows: seeds, experts, and the means over K experts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speciate.runs.cost import flops_per_token, savings
from speciate.runs.tree import Node, RunTree
from speciate.study.split.specs import SplitRun, Weights, domain_of
from speciate.training.folder import read_metrics

ALL = "all"  # what a seed is trained on; ALL/K: what the mean over K experts is of
MEAN = "mean"  # the evaluation set that weighs the domains' own
FACTS = "facts/"  # before a domain: its facts, asked by heart

Row = dict[str, Any]


def ledger_rows(
    runs: Sequence[SplitRun], tree: RunTree, runs_dir: Path, weights: Weights, measured_with: Mapping[str, str]
) -> list[Row]:
    """One row per measurement of every run, all of whose nodes are finished, and the mean rows.

    A seed's rows say their length in ``seed_tokens``, with 0 ``tokens``; an expert's ``seed_tokens`` are its seed's.
    A mean row stands wherever all K experts of one seed and one order of the text were measured at the same tokens;
    of facts also where a seed was asked those of all domains. ``weights`` are the domains', ``measured_with`` holds
    tokenizer and eval_hash.
    """
    rows: dict[tuple[str, float, float, str], Row] = {}
    groups: dict[tuple[str, float, float, str], dict[str, Row]] = {}
    for run in runs:
        for node in tree.path(run.spec.name):
            per_token = flops_per_token(node.spec.model)
            for measured in read_metrics(runs_dir / node.key):
                row = {**_identity(run, node, measured), **measured_with}
                row["flops"] = per_token * measured["tokens"]
                rows[(row["run"], row["seed_tokens"], row["tokens"], row["eval_on"])] = row
                if (part := part_of_a_mean(row)) is not None:
                    name = run.label if run.domain is None else run.mean
                    key = (name, row["seed_tokens"], row["tokens"], part[0])
                    groups.setdefault(key, {})[part[1]] = row
    for key, own in groups.items():
        if own.keys() == weights.keys():
            rows[key] = mean_row(key[0], own, weights, key[-1])
    return [rows[key] for key in sorted(rows)]


def part_of_a_mean(row: Row) -> tuple[str, str] | None:
    """The mean over domains that a measurement is a part of, by its ``eval_on``, and its domain; None if of none.

    >>> part_of_a_mean({"train_on": "law", "eval_on": "law"})
    ('mean', 'law')
    >>> part_of_a_mean({"train_on": "all", "eval_on": "facts/law"})
    ('facts/mean', 'law')
    """
    train_on, eval_on = row["train_on"], row["eval_on"]
    if eval_on == train_on:
        return MEAN, eval_on
    asked = eval_on.removeprefix(FACTS)
    return (FACTS + MEAN, asked) if asked != eval_on and train_on in (asked, ALL) else None


def mean_row(run: str, own: Mapping[str, Row], weights: Weights, eval_on: str = MEAN) -> Row:
    """The weighted mean over domains of K experts' measurements, each on its own, or of one seed's on all of them.

    FLOPs are those of all that were measured. Bits per byte are the weighted nats over the weighted bytes, as of a
    held-out set that holds all domains; ``accuracy`` is the weighted mean too, where all have one.
    """

    def mean(column: str) -> float:
        return math.fsum(weight * own[name][column] for name, weight in weights.items())

    some = next(iter(own.values()))
    loss, seed = mean("loss"), some["train_on"] == ALL
    row = {name: value for name, value in some.items() if name not in ("accuracy", "chance")}
    row |= {"run": run, "train_on": ALL if seed else f"{ALL}/{len(own)}", "eval_on": eval_on, "loss": loss}
    row |= {"flops": some["flops"] if seed else math.fsum(one["flops"] for one in own.values()), "bits_per_byte": None}
    if all(one.get("accuracy") is not None for one in own.values()):
        row |= {"accuracy": mean("accuracy"), "chance": mean("chance")}
    if all(one.get("bits_per_byte") for one in own.values()):
        sizes = {name: one["loss"] / one["bits_per_byte"] for name, one in own.items()}  # bytes a token, times ln 2
        row["bits_per_byte"] = loss / math.fsum(weight * sizes[name] for name, weight in weights.items())
    return row


def _identity(run: SplitRun, node: Node, measured: Row) -> Row:
    """A measurement with the names and the tokens of both stages."""
    common = measured | {"trunk": run.trunk, "params": run.spec.model.params}
    domain = domain_of(node)
    if domain is None:
        seed = {"seed_tokens": measured["tokens"], "tokens": 0, "seed": run.spec.init_seed}
        return common | seed | {"run": run.trunk, "train_on": ALL}
    expert = {"seed_tokens": node.tokens_before_phase, "seed": run.spec.phases[-1].order_seed}
    return common | expert | {"run": run.label, "train_on": domain}


def tree_summary(runs: Sequence[SplitRun], tree: RunTree, done: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """tree.json: every node with its label, what it is trained on, its cost and runs; and what sharing saved."""
    by_name = {run.spec.name: run for run in runs}
    nodes = []
    for node in tree.nodes:
        run, domain = by_name[node.runs[0]], domain_of(node)
        nodes.append(
            {
                "key": node.key,
                "parent": node.parent,
                "label": run.trunk if domain is None else run.label,
                "model": run.model,
                "params": run.spec.model.params,
                "phase": node.phase_index,
                "train_on": ALL if domain is None else domain,
                "seed_tokens": node.tokens_before_phase,
                "start_tokens": node.start_tokens,
                "end_tokens": node.end_tokens,
                "runs": list(node.runs),
                "seconds": done[node.key]["seconds"],
                "tokens_per_second": done[node.key]["tokens_per_second"],
            }
        )
    return {"nodes": nodes, "savings": savings(tree).to_json()}
