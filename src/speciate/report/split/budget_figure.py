"""Loss against the share of the budget that the seed gets, at every budget (figure 5 of Seto et al. 2603.19149)."""

from __future__ import annotations

import html
from typing import Any

from speciate.report.axes import Panel, axis, layout, nats_ticks
from speciate.report.drawing import band, end_labels, line, note, to_json, vertical_line
from speciate.report.numbers import count_text, nats_short, nats_text, percent_text, ratio_text, tokens_text
from speciate.report.palette import GROUND, INK, MARKERS, faint, ratio_colours
from speciate.report.split.curves import Curve, curves_of
from speciate.report.split.evidence import SplitEvidence

HEIGHT = 380
TALL = 1.0  # from-scratch experts may end so much higher that all else would be flat: more than this times the rest
ENDS = {0.0: "split<br>at once", 1.0: "never<br>split"}


def budget_panels(evidence: SplitEvidence) -> list[Panel]:
    """One panel for each size: what was measured at equal total tokens, the law's curves, the chosen share.

    Panels span as many nats. Experts from scratch far above all else stand at the upper edge with their value.
    """
    points, curves = evidence.points, curves_of(evidence)
    sizes = sorted({*(float(size) for size in points["params"]), *(curve.params for curve in curves)})
    if not sizes:
        return []
    frames = _frames(evidence, curves, sizes)
    return [_panel(evidence, size, [c for c in curves if c.params == size], frames[size]) for size in sizes]


def budget_colours(evidence: SplitEvidence) -> list[tuple[str, str]]:
    """(light, dark) for every budget, small to large."""
    return ratio_colours(len(evidence.budgets))


def _frames(evidence: SplitEvidence, curves: list[Curve], sizes: list[float]) -> dict[float, tuple[float, float]]:
    """Lower and upper end of the loss axis of every size; all span as much, so that slopes compare by eye."""
    found = {}
    for size in sizes:
        points = evidence.points[evidence.points["params"] == size]
        inner = [float(v) for v in points["loss"][points["share"] > 0]] or [float(v) for v in points["loss"]]
        inner += [v for c in curves if c.params == size for x, v, *_ in c.points if x >= 0.1]
        low, high = min(inner), max(inner)
        scratch = [float(v) for v in points["loss"][points["share"] == 0]]
        top = max([high, *scratch])
        if top - high > TALL * max(high - low, 0.01):
            top = high + 0.12 * (high - low)
        found[size] = (low, top)
    span = max(0.01, *(top - low for low, top in found.values()))
    return {size: ((low + top - 1.12 * span) / 2, (low + top + 1.12 * span) / 2) for size, (low, top) in found.items()}


def _panel(evidence: SplitEvidence, params: float, curves: list[Curve], frame: tuple[float, float]) -> Panel:
    low, high = frame
    points = evidence.points[evidence.points["params"] == params]
    style = {budget: pair[0] for budget, pair in zip(evidence.budgets, budget_colours(evidence), strict=True)}
    traces: list[Any] = []
    ends: dict[str, tuple[float, str]] = {}
    for curve in curves:
        shares = [point[0] for point in curve.points]
        lows, highs = ([point[at] for point in curve.points] for at in (2, 3))
        colour = style[curve.budget]
        said = [_said(curve.budget, share, value, "by the law") for share, value, *_ in curve.points]
        traces += [*band(shares, lows, highs, colour), line(shares, [point[1] for point in curve.points], colour, said)]
        ends[count_text(curve.budget)] = (curve.points[-1][1], colour)
    notes: list[dict[str, Any]] = []
    for place, budget in enumerate(evidence.budgets):
        mine = points[points["budget"] == budget]
        if len(mine):
            traces += _measured(mine, style[budget], MARKERS[place % len(MARKERS)], high)
            notes += _above(mine, style[budget], high, place, len(evidence.budgets))
            ends.setdefault(count_text(budget), (float(mine["loss"].iloc[-1]), style[budget]))
    shapes: list[dict[str, Any]] = []
    if params == evidence.params and evidence.choice != "never split":
        shapes, named = _chosen(evidence)
        notes += named
    held = {name: (min(max(value, low), high), colour) for name, (value, colour) in ends.items()}
    notes += end_labels(held, (high - low) / (HEIGHT - 92))
    x = axis("share of the total tokens that the seed gets", [0.0, 0.25, 0.5, 0.75, 1.0],
             lambda share: f"{percent_text(share)}{'<br>' + ENDS[share] if share in ENDS else ''}",
             [-0.035, 1.035])  # fmt: skip
    y = axis("mean loss over domains, nats per token", nats_ticks(low, high), nats_short, [low, high])
    drawn = layout(x, y, height=HEIGHT, shapes=shapes, annotations=notes, right=58)
    drawn["margin"]["b"] = 74
    size = count_text(params)
    best = points.loc[points.groupby("budget")["loss"].idxmin()] if len(points) else points
    label = f"Mean loss of the {size}-parameter model against the seed's share of the total. Lowest measured: " + (
        "; ".join(
            f"{ratio_text(share)} of {tokens_text(budget)}, {nats_text(loss)}"
            for share, budget, loss in zip(best["share"], best["budget"], best["loss"], strict=True)
        )
        or "nothing yet"
    )
    return Panel(f"{size} parameters", f"{label}.", to_json(traces, drawn), HEIGHT)


