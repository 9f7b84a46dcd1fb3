"""The run tree as an icicle: time in tokens from left to right, what is shared drawn once."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from speciate.report.axes import Panel, axis, layout, nice_ticks
from speciate.report.drawing import to_json
from speciate.report.evidence import Evidence, continued_rows
from speciate.report.loss_figure import ratio_style
from speciate.report.numbers import count_text, duration_text, number_of, ratio_text, tokens_text
from speciate.report.palette import GROUND, INK, TRUNK

LANE_PIXELS = 20
NARROWEST = 0.12  # of the width: a shorter stretch has no room for words


@dataclass(frozen=True)
class Branch:
    """How a node that is no first stage is drawn. ``order``: among its siblings; ``text``: what it trains on.

    ``name`` stands after its end where nothing goes on from it.
    """

    order: float
    colour: str
    text: str
    name: str


@dataclass(frozen=True)
class Place:
    """Where a node is drawn: tokens since the very start, and lanes from the top."""

    start: float
    end: float
    first_lane: int
    lanes: int


def tree_panels(evidence: Evidence) -> list[Panel]:
    """The whole tree in one panel, each branch in its ratio's colour; empty when there is no tree."""
    nodes = (evidence.tree or {}).get("nodes") or []
    style, seeds, branches = ratio_style(evidence), _seeds(evidence), dict[str, Branch]()
    ratios = node_ratios(evidence)
    for node in nodes:
        if node["key"] in ratios:
            ratio = ratios[node["key"]]
            seed = next((seeds[run] for run in _names(node) if run in seeds), "")
            name = f"<b>{ratio_text(ratio)}</b>{seed}"
            branches[node["key"]] = Branch(ratio, style[ratio][0], f"{ratio_text(ratio)} domain", name)
    return draw_tree(nodes, branches, "each branch has its ratio's colour")


