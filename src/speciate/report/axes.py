"""Axes, ticks and the layout that all figures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from speciate.report.numbers import count_text
from speciate.report.palette import GRID, INK, MUTED

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Panel:
    """One plot: a heading, a description for who cannot see it, and plotly's JSON."""

    heading: str
    label: str
    figure: dict[str, Any]
    height: int = 300


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from ``low`` to ``high``, at most ``most`` of them, at steps of 1, 2, 2.5 or 5.

    >>> nice_ticks(0.0, 0.11)
    [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]
    """
    if not high > low:
        return [low]
    magnitude = 10 ** math.floor(math.log10((high - low) / most))
    step = next(magnitude * m for m in (1, 2, 2.5, 5, 10, 20) if (high - low) / (magnitude * m) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def nats_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values of a loss that three decimals can write.

    >>> nats_ticks(-0.006, 0.006, 5), nice_ticks(-0.006, 0.006, 5)
    ([-0.005, 0.0, 0.005], [-0.005, -0.0025, 0.0, 0.0025, 0.005])
    """
    return [tick for tick in nice_ticks(low, high, most) if abs(1000 * tick - round(1000 * tick)) < 1e-6]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values on a logarithmic axis: 1-2-5, else 1-3, else powers of ten.

    >>> log_ticks(20e3, 2.4e6)
    [30000.0, 100000.0, 300000.0, 1000000.0]
    """
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [d * 10.0**p for p in powers for d in digits if low * 0.999 <= d * 10.0**p <= high * 1.001]
        if len(found) <= most:
            break
    return found


def is_wide(values: Sequence[float]) -> bool:
    """Whether positive values spread so far that a logarithmic axis reads better."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) / min(positive) > 20


def tokens_axis(low: float, high: float, title: str, *, log: bool, most: int = 6) -> dict[str, Any]:
    """An axis of token counts, written 300k, 1M, 3M."""
    ticks = log_ticks(low, high, most) if log else nice_ticks(low, high, most)
    span = [math.log10(low * 0.88), math.log10(high * 1.06)] if log else [low - 0.02 * (high - low), high * 1.02]
    return axis(title, ticks, count_text, span) | {"type": "log" if log else "linear"}


def axis(title: str, ticks: Sequence[float], text: Callable[[float], str], span: Sequence[float]) -> dict[str, Any]:
    """An axis with ticks that we write ourselves; fixed, so that a thumb scrolls the page and not the plot."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": MUTED[0]}, "standoff": 8},
        "tickvals": list(ticks),
        "ticktext": [text(tick) for tick in ticks],
        "tickfont": {"size": 11.5, "color": MUTED[0]},
        "range": list(span),
        "fixedrange": True,
        "gridcolor": GRID[0],
        "zeroline": False,
        "ticks": "",
        "showline": False,
    }


def layout(x: dict[str, Any], y: dict[str, Any], *, height: int, right: int = 52, left: int = 48, top: int = 26,
           **more: Any) -> dict[str, Any]:  # fmt: skip
    """Transparent ground, our font, room on the right for the curves' own labels."""
    return {
        "xaxis": x,
        "yaxis": y,
        "height": height,
        "margin": {"l": left, "r": right, "t": top, "b": 46},
        "font": {"family": FONT, "size": 12, "color": INK[0]},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "hoverlabel": {"font": {"family": FONT, "size": 12}},
    } | more


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels that belong at ``values``: at least ``gap`` apart, in order, moved as little as needed.

    >>> spread([1.0, 1.0, 3.0], 0.5)
    [0.75, 1.25, 3.0]
    """
    groups: list[list[int]] = [[index] for index in sorted(range(len(values)), key=lambda i: values[i])]

    def centre(group: list[int]) -> float:
        return sum(values[i] for i in group) / len(group)

    def overlap(below: list[int], above: list[int]) -> bool:
        return centre(above) - centre(below) < gap * (len(below) + len(above)) / 2 - 1e-12

    at = 0
    while at < len(groups) - 1:
        if overlap(groups[at], groups[at + 1]):
            groups[at : at + 2] = [groups[at] + groups[at + 1]]
            at = max(at - 1, 0)
        else:
            at += 1
    places = [0.0] * len(values)
    for group in groups:
        for rank, index in enumerate(group):
            places[index] = centre(group) + (rank - (len(group) - 1) / 2) * gap
    return places