def _said(budget: float, share: float, loss: float, how: str) -> str:
    return f"{tokens_text(budget)} in all, {percent_text(share)} to the seed<br>{nats_text(loss)} nats, {how}"


def _measured(rows: Any, colour: str, symbol: str, top: float) -> list[dict[str, Any]]:
    """Points that the plan could see, filled; points that it could not, hollow. Those above the axis are left out."""
    rows = rows[rows["loss"] <= top]
    later = rows["later"].astype(bool)
    filled = {"color": colour, "symbol": symbol, "line": {"width": 0.8, "color": GROUND[0]}}
    hollow = {"color": GROUND[0], "symbol": symbol, "line": {"width": 1.8, "color": colour}}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [float(share) for share in some["share"]],
            "y": [float(loss) for loss in some["loss"]],
            "marker": {"size": 8, "opacity": 1} | marker,
            "hoverinfo": "text",
            "text": [
                f"{_said(budget, share, loss, 'measured')}<br>run {html.escape(str(run))}"
                for budget, share, loss, run in zip(
                    some["budget"], some["share"], some["loss"], some["run"], strict=True
                )
            ],
        }
        for some, marker in ((rows[~later], filled), (rows[later], hollow))
        if len(some)
    ]


def _above(rows: Any, colour: str, top: float, place: int, count: int) -> list[dict[str, Any]]:
    """The values of points above the axis, at its upper edge, one line for each budget."""
    over = rows[rows["loss"] > top]
    return [
        note(f"↑ {nats_text(float(values.mean()))}", float(share), 1 - 0.05 * (count - 1 - place),
             "left" if share < 0.5 else "right", "top", colour, yref="paper")
        for share, values in over.groupby("share")["loss"]
    ]  # fmt: skip


def _chosen(evidence: SplitEvidence) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The decision's share as a line, its interval as a wash, and what they are."""
    told, total = evidence.decision, evidence.total
    if not total or told.get("seed_tokens") is None:
        return [], []
    share = float(told["seed_tokens"]) / total
    shapes = [vertical_line(share, {"width": 1.5, "color": INK[0], "dash": "dot"})]
    low, high = told.get("low"), told.get("high")
    if low is not None and high is not None:
        wash = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": low / total, "x1": high / total,
                "fillcolor": faint(INK[0], 0.07), "line": {"width": 0}, "layer": "below"}  # fmt: skip
        shapes.append(wash)
    name = "chosen" if evidence.choice == "split" else "best estimate"
    anchor = "left" if share < 0.2 else "right" if share > 0.8 else "center"
    return shapes, [note(f"{name} {percent_text(share)}", share, 1, anchor, "bottom", INK[0], yref="paper")]