def draw_tree(
    nodes: list[dict[str, Any]], branches: Mapping[str, Branch], colours: str, right: int = 84
) -> list[Panel]:
    """The nodes of a tree.json, first stages in grey; ``branches`` by node's key, ``right`` pixels for their names."""
    if not nodes:
        return []
    places = lay_out(nodes, {key: branch.order for key, branch in branches.items()})
    lanes = max(place.first_lane + place.lanes for place in places.values())
    end = max(place.end for place in places.values())
    traces = [_bar(node, places[node["key"]], branches.get(node["key"])) for node in nodes]
    lane = max(9, min(LANE_PIXELS, 900 // lanes))
    height = 70 + lane * lanes
    x = axis("tokens since the start of training", nice_ticks(0, end), count_text, [0, end * 1.005])
    y = axis("", [], str, [lanes + 0.1, -0.1]) | {"showgrid": False}
    shown = layout(x, y, height=height, left=8, right=right, top=6, annotations=_labels(nodes, places, branches, lane))
    shared = sum(len(node.get("runs") or []) > 1 for node in nodes)
    runs = {run for node in nodes for run in node.get("runs") or []}
    label = (
        f"Run tree: {number_of(len(nodes), 'node')} for {number_of(len(runs), 'run')}, {shared} of them shared "
        f"by several runs; grey is the first stage, {colours}."
    )
    return [Panel("", label, to_json(traces, shown), height)]


def node_ratios(evidence: Evidence) -> dict[str, float]:
    """The ratio that a node trains on; a node without one belongs to the shared first stage.

    The node's own ``domain_ratio`` counts; else what the ledger says of its runs, if they agree. A tree whose nodes
    are all in phase 0 continues a checkpoint: it has no first stage of its own.
    """
    of_run: dict[str, float] = {}
    if evidence.ledger is not None:
        rows = continued_rows(evidence.ledger)
        of_run = {str(run): round(float(r), 6) for run, r in zip(rows["run"], rows["domain_ratio"], strict=True)}
    nodes = (evidence.tree or {}).get("nodes") or []
    staged = any(node.get("phase") for node in nodes)
    found = {}
    for node in nodes:
        given = node.get("domain_ratio")
        seen = {of_run[run] for run in _names(node) if run in of_run}
        if staged and node.get("phase") == 0:
            continue
        if given is not None:
            found[node["key"]] = round(float(given), 6)
        elif len(seen) == 1:
            found[node["key"]] = seen.pop()
    return found


def _names(node: dict[str, Any]) -> list[str]:
    """The names by which the ledger may know a node's runs."""
    return [*(str(run) for run in node.get("runs") or []), str(node.get("label"))]


def lay_out(nodes: list[dict[str, Any]], order: Mapping[str, float]) -> dict[str, Place]:
    """Depth first: a leaf takes one lane, a node as many as its leaves; siblings by size, then ``order``."""
    keys = {node["key"] for node in nodes}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for node in nodes:
        parent = node.get("parent") if node.get("parent") in keys else None
        children.setdefault(parent, []).append(node)
    for siblings in children.values():
        siblings.sort(key=lambda n: (n.get("params") or 0, order.get(n["key"], -1.0), str(n["key"])))
    places: dict[str, Place] = {}

    def place(node: dict[str, Any], start: float, lane: int) -> int:
        end = start + node["end_tokens"] - node["start_tokens"]
        taken = 0
        for child in children.get(node["key"], []):
            taken += place(child, end, lane + taken)
        places[node["key"]] = Place(start, end, lane, max(taken, 1))
        return max(taken, 1)

    lane = 0
    for root in children.get(None, []):
        lane += place(root, 0.0, lane)
    return places


def _bar(node: dict[str, Any], place: Place, branch: Branch | None) -> dict[str, Any]:
    top, bottom = place.first_lane + 0.08, place.first_lane + place.lanes - 0.08
    runs = node.get("runs") or []
    said = [
        f"<b>{html.escape(str(node.get('label') or node['key']))}</b>",
        f"{count_text(node['params'])} parameters" if node.get("params") else "",
        "first stage" if branch is None else branch.text,
        f"{tokens_text(node['end_tokens'] - node['start_tokens'])}, used by {number_of(len(runs), 'run')}",
        f"{duration_text(node['seconds'])}" if node.get("seconds") else "",
        f"{count_text(node['tokens_per_second'])} tokens/s" if node.get("tokens_per_second") else "",
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [place.start, place.end, place.end, place.start, place.start],
        "y": [top, top, bottom, bottom, top],
        "fill": "toself",
        "fillcolor": TRUNK[0] if branch is None else branch.colour,
        "line": {"width": 1.5, "color": GROUND[0]},
        "hoveron": "fills",
        "hoverinfo": "text",
        "text": "<br>".join(part for part in said if part),
    }


def _labels(
    nodes: list[dict[str, Any]], places: dict[str, Place], branches: Mapping[str, Branch], lane: float
) -> list[dict[str, Any]]:
    """Size and tokens on each trunk with room for them, the name after each branch that ends."""
    notes = []
    inner = {node.get("parent") for node in nodes}
    whole = max(place.end for place in places.values())
    for node in nodes:
        place, branch = places[node["key"]], branches.get(node["key"])
        note = {"y": place.first_lane + place.lanes / 2, "showarrow": False, "yanchor": "middle"}
        room = place.lanes * lane >= 16 and place.end - place.start >= NARROWEST * whole
        if branch is None and node.get("params") and room:
            text = f"{count_text(node['params'])}, {tokens_text(place.end - place.start)}"
            notes.append(note | {"x": (place.start + place.end) / 2, "text": text, "xanchor": "center",
                                 "font": {"size": 12, "color": INK[0]}})  # fmt: skip
        elif branch is not None and node["key"] not in inner and lane >= 11:
            notes.append(note | {"x": place.end, "text": branch.name, "xanchor": "left",
                                 "xshift": 4, "font": {"size": 11.5, "color": branch.colour}})  # fmt: skip
    return notes


def _seeds(evidence: Evidence) -> dict[str, str]:
    """For each run of a size and ratio that was trained with several seeds: which one."""
    if evidence.ledger is None or "seed" not in evidence.ledger.columns:
        return {}
    rows = continued_rows(evidence.ledger)
    rows = rows[rows["seed"].notna()][["run", "params", "domain_ratio", "seed"]].drop_duplicates()
    named: dict[str, str] = {}
    for _, group in rows.groupby(["params", "domain_ratio"]):
        if group["seed"].nunique() > 1:
            named |= {str(run): f" seed {int(seed)}" for run, seed in zip(group["run"], group["seed"], strict=True)}
    return named
