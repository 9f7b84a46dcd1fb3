"""The critical ratio against the length of training: the law that the decision is read from."""

from __future__ import annotations

from typing import Any

from speciate.report.axes import Panel, axis, is_wide, layout, nice_ticks, tokens_axis
from speciate.report.drawing import HEIGHT, note, to_json
from speciate.report.evidence import Evidence
from speciate.report.loss_figure import curve_traces, guides, ratio_style
from speciate.report.numbers import count_text, percent_text, ratio_text, tokens_text
from speciate.report.palette import BAD, GOOD, GROUND, INK


def critical_panels(evidence: Evidence) -> list[Panel]:
    """One panel per size: the critical ratio against the length of training, with the tried ratios on it."""
    models = [m for m in evidence.models if (m.get("critical_curve") or {}).get("tokens")]
    if not models:
        return []
    curves = [m["critical_curve"] for m in models]
    tokens = [t for c in curves for t in c["tokens"] if t > 0]
    tops = [v for c in curves for v in (*c["value"], *(c.get("high") or [])) if v is not None]
    tops += [m[key] for m in models for key in ("critical_ratio", "high") if m.get(key) is not None]
    if not tokens or not tops:
        return []
    top = min(1.0, max(tops) * 1.12)
    return [_critical_panel(evidence, model, (min(tokens), max(tokens), top)) for model in models]


def _critical_panel(evidence: Evidence, model: dict[str, Any], frame: tuple[float, float, float]) -> Panel:
    left, right, top = frame
    style, log = ratio_style(evidence), is_wide([left, right])
    traces: list[Any] = curve_traces(model["critical_curve"] | {"domain_ratio": 0.0}, INK[0])
    traces[-1]["text"] = [
        f"up to {percent_text(v)}<br>at {tokens_text(t)}"
        for t, v in zip(model["critical_curve"]["tokens"], model["critical_curve"]["value"], strict=True)
        if v is not None and t > 0
    ]
    notes = [
        note("too much domain text", 0.02, 0.98, "left", "top", BAD[0], xref="paper", yref="paper"),
        note("general ability kept", 0.98, 0.03, "right", "bottom", GOOD[0], xref="paper", yref="paper"),
    ]
    for row in model.get("ratios") or []:
        ratio, at = round(float(row["domain_ratio"]), 6), row.get("turning_tokens")
        if at and left <= at <= right and ratio <= top:
            traces.append({"type": "scatter", "mode": "markers+text", "x": [at], "y": [ratio],
                           "text": [f" {ratio_text(ratio)}"], "textposition": "bottom right",
                           "textfont": {"size": 11.5, "color": style[ratio][0]},
                           "hovertext": [f"{ratio_text(ratio)} domain<br>turns down at {tokens_text(at)}"],
                           "hoverinfo": "text", "marker": {"size": 13, "symbol": "circle-open",
                                                           "color": style[ratio][0],
                                                           "line": {"width": 2.2}}})  # fmt: skip
    if model.get("critical_ratio") is not None and model.get("horizon_tokens"):
        traces.append(_decision_mark(model))
    shapes, named = guides({"horizon_tokens": model.get("horizon_tokens")}, "critical", left, log)
    x = tokens_axis(left, right, f"length of continued training, tokens{', log scale' if log else ''}", log=log, most=5)
    y = axis("domain share of the mixture", nice_ticks(0, top), percent_text, [0, top])
    size = count_text(model["params"])
    answer = "not decided"
    if model.get("critical_ratio") is not None:
        answer = f"{percent_text(model['critical_ratio'])} at {tokens_text(model.get('horizon_tokens') or 0)}"
    label = f"Critical domain share of the {size}-parameter model against the length of training: {answer}."
    drawn = layout(x, y, height=HEIGHT, right=30, shapes=shapes[1:], annotations=notes + named)
    return Panel(f"{size} parameters", label, to_json(traces, drawn), HEIGHT)


def _decision_mark(model: dict[str, Any]) -> dict[str, Any]:
    value, low, high = model["critical_ratio"], model.get("low"), model.get("high")
    mark: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [model["horizon_tokens"]],
        "y": [value],
        "marker": {"size": 11, "symbol": "diamond", "color": INK[0], "line": {"width": 1.5, "color": GROUND[0]}},
        "hoverinfo": "text",
        "text": [f"the decision<br>{percent_text(value)} at {tokens_text(model['horizon_tokens'])}"],
    }
    if low is not None and high is not None:
        mark["error_y"] = {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low],
                           "color": INK[0], "thickness": 2, "width": 6}  # fmt: skip
    return mark
