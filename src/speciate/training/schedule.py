"""Which node starts next, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from speciate.runs.cost import flops_per_token, train_flops
from speciate.runs.tree import Node, RunTree


@dataclass(frozen=True)
class Progress:
    """How far the tree is. ``seconds_left`` is None until a speed is known."""

    nodes_done: int
    nodes: int
    tokens_done: int
    tokens: int
    tokens_per_second: float  # of all processes together, now
    seconds_left: float | None


@dataclass(frozen=True)
class Running:
    """A node in a worker: tokens trained in it so far, and the worker's speed (0 until it is known)."""

    key: str
    tokens: int
    tokens_per_second: float


@dataclass
class Schedule:
    """The nodes that are done (key -> DONE) and those given to workers.

    A node may start when its parent is done. Of those that may, the one with the most FLOPs on the longest path from
    its start to the end of the tree goes first, so that no long chain is left over for a single process at the end.
    """

    tree: RunTree
    done: dict[str, dict[str, Any]]
    running: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.remaining = self._longest_paths({node.key: float(train_flops(node)) for node in self.tree.nodes})

    @property
    def finished(self) -> bool:
        return len(self.done) == len(self.tree.nodes)

    def next(self) -> str | None:
        """The key of the node to start now, or None while all that is left runs or waits for a parent."""
        started = self.done.keys() | self.running
        ready = [n.key for n in self.tree.nodes if n.key not in started and (n.parent is None or n.parent in self.done)]
        return max(ready, key=self.remaining.__getitem__, default=None)

    def progress(self, running: Iterable[Running], processes: int) -> Progress:
        """How far all is, given what the workers said last."""
        now = {one.key: one for one in running}
        trained = {node.key: now[node.key].tokens if node.key in now else 0 for node in self.tree.nodes}
        trained |= {key: self.tree.node(key).tokens for key in self.done}
        rate = sum(one.tokens_per_second for one in now.values())
        left = self._seconds_left(trained, self._speeds(now.values()), processes)
        return Progress(len(self.done), len(self.tree.nodes), sum(trained.values()), self.tree.tokens, rate, left)

    def _seconds_left(self, trained: dict[str, int], speeds: dict[int, float], processes: int) -> float | None:
        """The longer of: all that is left shared among the processes, and the longest path through the tree."""
        if not speeds:
            return None
        usual = sum(speeds.values()) / len(speeds)
        seconds = {
            node.key: (node.tokens - trained[node.key])
            * flops_per_token(node.spec.model)
            / speeds.get(node.spec.model.params, usual)
            for node in self.tree.nodes
        }
        return max(sum(seconds.values()) / processes, max(self._longest_paths(seconds).values()))

    def _speeds(self, running: Iterable[Running]) -> dict[int, float]:
        """FLOPs per second of one process, by model size (small models reach fewer)."""
        rates = [(self.tree.node(key), float(done["tokens_per_second"])) for key, done in self.done.items()]
        rates += [(self.tree.node(one.key), one.tokens_per_second) for one in running if one.tokens_per_second > 0]
        seen: dict[int, list[float]] = {}
        for node, rate in rates:
            seen.setdefault(node.spec.model.params, []).append(rate * flops_per_token(node.spec.model))
        return {params: sum(values) / len(values) for params, values in seen.items()}

    def _longest_paths(self, cost: dict[str, float]) -> dict[str, float]:
        """The largest sum of costs from each node down to a leaf, itself included."""
        children: dict[str, list[Node]] = {}
        for node in self.tree.nodes:
            if node.parent is not None:
                children.setdefault(node.parent, []).append(node)
        longest: dict[str, float] = {}
        for node in reversed(self.tree.nodes):
            below = [longest[child.key] for child in children.get(node.key, [])]
            longest[node.key] = cost[node.key] + max(below, default=0.0)
        return longest
