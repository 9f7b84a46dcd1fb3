"""What figures are drawn from: plotly's JSON, guide lines, words in a plot, curves with their bands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from speciate.report.axes import spread
from speciate.report.palette import GROUND, faint

HEIGHT = 320
LABEL_PIXELS = 15


def to_json(traces: Sequence[Any], layout_: dict[str, Any]) -> dict[str, Any]:
    """Plotly's own validated JSON of a figure, without the template that it would repeat in each."""
    import plotly.graph_objects as go

    figure = go.Figure(data=list(traces), layout=layout_)
    figure.layout.template = None
    plain: dict[str, Any] = json.loads(figure.to_json())
    return plain


def band(x: Sequence[float], low: Sequence[float | None], high: Sequence[float | None], colour: str) -> list[
    dict[str, Any]
]:  # fmt: skip
    """Traces of a curve's band; points without both ends are left out."""
    known = [one for one in zip(x, low, high, strict=True) if one[1] is not None and one[2] is not None]
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0, "color": colour}, "hoverinfo": "skip"}
    return [
        edge | {"x": [p[0] for p in known], "y": [p[2] for p in known]},
        edge | {"x": [p[0] for p in known], "y": [p[1] for p in known], "fill": "tonexty",
                "fillcolor": faint(colour, 0.13)},
    ]  # fmt: skip


def line(x: Sequence[float], y: Sequence[float], colour: str, texts: Sequence[str]) -> dict[str, Any]:
    """A curve that says ``texts`` where it is pointed at."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"width": 2, "color": colour},
        "hoverinfo": "text",
        "text": list(texts),
    }


def level_line(at: float, line: dict[str, Any]) -> dict[str, Any]:
    """A line across the whole plot at one height."""
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at, "line": line, "layer": "below"}


def vertical_line(at: float, line: dict[str, Any]) -> dict[str, Any]:
    """A line from bottom to top at one place of the x axis."""
    return {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": at, "x1": at, "line": line, "layer": "below"}


def note(text: str, x: float, y: float, xanchor: str, yanchor: str, colour: str, **more: Any) -> dict[str, Any]:
    """Words in a plot, on a ground that keeps them readable over a line."""
    return {"text": text, "x": x, "y": y, "xanchor": xanchor, "yanchor": yanchor, "showarrow": False,
            "bgcolor": faint(GROUND[0], 0.75), "borderpad": 1,
            "font": {"size": 11.5, "color": colour}} | more  # fmt: skip


def end_labels(ends: Mapping[str, tuple[float, str]], per_pixel: float) -> list[dict[str, Any]]:
    """Each curve's name at its right end (its last value), in its colour; moved apart where curves end close together.

    ``per_pixel``: units of the y axis in a pixel.
    """
    places = spread([value for value, _ in ends.values()], LABEL_PIXELS * per_pixel)
    return [
        note(f"<b>{name}</b>", 1.015, place, "left", "middle", colour, xref="paper")
        for (name, (_, colour)), place in zip(ends.items(), places, strict=True)
    ]
