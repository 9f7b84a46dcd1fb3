"""The training stages of a split study: pilots before the plan, the options it is held against after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from speciate.corpus.tokens.shards import Corpus
from speciate.runs.ledger import write_ledger
from speciate.storage import write_atomic
from speciate.study.analyse import load_plan
from speciate.study.layout import Layout
from speciate.study.measuring import corpus_weights
from speciate.study.split.config import SplitStudy
from speciate.study.split.rows import ledger_rows, tree_summary
from speciate.study.split.specs import Option, SplitRun, final_runs, pilot_runs
from speciate.study.train import finished_tree, measured_with, set_tree_cost, train_tree


def train_pilots(config: SplitStudy, layout: Layout, corpus: Corpus, console: Console) -> dict[str, Any]:
    """Train the pilots that are not done yet; returns what the study has cost so far."""
    return _train(config, layout, corpus, _pilots(config, corpus), "pilots", console)


def train_final(
    config: SplitStudy, layout: Layout, corpus: Corpus, options: Sequence[Option], console: Console
) -> dict[str, Any]:
    """Carry a plan's options out; returns the study's cost so far."""
    finals = final_runs(config, options, corpus_weights(config, corpus), corpus.digest, corpus.vocab_size)
    return _train(config, layout, corpus, [*_pilots(config, corpus), *finals], "final runs", console)


def planned_options(plan: dict[str, Any] | None) -> list[Option]:
    """The options that a plan has carried out, the chosen one first; none of a plan that could not decide."""
    found = [] if plan is None else plan["options"]
    return [Option(one["share"], one["seed_tokens"], one["expert_tokens"]) for one in found]


def _pilots(config: SplitStudy, corpus: Corpus) -> list[SplitRun]:
    return pilot_runs(config, corpus_weights(config, corpus), corpus.digest, corpus.vocab_size)


def _train(
    config: SplitStudy, layout: Layout, corpus: Corpus, runs: Sequence[SplitRun], title: str, console: Console
) -> dict[str, Any]:
    """Train, then write the ledger, the tree and the cost of these runs and of what a sealed plan had carried out."""
    runs = unique(runs)
    train_tree(config, layout, corpus, [run.spec for run in runs], title, console)
    weights = corpus_weights(config, corpus)
    earlier = final_runs(config, planned_options(load_plan(layout)), weights, corpus.digest, corpus.vocab_size)
    runs = unique([*runs, *earlier])
    tree, done = finished_tree(config, layout, corpus, [run.spec for run in runs])
    runs = [run for run in runs if run.spec.name in tree.runs]
    write_ledger(ledger_rows(runs, tree, layout.runs, weights, measured_with(config, corpus)), layout.ledger)
    write_atomic(layout.tree, json.dumps(tree_summary(runs, tree, done), indent=1))
    return set_tree_cost(layout, tree)


def unique(runs: Sequence[SplitRun]) -> list[SplitRun]:
    """The runs without those that are there already under the same name."""
    return list({run.spec.name: run for run in reversed(runs)}.values())[::-1]
