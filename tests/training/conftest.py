from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speciate.corpus.tokens.stream import Stream
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.runs.tree import Node, RunTree, build_tree

TOKENS_PER_STEP = 32
MODEL = ModelSpec("llama", 16, 1, 2, 32, 64, 16)
MIXED = replace(
    MODEL,
    architecture="qwen2_moe",
    experts=4,
    experts_per_token=2,
    expert_intermediate_size=8,
    router_aux_loss=0.1,
)
TRUNK = Phase((("a", 1.0),), 4 * TOKENS_PER_STEP, 1e-2, warmup_tokens=64)
BRANCH = Phase((("a", 0.5), ("b", 0.5)), 4 * TOKENS_PER_STEP, 5e-3, warmup_tokens=64, order_seed=1)


@pytest.fixture
def spec() -> RunSpec:
    """A run of 4 steps on one domain and 4 on two; a model of 2,576 parameters."""
    return RunSpec("run", MODEL, 0, (TRUNK, BRANCH), 2, "text")


@pytest.fixture
def mixed(spec: RunSpec) -> RunSpec:
    """The same run of a mixture of four experts."""
    return replace(spec, model=MIXED)


@pytest.fixture
def short_and_long(spec: RunSpec) -> RunTree:
    """Two runs which share the first phase and half of the second: 3 nodes."""
    short = replace(spec, name="short", phases=(TRUNK, replace(BRANCH, tokens=2 * TOKENS_PER_STEP)))
    return build_tree([short, replace(spec, name="long")])


@pytest.fixture
def text() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"a": random.integers(0, 64, 500), "b": random.integers(0, 64, 500)}


@pytest.fixture
def train(text: dict[str, Any]) -> Callable[..., str]:
    """``train(node, root, **options)``: train_node with a stream over ``text`` and a loss on fixed samples."""
    import torch

    from speciate.training.node import train_node
    from speciate.training.step import mean_loss

    def measure(model: Any, tokens: int) -> list[dict[str, Any]]:
        with torch.no_grad():
            return [
                {
                    "eval_on": "a",
                    "loss": float(mean_loss(model, torch.from_numpy(text["a"][:34].reshape(2, 17)), "float32")),
                }
            ]

    def call(node: Node, root: Path, **options: Any) -> str:
        stream = Stream(
            text,
            [(p.mixture, p.tokens, p.order_seed) for p in node.spec.phases],
            node.spec.init_seed,
            MODEL.sequence_length,
        )
        return train_node(node, stream, root, measure=measure, **{"eval_tokens": (0, 40, 64, 128), **options})

    return call
