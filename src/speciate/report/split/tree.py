"""The run tree of a split study: trunks in grey, the K experts of a seed drawn as one branch."""

from __future__ import annotations

from typing import Any

from speciate.report.axes import Panel
from speciate.report.numbers import count_text, number_of, tokens_text
from speciate.report.palette import ratio_colours
from speciate.report.split.evidence import SplitEvidence
from speciate.report.tree_figure import Branch, draw_tree

Node = dict[str, Any]


def tree_panels(evidence: SplitEvidence) -> list[Panel]:
    """The whole tree in one panel; empty when there is no tree."""
    nodes = merged((evidence.tree or {}).get("nodes") or [])
    colours = dict(zip(_seeds(nodes), ratio_colours(len(_seeds(nodes))), strict=True))
    branches = {}
    for node in nodes:
        if is_expert(node):
            seed = float(node.get("seed_tokens") or 0.0)
            experts, each = number_of(node["experts"], "expert"), node["end_tokens"]
            said = f"{experts} of a seed of {tokens_text(seed)}, {tokens_text(each)} each"
            name = f"{node['experts']} × {count_text(each)}"
            branches[node["key"]] = Branch(seed, colours[seed][0], said, name)
    return draw_tree(nodes, branches, "each branch is all experts of one seed, coloured by the seed's length", right=96)


def tree_colours(evidence: SplitEvidence) -> list[tuple[str, str]]:
    """(light, dark) of the branches."""
    return ratio_colours(len(_seeds(merged((evidence.tree or {}).get("nodes") or []))))


def _seeds(nodes: list[Node]) -> list[float]:
    return sorted({float(node.get("seed_tokens") or 0.0) for node in nodes if is_expert(node)})


def is_expert(node: Node) -> bool:
    """Whether a node trains on one domain; trunks train on "all"."""
    return node.get("train_on") not in (None, "all")


def merged(nodes: list[Node]) -> list[Node]:
    """The tree with the experts of one seed that were trained as long, in one order, as one node.

    It has ``experts``, their number, all their runs and seconds. Parents stand before their children.
    """
    found: dict[Any, Node] = {}
    stands_for: dict[str, str] = {}
    for node in nodes:
        parent = node.get("parent")
        above = stands_for.get(str(parent), parent)
        key: Any = node["key"]
        if is_expert(node):
            order = str(node.get("label")).replace(f"-{node['train_on']}-", "-")
            key = (above, order, node.get("params"), node["start_tokens"], node["end_tokens"])
        if key not in found:
            found[key] = {**node, "parent": above, "experts": 1, "runs": list(node.get("runs") or [])}
            if is_expert(node):
                found[key]["label"] = order
        else:
            one = found[key]
            one["experts"] += 1
            one["runs"] += node.get("runs") or []
            one["seconds"] = (one.get("seconds") or 0.0) + (node.get("seconds") or 0.0)
        stands_for[str(node["key"])] = found[key]["key"]
    return list(found.values())
