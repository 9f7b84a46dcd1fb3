"""Runs merged into a tree: whatever two runs have in common is trained once.

Two runs share a prefix while model, initial weights, optimizer, text, order of the text and learning-rate history
agree. That state is written down as a JSON value and hashed; equal hash, equal weights (bitwise, on the same machine).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.spec import EXPERT_FIELDS, Phase, RunSpec, spec_problems
from speciate.storage import digest

KEY_DIGITS = 16  # 64 bits of SHA-256: a folder name a person can read; 10,000 nodes collide with chance 3e-12


@dataclass(frozen=True)
class Node:
    """A stretch of training within one phase, from its parent's last weights to ``end_tokens``.

    ``key`` is the hash of all that affects the weights at the node's end, so it names them in any tree.
    ``start_tokens`` and ``end_tokens`` count within phase ``phase_index`` of ``spec``.
    ``spec`` is that of the first of ``runs``, the names of the runs which pass through this node.
    ``parent`` is None for a node that starts from the initial weights.
    """

    key: str
    parent: str | None
    spec: RunSpec
    phase_index: int
    start_tokens: int
    end_tokens: int
    runs: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Tokens trained in this node."""
        return self.end_tokens - self.start_tokens

    @property
    def phase(self) -> Phase:
        """The phase this node is a part of; its ``tokens`` may reach beyond the node's end."""
        return self.spec.phases[self.phase_index]

    @property
    def tokens_before_phase(self) -> int:
        """Tokens seen in all earlier phases: the ledger's ``seed_tokens``."""
        return sum(phase.tokens for phase in self.spec.phases[: self.phase_index])

    def to_json(self) -> dict[str, Any]:
        return {**_shallow(self), "spec": self.spec.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Node:
        """The inverse of ``to_json``, after a trip through JSON; keys that a Node has not are ignored."""
        known = {item.name: value[item.name] for item in fields(Node)}
        return Node(**{**known, "spec": RunSpec.from_json(value["spec"]), "runs": tuple(value["runs"])})


@dataclass(frozen=True)
class RunTree:
    """Nodes, every parent before its children, and for every run the keys of its nodes from start to end."""

    nodes: tuple[Node, ...]
    runs: dict[str, tuple[str, ...]]
    _by_key: dict[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_key", {node.key: node for node in self.nodes})

    def node(self, key: str) -> Node:
        """The node of that key; KeyError when the tree has none."""
        return self._by_key[key]

    def path(self, run: str) -> tuple[Node, ...]:
        """The nodes of a run, from its initial weights to its last token."""
        return tuple(self._by_key[key] for key in self.runs[run])

    def trunk(self, run: str) -> str:
        """The ledger's ``trunk``: the key of the run's first node. Runs that share any training share this."""
        return self.runs[run][0]

    def children(self, key: str) -> tuple[Node, ...]:
        """The nodes that start from this node's last weights."""
        return tuple(node for node in self.nodes if node.parent == key)

    @property
    def tokens(self) -> int:
        """Tokens trained when every node is trained once."""
        return sum(node.tokens for node in self.nodes)

    def to_json(self) -> dict[str, Any]:
        return {"nodes": [node.to_json() for node in self.nodes], "runs": {k: list(v) for k, v in self.runs.items()}}

    @staticmethod
    def from_json(value: dict[str, Any]) -> RunTree:
        """The inverse of ``to_json``, after a trip through JSON."""
        return RunTree(
            tuple(Node.from_json(node) for node in value["nodes"]),
            {name: tuple(keys) for name, keys in value["runs"].items()},
        )


def build_tree(specs: Sequence[RunSpec], on_disk: Iterable[tuple[Node, bool]] = ()) -> RunTree:
    """Merge equal prefixes of runs.

    Phases with the same history are cut only where some run ends or goes on to its next phase, so a node's key never
    depends on which other runs are in the tree, only the set of nodes does.

    Raises UserError naming every run with a repeated name, or tokens that are no positive multiple of
    ``tokens_per_step``, or a mixture, schedule or model that makes no sense.

    >>> from dataclasses import replace
    >>> from speciate.runs.spec import ModelSpec, Phase, RunSpec
    >>> model = ModelSpec("llama", 64, 2, 4, 160, 256, 64)
    >>> long = RunSpec("long", model, 0, (Phase((("a", 1.0),), 1280, 1e-3),), 4, "corpus")
    >>> short = replace(long, name="short", phases=(replace(long.phases[0], tokens=512),))
    >>> [(node.start_tokens, node.end_tokens, node.runs) for node in build_tree([long, short]).nodes]
    [(0, 512, ('long', 'short')), (512, 1280, ('long',))]
    """
    _check(specs)
    ends: dict[str, set[int]] = {}
    for spec in specs:
        for index, phase in enumerate(spec.phases):
            ends.setdefault(digest(_history(spec, index)), set()).add(int(phase.tokens))
    for node, finished in on_disk:  # its rows begin where it began, and what is finished is gone on from
        cuts_there = ends.get(digest(_history(node.spec, node.phase_index)))
        if cuts_there is not None:
            cuts_there |= ({node.start_tokens} - {0}) | ({node.end_tokens} if finished else set())

    nodes: dict[str, Node] = {}
    runs: dict[str, tuple[str, ...]] = {}
    for spec in specs:
        parent: str | None = None
        path: list[str] = []
        for index, phase in enumerate(spec.phases):
            history = _history(spec, index)
            cuts = sorted(end for end in ends[digest(history)] if end <= phase.tokens)
            for start, end in pairwise([0, *cuts]):
                key = digest({**history, "tokens": end})[:KEY_DIGITS]
                passing = (*nodes[key].runs, spec.name) if key in nodes else (spec.name,)
                representative = nodes[key].spec if key in nodes else spec
                nodes[key] = Node(key, parent, representative, index, start, end, passing)
                path.append(key)
                parent = key
        runs[spec.name] = tuple(path)
    return RunTree(tuple(nodes.values()), runs)


def state_key(spec: RunSpec, phase_index: int, tokens: int) -> str:
    """The key of a run's weights ``tokens`` into a phase: that of the node which ends there, in any tree."""
    return digest({**_history(spec, phase_index), "tokens": tokens})[:KEY_DIGITS]


def _history(spec: RunSpec, phase_index: int) -> dict[str, Any]:
    """All that affects the weights within a phase, but for how far into the phase we are.

    Left out, as they affect nothing: the run's name, the folder of the initial weights (their hash stays), domains of
    weight zero, whether the first phase resets an optimizer that is new anyway, and the length of a phase whose
    learning rate does not depend on it; kv_heads where they are as many as heads, and in a model without experts the
    fields of those, so that such models keep the keys they had before there were the fields. ``init_seed`` stays
    beside ``init_digest``: it also orders the text.
    """
    constants = _shallow(spec)
    del constants["name"], constants["phases"]
    model = _shallow(spec.model)
    del model["init_from"]
    if spec.model.key_heads == spec.model.heads:
        del model["kv_heads"]
    model = {name: value for name, value in model.items() if value is not None or name not in EXPERT_FIELDS}
    phases = [_phase_state(spec.phases[i], first=i == 0) for i in range(phase_index + 1)]
    if spec.phases[phase_index].schedule != "cosine":
        del phases[-1]["tokens"]
    return {**constants, "model": model, "phases": phases}


def _phase_state(phase: Phase, *, first: bool) -> dict[str, Any]:
    state = _shallow(phase)
    state["mixture"] = [[domain, float(weight)] for domain, weight in phase.mixture if weight > 0]
    state["reset_optimizer"] = first or phase.reset_optimizer
    weights = [weight for _, weight in phase.mixture if weight > 0]
    if max(weights, default=0) * (len(weights) - 2) > 1:  # its domains take turns in another order than at first
        state["interleave"] = 2
    return state


def _shallow(value: Any) -> dict[str, Any]:
    """A dataclass's own fields; floats as floats, so that 1 and 1.0 have one spelling in JSON."""
    plain = {item.name: getattr(value, item.name) for item in fields(value)}
    numbers = [item.name for item in fields(value) if item.type in ("float", "float | None")]
    return plain | {name: float(plain[name]) for name in numbers if plain[name] is not None}


def _check(specs: Sequence[RunSpec]) -> None:
    names = [spec.name for spec in specs]
    problems = [
        Problem(f"{names.count(name)} runs have this name", f"run {name}", "give every run its own name")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for spec in specs:
        problems += spec_problems(spec)
    if problems:
        raise UserError(problems)
