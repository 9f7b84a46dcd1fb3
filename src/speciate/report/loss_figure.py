"""Loss against tokens at every ratio: measurements, fitted curves with their bands, turning points."""

from __future__ import annotations

import html
import math
from itertools import pairwise
from typing import Any

from speciate.report.axes import Panel, axis, is_wide, layout, nice_ticks, tokens_axis
from speciate.report.drawing import HEIGHT, band, end_labels, level_line, line, note, to_json, vertical_line
from speciate.report.evidence import Evidence, changes
from speciate.report.numbers import count_text, nats_short, nats_text, ratio_text, tokens_text
from speciate.report.palette import BAD, GROUND, INK, MARKERS, MUTED, ratio_colours


def ratio_style(evidence: Evidence) -> dict[float, tuple[str, str]]:
    """For every ratio its (light colour, marker symbol)."""
    ratios = evidence.ratios
    colours = ratio_colours(len(ratios))
    return {ratio: (colours[i][0], MARKERS[i % len(MARKERS)]) for i, ratio in enumerate(ratios)}


def loss_panels(evidence: Evidence, side: str) -> list[Panel]:
    """One panel per model size: change of the general or domain loss against tokens, at every ratio.

    Panels share both axes, so that sizes can be compared by eye.
    """
    measured = changes(evidence, side)
    sizes = sorted({*measured["params"], *(model["params"] for model in evidence.models)})
    curves = {params: _curves(evidence, side, params) for params in sizes}
    tokens = [*measured["tokens"], *(t for size in curves.values() for c in size for t in c["tokens"] if t > 0)]
    values = [*measured["change"], *(v for size in curves.values() for c in size for v in c["value"] if v is not None)]
    if not tokens or not values:
        return []
    tolerances = [m["tolerance"] for m in evidence.models if m.get("tolerance") is not None and side == "general"]
    low, high = min(0.0, *values), max(0.0, *values, *(t * 1.15 for t in tolerances))
    pad = 0.05 * (high - low)
    frame = (min(tokens), max(tokens), low - pad, high + pad)
    drawn = []
    for params in sizes:
        rows = measured[measured["params"] == params]
        if len(rows) or curves[params]:
            drawn.append(_loss_panel(evidence, side, params, rows, curves[params], frame))
    return drawn


def _curves(evidence: Evidence, side: str, params: float) -> list[dict[str, Any]]:
    """The fitted curves of one size and side, less the starting model's loss, sorted by ratio."""
    model = next((m for m in evidence.models if m["params"] == params), {})
    start = float((model.get("start_loss") or {}).get(side) or 0.0)
    curves = [
        curve
        | {
            key: None if curve.get(key) is None else [None if v is None else v - start for v in curve[key]]
            for key in ("value", "low", "high")
        }
        for curve in model.get("curves") or []
        if evidence.side(str(curve["eval_on"])) == side
    ]
    return sorted(curves, key=lambda curve: float(curve["domain_ratio"]))


def _loss_panel(evidence: Evidence, side: str, params: float, rows: Any, curves: list[dict[str, Any]],
                frame: tuple[float, float, float, float]) -> Panel:  # fmt: skip
    left, right, low, high = frame
    style, log = ratio_style(evidence), is_wide([left, right])
    model = next((m for m in evidence.models if m["params"] == params), {})
    traces: list[Any] = []
    ends: dict[float, float] = {}
    for curve in curves:
        traces += curve_traces(curve, style[round(float(curve["domain_ratio"]), 6)][0])
        ends[round(float(curve["domain_ratio"]), 6)] = [v for v in curve["value"] if v is not None][-1]
    for ratio, group in rows.groupby("domain_ratio"):
        ratio = round(float(ratio), 6)
        traces += _measured(group, ratio, *style[ratio])
        ends.setdefault(ratio, float(group.sort_values("tokens")["change"].iloc[-1]))
    if side == "general":
        traces += _turning_marks(model, curves, style)
    shapes, notes = guides(model, side, left, log)
    notes += end_labels(
        {ratio_text(r): (v, style[r][0]) for r, v in sorted(ends.items())}, (high - low) / (HEIGHT - 72)
    )
    x = tokens_axis(left, right, f"tokens of continued training{', log scale' if log else ''}", log=log, most=5)
    y = axis("change of loss, nats per token", nice_ticks(low, high), lambda v: nats_short(v, signed=True), [low, high])
    size, name = count_text(params), f"{side} loss"
    label = (
        f"Change of {name} of the {size}-parameter model against tokens, one curve for each of {len(ends)} domain "
        "shares. At the right end: "
        + "; ".join(f"{ratio_text(r)} {nats_text(v, signed=True)}" for r, v in sorted(ends.items()))
        + " nats per token."
    )
    drawn = layout(x, y, height=HEIGHT, shapes=shapes, annotations=notes)
    return Panel(f"{size} parameters", label, to_json(traces, drawn), HEIGHT)


