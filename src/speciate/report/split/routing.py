"""What routing costs, and which expert each kind of text goes to (Table 4 of Seto et al. 2603.19149)."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from speciate.report.axes import Panel, axis, layout, nats_ticks
from speciate.report.drawing import to_json
from speciate.report.numbers import MISSING, nats_short, nats_text, percent_text
from speciate.report.palette import INK, MUTED
from speciate.report.split.evidence import SplitEvidence
from speciate.report.split.sentences import MINUS
from speciate.report.tables import table

ROW_PIXELS = 30
WAYS = {
    "oracle": "the domain's own expert",
    "routed": "the routed expert",
    "ensemble": "all experts, averaged",
    "base": "one model, unsplit",
}


def routing_panels(evidence: SplitEvidence) -> list[Panel]:
    """The losses of the ways to answer a text, one below the other; those that are not there are left out."""
    routing = evidence.routing or {}
    found = {name: float(routing[name]) for name in WAYS if routing.get(name) is not None}
    if len(found) < 2:
        return []
    low, high = min(found.values()), max(found.values())
    pad = 0.12 * max(high - low, 0.005)
    places = {name: len(found) - at for at, name in enumerate(found)}
    height = 76 + ROW_PIXELS * len(found)
    x = axis("loss on held-out text, nats per token", nats_ticks(low - pad, high + pad, 5), nats_short,
             [low - pad, high + pad])  # fmt: skip
    y = axis("", [float(place) for place in places.values()], lambda at: WAYS[_at(places, at)], [0.4, len(found) + 0.6])
    y |= {"tickfont": {"size": 12, "color": INK[0]}}
    values = [
        {"x": 1.015, "xref": "paper", "y": places[name], "xanchor": "left", "yanchor": "middle", "showarrow": False,
         "text": nats_text(value), "font": {"size": 12, "color": INK[0]}}
        for name, value in found.items()
    ]  # fmt: skip
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": list(found.values()),
        "y": list(places.values()),
        "marker": {"size": 12, "symbol": ["square" if name == "base" else "circle" for name in found],
                   "color": [MUTED[0] if name == "base" else INK[0] for name in found]},
        "hoverinfo": "text",
        "text": [f"{WAYS[name]}<br>{nats_text(v)} nats, perplexity {perplexity(v)}" for name, v in found.items()],
    }  # fmt: skip
    label = "Loss on held-out text: " + "; ".join(f"{WAYS[name]} {nats_text(v)}" for name, v in found.items())
    drawn = layout(x, y, height=height, left=170, right=56, top=8, annotations=values)
    return [Panel("", f"{label} nats per token.", to_json([points], drawn), height)]


def _at(places: dict[str, int], place: float) -> str:
    return next(name for name, at in places.items() if at == round(place))


def perplexity(nats: float | None) -> str:
    """exp of a loss, two decimals as in the paper; a dash where there is none.

    >>> perplexity(2.2945), perplexity(None)
    ('9.92', '\\u2014')
    """
    return MISSING if nats is None else f"{math.exp(nats):,.2f}"


def change(new: float | None, old: float | None) -> str:
    """By how much a perplexity is lower or higher, from two losses."""
    if new is None or old is None:
        return MISSING
    share = math.exp(new - old) - 1
    sign = "" if abs(share) < 5e-4 else MINUS if share < 0 else "+"
    return f"{sign}{percent_text(abs(share) if sign else 0.0)}"


def mean_change(rows: list[dict[str, Any]], who: str, new: str, old: str) -> str:
    """The mean relative change of perplexity over rows, for a caption; empty where nothing can be compared."""
    shares = [
        math.exp(row[new] - row[old]) - 1 for row in rows if row.get(new) is not None and row.get(old) is not None
    ]
    if not shares:
        return ""
    mean = sum(shares) / len(shares)
    return f" {who} is {percent_text(abs(mean))} {'lower' if mean < 0 else 'higher'} than unsplit on average."


def source_table(evidence: SplitEvidence) -> str:
    """For every source the perplexity of the expert that it is routed to most, beside the unsplit model's."""
    given = (evidence.routing or {}).get("sources") or []
    rows = [
        [
            escape(str(row["source"])),
            perplexity(row.get("base")),
            perplexity(row.get("expert_loss")),
            change(row.get("expert_loss"), row.get("base")),
            escape(str(row.get("expert") or MISSING)),
            MISSING if row.get("share") is None else percent_text(row["share"]),
        ]
        for row in given
    ]
    head = ["Source", "Unsplit", "Specialist", "Change", "Routed most often to", "Share of its texts"]
    caption = "Perplexity of held-out text; every text of a source is given to the expert it is routed to most often."
    return table(
        caption + mean_change(given, "The specialist", "expert_loss", "base"), head, rows, numbers={1, 2, 3, 5}
    )


def domain_table(evidence: SplitEvidence) -> str:
    """For every domain the perplexity of each way to answer its texts."""
    given = (evidence.routing or {}).get("domains") or []
    rows = [
        [
            escape(str(row["domain"])),
            f"{row['texts']:,}" if row.get("texts") is not None else MISSING,
            perplexity(row.get("base")),
            perplexity(row.get("oracle")),
            perplexity(row.get("routed")),
            perplexity(row.get("ensemble")),
            change(row.get("routed"), row.get("base")),
        ]
        for row in given
    ]
    head = ["Domain", "Texts", "Unsplit", "Own expert", "Routed", "Averaged", "Routed against unsplit"]
    caption = "Perplexity of held-out text by domain. Averaged: the mean of all experts' probabilities."
    return table(
        caption + mean_change(given, "The routed expert", "routed", "base"), head, rows, numbers={1, 2, 3, 4, 5, 6}
    )
