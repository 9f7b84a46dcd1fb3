"""Predicted against measured, one row for each measurement the plan had sealed a prediction for."""

from __future__ import annotations

from typing import Any

from speciate.report.axes import Panel, axis, layout, nats_ticks
from speciate.report.drawing import to_json, vertical_line
from speciate.report.evidence import Evidence
from speciate.report.numbers import count_text, nats_short, nats_text, percent_text, ratio_text, tokens_text
from speciate.report.palette import BAD, GOOD, INK, MUTED, faint

ROW_PIXELS = 24
MOST_ROWS = 40
VERDICTS = {  # by "inside": words, symbol, colour
    True: ("✓ inside", "circle", GOOD[0]),
    False: ("<b>✕ outside</b>", "x", BAD[0]),
    None: ("no interval", "circle-open", MUTED[0]),
}


def prediction_panels(evidence: Evidence) -> list[Panel]:
    """A panel for each evaluation set: intervals about the prediction, the measured loss as a point.

    With more than 40 rows in a panel, only those at the largest token count are drawn; the table has all.
    """
    rows = [row for row in (evidence.comparison or {}).get("rows") or [] if row.get("measured") is not None]
    panels = []
    names = {str(row["eval_on"]) for row in rows}
    for name in sorted(names, key=lambda name: (evidence.side(name) != "general", name)):
        chosen = [row for row in rows if str(row["eval_on"]) == name]
        if len(chosen) > MOST_ROWS:
            last = max(row["tokens"] for row in chosen)
            chosen = [row for row in chosen if row["tokens"] == last][:MOST_ROWS]
        chosen.sort(key=lambda row: (float(row["params"]), float(row["domain_ratio"]), float(row["tokens"])))
        many_tokens = len({row["tokens"] for row in chosen}) > 1
        labels = [
            f"{count_text(row['params'])} · {ratio_text(row['domain_ratio'])}"
            + (f" · {count_text(row['tokens'])}" if many_tokens else "")
            for row in chosen
        ]
        said = [
            f"{count_text(row['params'])} parameters, {ratio_text(row['domain_ratio'])} domain, "
            f"{tokens_text(row['tokens'])}"
            for row in chosen
        ]
        side = evidence.side(name)
        heading = f"{side.capitalize()} loss" if side else name
        left = 118 if many_tokens else 88
        panels.append(offset_panel(chosen, labels, said, heading, f"{side or 'other'} loss", evidence.level, left))
    return panels


def _offset(row: dict[str, Any]) -> tuple[float, float, float]:
    """Interval and measurement relative to the prediction; without an interval both its ends are 0."""
    low, high = row.get("low"), row.get("high")
    interval = (0.0, 0.0) if low is None or high is None else (low - row["predicted"], high - row["predicted"])
    return *interval, row["measured"] - row["predicted"]


def _interval(row: dict[str, Any], level: float) -> str:
    if row.get("low") is None or row.get("high") is None:
        return ", without an interval"
    return f" ({percent_text(level)} interval {nats_text(row['low'])} to {nats_text(row['high'])})"


def offset_panel(
    rows: list[dict[str, Any]], labels: list[str], said: list[str], heading: str, what: str, level: float, left: int
) -> Panel:
    """Rows {predicted, low, high, measured, inside} of a comparison relative to the prediction, in nats per token.

    So sizes and options share one axis. ``labels`` stand at the left in ``left`` pixels, ``said`` is what each row is
    where it is pointed at, ``what`` the loss that was measured.
    """
    offsets = [_offset(row) for row in rows]
    places = list(range(len(rows), 0, -1))
    widest = max(max(abs(value) for value in offset) for offset in offsets) * 1.08 or 0.001
    height = 74 + ROW_PIXELS * len(rows)
    x = axis("measured minus predicted, nats per token", nats_ticks(-widest, widest, 5),
             lambda v: nats_short(v, signed=True), [-widest, widest])  # fmt: skip
    y = axis("", [float(p) for p in places], lambda p: labels[len(rows) - round(p)], [0.4, len(rows) + 0.6])
    y |= {"showgrid": False, "tickfont": {"size": 11.5, "color": INK[0]}}
    verdicts = [
        {"x": 1.015, "xref": "paper", "y": place, "xanchor": "left", "yanchor": "middle", "showarrow": False,
         "text": VERDICTS[row.get("inside")][0], "font": {"size": 11.5, "color": VERDICTS[row.get("inside")][2]}}
        for row, place in zip(rows, places, strict=True)
    ]  # fmt: skip
    centre = vertical_line(0, {"width": 1, "color": INK[0]})
    drawn = layout(x, y, height=height, left=left, right=76, top=8, annotations=verdicts, shapes=[centre])
    inside, outside = (sum(row.get("inside") is flag for row in rows) for flag in (True, False))
    label = (
        f"Measured minus predicted {what} for {len(rows)} measurements: {inside} inside their interval, "
        f"{outside} outside."
    )
    return Panel(heading, label, to_json(_traces(rows, said, offsets, places, level), drawn), height)


def _traces(rows: list[dict[str, Any]], said: list[str], offsets: list[tuple[float, float, float]], places: list[int],
            level: float) -> list[dict[str, Any]]:  # fmt: skip
    bars: dict[str, list[float | None]] = {"x": [], "y": []}
    for (low, high, _), place in zip(offsets, places, strict=True):
        bars["x"] += [low, high, None]
        bars["y"] += [place, place, None]
    interval = {"type": "scatter", "mode": "lines", **bars, "hoverinfo": "skip",
                "line": {"width": 9, "color": faint(INK[0], 0.16)}}  # fmt: skip
    texts = [
        f"{what}<br>predicted {nats_text(row['predicted'])}{_interval(row, level)}"
        f"<br>measured {nats_text(row['measured'])}"
        for row, what in zip(rows, said, strict=True)
    ]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [measured for *_, measured in offsets],
        "y": places,
        "marker": {
            "opacity": 1,
            "size": [11 if row.get("inside") is False else 9 for row in rows],
            "symbol": [VERDICTS[row.get("inside")][1] for row in rows],
            "color": [VERDICTS[row.get("inside")][2] for row in rows],
        },
        "hoverinfo": "text",
        "text": texts,
    }
    return [interval, points]
