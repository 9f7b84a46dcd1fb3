"""What a worker process runs: ``python -m speciate.study.worker STUDY_DIR``, tasks on stdin.

It is here, not in ``training``, because a node is trained on a corpus and measured by ``evaluation``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speciate.corpus.tokens.shards import Corpus
from speciate.corpus.tokens.stream import Stream
from speciate.evaluation.facts import Facts
from speciate.evaluation.heldout import HeldOut
from speciate.runs.tree import Node, RunTree
from speciate.study.layout import Layout
from speciate.study.load import load_study
from speciate.study.measuring import evaluation_groups, node_measured_tokens, node_sets, study_eval_hash
from speciate.study.split.config import AnyStudy, SplitStudy
from speciate.training.node import train_node
from speciate.training.worker import serve


def held_out_sets(config: AnyStudy, corpus: Corpus) -> HeldOut:
    """Every domain's held-out set, and the weighted means of the study."""
    return HeldOut(
        corpus,
        domains=corpus.domains,
        groups=evaluation_groups(config, corpus),
        tokens_per_set=config.evaluation.tokens_per_set,
        sequence_length=config.training.sequence_length,
    )


def facts_sets(config: AnyStudy, corpus: Corpus) -> Facts | None:
    """The facts that a split study asks for."""
    asked = config.evaluation.facts if isinstance(config, SplitStudy) else None
    return None if asked is None else Facts({name: Path(path) for name, path in asked.items()}, corpus.tokenizer_path)


def node_stream(node: Node, corpus: Corpus) -> Stream:
    """The text of the run that a node is a part of."""
    spec = node.spec
    phases = [(phase.mixture, phase.tokens, phase.order_seed) for phase in spec.phases]
    return Stream(corpus.train, phases, spec.init_seed, spec.model.sequence_length)


def main(root: Path) -> None:
    """Train the nodes named on stdin until it closes."""
    layout = Layout(root)
    config = load_study(layout.config)
    corpus = Corpus.open(layout.corpus, verify=False)  # the stage has verified every shard before it starts workers
    held_out, facts = held_out_sets(config, corpus), facts_sets(config, corpus)
    identity = study_eval_hash(config, corpus)

    def train(key: str, progress: Callable[[int, float], None], stop: Callable[[], bool]) -> str:
        tree = RunTree.from_json(json.loads(layout.nodes.read_text(encoding="utf-8")))  # it grows after the plan
        node = tree.node(key)

        def measure(model: Any, tokens: int) -> list[dict[str, Any]]:
            only = node_sets(config, node)
            rows = held_out.measure(model, node.spec.precision, only)
            return rows if facts is None else rows + facts.measure(model, node.spec.precision, only)

        return train_node(
            node,
            node_stream(node, corpus),
            layout.runs,
            measure=measure,
            eval_tokens=node_measured_tokens(config, node),
            eval_hash=identity,
            checkpoint_seconds=config.compute.checkpoint_seconds,
            progress=progress,
            stop=stop,
        )

    serve(train)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