def curve_traces(curve: dict[str, Any], colour: str) -> list[dict[str, Any]]:
    """Traces of a curve {tokens, value, low, high}: its band, where it has one, then its line (last)."""
    points = [
        (t, v, low, high)
        for t, v, low, high in zip(
            curve["tokens"],
            curve["value"],
            curve.get("low") or curve["value"],
            curve.get("high") or curve["value"],
            strict=True,
        )
        if v is not None and t > 0
    ]
    share = f"{ratio_text(float(curve['domain_ratio']))} domain"
    tokens, values, low, high = ([point[at] for point in points] for at in range(4))
    said = [f"{share}, fitted<br>{tokens_text(t)}<br>{nats_text(v, signed=True)} nats" for t, v, *_ in points]
    return [*band(tokens, low, high, colour), line(tokens, values, colour, said)]


def _measured(group: Any, ratio: float, colour: str, symbol: str) -> list[dict[str, Any]]:
    """Points that the plan could see, filled; points that it could not, hollow."""
    later = group["later"].astype(bool)
    drawn = [
        _points(group[~later], ratio, {"color": colour, "symbol": symbol, "line": {"width": 0.8, "color": GROUND[0]}})
    ]
    if later.any():
        hollow = {"color": GROUND[0], "symbol": symbol, "line": {"width": 1.8, "color": colour}}
        drawn.append(_points(group[later], ratio, hollow))
    return drawn


def _points(group: Any, ratio: float, marker: dict[str, Any]) -> dict[str, Any]:
    rows = list(zip(group["run"], group["tokens"], group["change"], strict=True))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(tokens) for _, tokens, _ in rows],
        "y": [float(change) for *_, change in rows],
        "marker": {"size": 7, "opacity": 1} | marker,
        "hoverinfo": "text",
        "text": [
            f"{ratio_text(ratio)} domain, measured<br>{tokens_text(tokens)}<br>{nats_text(change, signed=True)} nats"
            f"<br>run {html.escape(str(run))}"
            for run, tokens, change in rows
        ],
    }


def _turning_marks(model: dict[str, Any], curves: list[dict[str, Any]], style: dict[float, tuple[str, str]]) -> list[
    dict[str, Any]
]:  # fmt: skip
    """A ring on each general curve where the loss turns down for good, when that lies in view."""
    turning = {round(float(row["domain_ratio"]), 6): row.get("turning_tokens") for row in model.get("ratios") or []}
    marks = []
    for curve in curves:
        ratio = round(float(curve["domain_ratio"]), 6)
        at = turning.get(ratio)
        value = None if not at else _value_at(curve, at)
        if value is not None:
            text = f"{ratio_text(ratio)} domain<br>turns down at {tokens_text(at or 0)}"
            ring = {"size": 13, "symbol": "circle-open", "color": style[ratio][0], "line": {"width": 2.2}}
            marks.append({"type": "scatter", "mode": "markers", "x": [at], "y": [value], "marker": ring,
                          "hoverinfo": "text", "text": [text]})  # fmt: skip
    return marks


def _value_at(curve: dict[str, Any], tokens: float) -> float | None:
    """The curve between its two nearest points; None outside them."""
    points = [(t, v) for t, v in zip(curve["tokens"], curve["value"], strict=True) if v is not None]
    for (t0, v0), (t1, v1) in pairwise(points):
        if t0 <= tokens <= t1 and t1 > t0:
            return float(v0 + (v1 - v0) * (tokens - t0) / (t1 - t0))
    return None


def guides(model: dict[str, Any], side: str, left: float, log: bool) -> tuple[list[Any], list[Any]]:
    """The start's level, the tolerance, and the horizon, each with its name on it."""
    shapes: list[Any] = [level_line(0.0, {"width": 1, "color": MUTED[0]})]
    notes: list[Any] = []
    tolerance, horizon = model.get("tolerance"), model.get("horizon_tokens")
    if side == "general" and tolerance is not None:
        shapes.append(level_line(tolerance, {"width": 1.5, "color": BAD[0], "dash": "dash"}))
        notes.append(note(f"tolerance {nats_short(tolerance)}", 0, tolerance, "left", "bottom", BAD[0], xref="paper"))
    if horizon:
        shapes.append(vertical_line(horizon, {"width": 1.5, "color": INK[0], "dash": "dot"}))
        at = math.log10(horizon) if log else horizon
        notes.append(note(f"horizon {count_text(horizon)}", at, 1, "right", "bottom", INK[0], yref="paper"))
    return shapes, notes
