"""What a tree of runs costs: FLOPs, tokens saved by sharing, and time on this many processes.

The formula of FLOPs per token stands in ``architecture``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from speciate.runs.actuals import Correction
from speciate.runs.architecture import Architecture
from speciate.runs.spec import ModelSpec
from speciate.runs.tree import Node, RunTree

FASTEST, SLOWEST = 0.8, 1.5  # of the expected time; (assumption: a shared machine slows down more than it speeds up)


def flops_per_token(model: ModelSpec) -> int:
    """FLOPs of training (forward and backward) on one token: ``Architecture.training_flops_per_token``.

    >>> flops_per_token(ModelSpec("llama", 64, 3, 4, 160, 1024, 256))  # 6 x (141,760 + 65,536) + 6 x 3 x 64 x 256
    1538688
    """
    return Architecture.of_spec(model).training_flops_per_token()


def train_flops(node: Node) -> int:
    """FLOPs of training a node once; measuring it on held-out text is not counted."""
    return node.tokens * flops_per_token(node.spec.model)


@dataclass(frozen=True)
class Savings:
    """Training of the tree against two practices; tokens, FLOPs, and the shares saved (0..1).

    scratch   every run trained from its initial weights
    anew      the phases before a run's last are trained once and saved; every last phase is trained in full from there
    """

    tree_tokens: int
    scratch_tokens: int
    anew_tokens: int
    tree_flops: int
    scratch_flops: int
    anew_flops: int

    @property
    def saved_vs_scratch(self) -> float:
        """Share of tokens that the tree need not train, against every run from scratch."""
        return 1 - self.tree_tokens / self.scratch_tokens

    @property
    def saved_vs_anew(self) -> float:
        """Share of tokens that the tree need not train, against every continued run anew from a saved base."""
        return 1 - self.tree_tokens / self.anew_tokens

    @property
    def flops_saved_vs_scratch(self) -> float:
        """As ``saved_vs_scratch``, with every token weighed by what it costs at its model's size."""
        return 1 - self.tree_flops / self.scratch_flops

    @property
    def flops_saved_vs_anew(self) -> float:
        """As ``saved_vs_anew``, with every token weighed by what it costs at its model's size."""
        return 1 - self.tree_flops / self.anew_flops

    def to_json(self) -> dict[str, float]:
        """The fields and the four shares."""
        return {
            "tree_tokens": self.tree_tokens,
            "scratch_tokens": self.scratch_tokens,
            "anew_tokens": self.anew_tokens,
            "saved_vs_scratch": self.saved_vs_scratch,
            "saved_vs_anew": self.saved_vs_anew,
            "tree_flops": self.tree_flops,
            "scratch_flops": self.scratch_flops,
            "anew_flops": self.anew_flops,
            "flops_saved_vs_scratch": self.flops_saved_vs_scratch,
            "flops_saved_vs_anew": self.flops_saved_vs_anew,
        }


def savings(tree: RunTree) -> Savings:
    """What sharing saves. Two runs that are equal but for their names count once: repeating a run saves nothing."""
    assert tree.nodes, "a tree without runs has no cost"
    tokens, flops = _practices(tree, lambda node: node.tokens), _practices(tree, train_flops)
    return Savings(*tokens, *flops)


def _practices(tree: RunTree, cost: Callable[[Node], int]) -> tuple[int, int, int]:
    """The cost of (the tree, every run from scratch, every last phase anew)."""
    paths = [tree.path(run) for run in {keys[-1]: run for run, keys in tree.runs.items()}.values()]
    saved = {node.key: node for path in paths for node in path if node.phase_index < path[-1].phase_index}
    scratch = sum(cost(node) for path in paths for node in path)
    anew = sum(cost(node) for node in saved.values())
    for path in paths:
        if path[-1].key not in saved:  # a run that ends on the way to another's base is had for nothing
            anew += sum(cost(node) for node in path if node.key not in saved)
    return sum(cost(node) for node in tree.nodes), scratch, anew


def estimate_seconds(
    tree: RunTree,
    tokens_per_second: Mapping[int, float],
    processes: int,
    done: Collection[str] = (),
    correction: Correction | None = None,
) -> tuple[float, float, float]:
    """Wall-clock time (low, expected, high) to train the tree's nodes that are not in ``done`` (keys).

    ``tokens_per_second`` maps a model's non-embedding parameters to its speed in one process while all run. Without a
    ``correction`` from earlier runs the range is FASTEST to SLOWEST.
    Nodes are given to free processes as the executor gives them: parents first, longest remaining path first.

    >>> from speciate.runs.tree import build_tree
    >>> estimate_seconds(build_tree([]), {}, processes=2)
    (0.0, 0.0, 0.0)
    """
    assert processes >= 1, "at least one process trains"
    waiting = {node.key: node for node in tree.nodes if node.key not in done}
    seconds = {key: node.tokens / tokens_per_second[node.spec.model.params] for key, node in waiting.items()}
    remaining: dict[str, float] = {}
    children: dict[str | None, list[str]] = {}
    for node in reversed(tree.nodes):  # children before their parents
        if node.key in waiting:
            parent = node.parent if node.parent in waiting else None
            children.setdefault(parent, []).append(node.key)
            remaining[node.key] = seconds[node.key] + max((remaining[c] for c in children.get(node.key, [])), default=0)

    ready = [(-remaining[key], key) for key in children.get(None, [])]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []  # (end, key)
    now = 0.0
    while ready or running:
        while ready and len(running) < processes:
            key = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + seconds[key], key))
        now, finished = heapq.heappop(running)
        for child in children.get(finished, []):
            heapq.heappush(ready, (-remaining[child], child))
    if correction is None:
        return FASTEST * now, now, SLOWEST * now
    return correction.low * now, correction.factor * now, correction.high * now
