"""A fit as a figure: what was measured beside what the law says, and what is left over."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from speciate.errors import Problem, UserError
from speciate.fitting.result import Fit, Shown
from speciate.laws.law import Array

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BARS = 40  # rows whose interval is drawn, where a band cannot be
CURVE = 200  # points of a curve
RUNNING = 31  # points of a band that are averaged: each has noise drawn for itself
WIDE = 20.0  # largest over smallest input from which an axis is logarithmic
TALL = 3.0  # the same of outputs: sooner, as power laws are straight there
LINE = 110  # characters of the title in one line
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SHARES = ("accuracy", "chance", "domain_ratio")  # 0..1: never on a logarithmic axis

Trace = dict[str, Any]


@dataclass(frozen=True)
class Paint:
    """Colours on one ground: text, lesser text, grid, ground, intervals, and a scale from low to high."""

    ink: str
    muted: str
    grid: str
    ground: str
    band: str
    scale: tuple[str, ...]


LIGHT = Paint("#1d1c1a", "#66625b", "#e7e3da", "#fcfbf8", "rgba(29,28,26,0.16)",
              ("#02468b", "#4839a8", "#75339d", "#992e83", "#b4305d", "#c0402a", "#a85d00"))  # fmt: skip
DARK = Paint("#edebe6", "#a5a199", "#2f2e2b", "#161615", "rgba(237,235,230,0.2)",
             ("#4f9cf9", "#8f8cfe", "#c785f5", "#f483d7", "#ff8a9f", "#ff9f6e", "#f2bd5c"))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawing:
    """What the panels share: the fit, its rows, the inputs that vary, the colours, where intervals are drawn.

    ``places`` are inputs, ``value``, ``low`` and ``high`` the law there (low and high None without an interval):
    along a law of one input, at some rows of another.
    """

    fit: Fit
    rows: Shown
    inputs: tuple[str, ...]
    paint: Paint
    places: dict[str, Array]
    value: Array
    low: Array | None
    high: Array | None

    @property
    def alone(self) -> bool:
        return len(self.inputs) == 1

    def interval(self, across: Array, low: Array, high: Array) -> Trace:
        """The intervals as a band, or as a bar each."""
        held = f"{self.fit.level:.0%} of new measurements"
        if self.alone:
            return {"x": np.concatenate([across, across[::-1]]), "y": np.concatenate([high, low[::-1]]), "name": held,
                    "mode": "lines", "fill": "toself", "fillcolor": self.paint.band, "line": {"width": 0},
                    "hoverinfo": "skip"}  # fmt: skip
        gap = np.full(len(across), np.nan)
        held += f", at {len(across)} rows" if len(across) < len(self.rows.y) else ""
        return {"x": np.stack([across, across, gap], axis=1).ravel(), "y": np.stack([low, high, gap], axis=1).ravel(),
                "name": held, "mode": "lines", "line": {"color": self.paint.band, "width": 6},
                "hoverinfo": "skip"}  # fmt: skip


def drawing_of(fit: Fit, rows: Shown, paint: Paint) -> Drawing:
    """The law where its intervals are drawn: along its only input that varies, or at rows from low to high."""
    names = [given.name for given in fit.law.inputs]
    varying = tuple(name for name in names if np.ptp(rows.x[name]) > 0) or (names[0],)
    if len(varying) == 1:
        values, low, high = rows.x[varying[0]], rows.x[varying[0]].min(), rows.x[varying[0]].max()
        grid = (np.geomspace if is_wide(varying[0], values, WIDE) else np.linspace)(low, high, CURVE)
        places = {name: grid if name == varying[0] else np.full(CURVE, rows.x[name][0]) for name in names}
    else:
        order = np.argsort(rows.predicted, kind="stable")
        some = np.unique(np.linspace(0, len(order) - 1, min(BARS, len(order))).round().astype(int))
        places = {name: rows.x[name][order[some]] for name in names}
    found = fit.predict(**places)
    value, low, high = np.asarray(found.value), found.low, found.high
    if len(varying) == 1 and low is not None:
        low, high = smooth(low, value), smooth(high, value)
    return Drawing(fit, rows, varying, paint, places, value, low, high)


def smooth(end: Array, value: Array) -> Array:
    """One end of a band (CURVE,) without the chance of the draws: its distance from the law as a running mean."""
    relative = bool((value > 0).all())
    distance = np.pad(end / value if relative else end - value, RUNNING // 2, mode="edge")
    mean = np.convolve(distance, np.full(RUNNING, 1 / RUNNING), mode="valid")
    return mean * value if relative else mean + value


def figure(fit: Fit, dark: bool = False) -> Figure:
    """Left: a law of one input as a curve with its band, else measured against predicted. Right: residuals.

    Bands and bars hold ``fit.level`` of new measurements. Residuals are in % of the prediction where all
    values are above 0, else in the output's unit, against the first input that varies, coloured by the second.

    Raises UserError where plotly is not installed, or where the fit has no rows.
    """
    try:
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots
    except ModuleNotFoundError:
        missing = Problem("plotly is not installed", "this Python environment", "pip install 'speciate[report]'")
        raise UserError(missing) from None
    if fit.shown is None:
        raise UserError(Problem("the fit has no rows to draw", "plot", "fit it anew"))
    drawing = drawing_of(fit, fit.shown, DARK if dark else LIGHT)
    drawn = make_subplots(rows=1, cols=2, horizontal_spacing=0.11)
    for column, panel in enumerate((curve if drawing.alone else against, residuals), start=1):
        traces, across, upward = panel(drawing)
        drawn.add_traces([go.Scatter(trace) for trace in traces], rows=1, cols=column)
        drawn.update_xaxes(across, row=1, col=column)
        drawn.update_yaxes(upward, row=1, col=column)
    return drawn.update_layout(layout(drawing))


def curve(drawing: Drawing) -> tuple[list[Trace], Trace, Trace]:
    """The law of one input through its rows, with the interval of a new measurement."""
    rows, paint, name, output = drawing.rows, drawing.paint, drawing.inputs[0], drawing.fit.law.output
    grid = drawing.places[name]
    traces: list[Trace] = []
    if drawing.low is not None and drawing.high is not None:
        traces.append(drawing.interval(grid, drawing.low, drawing.high))
    traces.append({"x": grid, "y": drawing.value, "mode": "lines", "line": {"color": paint.ink, "width": 1.5},
                   "name": drawing.fit.law_name, "hoverinfo": "skip"})  # fmt: skip
    traces.append(points(drawing, rows.x[name], rows.y, "measured"))
    across = axis(name, paint, log=is_wide(name, rows.x[name], WIDE))
    return traces, across, axis(f"{output}{on(drawing.fit)}", paint, log=is_wide(output, rows.y, TALL))


def against(drawing: Drawing) -> tuple[list[Trace], Trace, Trace]:
    """Measured against predicted, with the intervals of some rows about the diagonal."""
    rows, paint, output = drawing.rows, drawing.paint, drawing.fit.law.output
    ends = [rows.y.min(), rows.y.max(), rows.predicted.min(), rows.predicted.max()]
    traces: list[Trace] = []
    if drawing.low is not None and drawing.high is not None:
        traces.append(drawing.interval(drawing.value, drawing.low, drawing.high))
        ends += [drawing.low.min(), drawing.high.max()]
    diagonal = [float(min(ends)), float(max(ends))]
    traces.append({"x": diagonal, "y": diagonal, "mode": "lines", "line": {"color": paint.ink, "width": 1},
                   "name": "measured = predicted", "hoverinfo": "skip"})  # fmt: skip
    traces.append(points(drawing, rows.predicted, rows.y, "measured") | {"showlegend": False})
    log = is_wide(output, np.array(diagonal), TALL)
    upward = axis(f"measured {output}{on(drawing.fit)}", paint, log=log)
    return traces, axis(f"predicted {output}", paint, log=log), upward


def residuals(drawing: Drawing) -> tuple[list[Trace], Trace, Trace]:
    """Measured less predicted along the first input, with the same intervals."""
    rows, paint, name = drawing.rows, drawing.paint, drawing.inputs[0]
    relative = bool((rows.y > 0).all() and (rows.predicted > 0).all() and (drawing.value > 0).all())

    def off(value: Array, predicted: Array) -> Array:
        return 100 * (value / predicted - 1) if relative else value - predicted

    traces: list[Trace] = []
    if drawing.low is not None and drawing.high is not None:
        low, high = (off(end, drawing.value) for end in (drawing.low, drawing.high))
        traces.append(drawing.interval(drawing.places[name], low, high))
    traces.append(points(drawing, rows.x[name], off(rows.y, rows.predicted), "residual"))
    title = "measured above predicted, %" if relative else f"measured less predicted {drawing.fit.law.output}"
    across = axis(name, paint, log=is_wide(name, rows.x[name], WIDE))
    upward = axis(title, paint) | {"zeroline": True, "zerolinecolor": paint.ink, "zerolinewidth": 1}
    return [trace | {"showlegend": False} for trace in traces], across, upward


def points(drawing: Drawing, across: Array, upward: Array, name: str) -> Trace:
    """The rows as points, coloured by the second input that varies if there is one, with all of a row on hovering."""
    rows, paint = drawing.rows, drawing.paint
    marker: Trace = {"size": 7 if len(across) < 300 else 5, "opacity": 0.85, "line": {"width": 0}}
    if not drawing.alone:
        values = rows.x[drawing.inputs[1]]
        log = is_wide(drawing.inputs[1], values, WIDE)
        marker |= {"color": np.log10(values) if log else values, "coloraxis": "coloraxis"}
    else:
        marker |= {"color": paint.scale[0]}
    output = drawing.fit.law.output
    told = [
        "<br>".join([*(f"{key} {values[i]:.4g}" for key, values in rows.x.items()),
                     f"{output} {rows.y[i]:.5g}", f"predicted {rows.predicted[i]:.5g}"])
        for i in range(len(rows.y))
    ]  # fmt: skip
    return {"x": across, "y": upward, "mode": "markers", "marker": marker, "name": name, "text": told,
            "hovertemplate": "%{text}<extra></extra>"}  # fmt: skip


def layout(drawing: Drawing) -> Trace:
    """Title with the law and the status, ground, legend, and the scale of the colours."""
    fit, paint = drawing.fit, drawing.paint
    lines = textwrap.wrap(fit.law.formula, LINE) + textwrap.wrap(fit.status, LINE)
    small = "<br>".join(escape(line) for line in lines)
    title = f"<b>{escape(fit.law_name)}</b><br><span style='font-size:12px;color:{paint.muted}'>{small}</span>"
    found: Trace = {
        "title": {"text": title, "font": {"size": 16, "color": paint.ink}, "x": 0.01, "xanchor": "left",
                  "y": 0.97, "yref": "container", "yanchor": "top"},
        "height": 430 + 16 * len(lines),
        "margin": {"l": 60, "r": 20, "t": 56 + 16 * len(lines), "b": 60},
        "font": {"family": FONT, "size": 12, "color": paint.ink},
        "paper_bgcolor": paint.ground,
        "plot_bgcolor": paint.ground,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"color": paint.muted}},
    }  # fmt: skip
    if not drawing.alone:
        found["coloraxis"] = colours(drawing)
    return found


def colours(drawing: Drawing) -> Trace:
    """The scale of the second input that varies; its ticks are the values themselves where they are few."""
    name, paint = drawing.inputs[1], drawing.paint
    values = drawing.rows.x[name]
    log, few = is_wide(name, values, WIDE), np.unique(values)
    if len(few) > 7:
        few = np.geomspace(few[0], few[-1], 5) if log else np.linspace(few[0], few[-1], 5)
    places = np.log10(few) if log else few
    grey = {"color": paint.muted}
    ticks = {"tickvals": places, "ticktext": [short(value) for value in few], "tickfont": grey}
    bar = ticks | {"title": {"text": escape(name), "font": grey}, "thickness": 12, "outlinewidth": 0}
    return {"colorscale": list(paint.scale), "colorbar": bar}


def axis(title: str, paint: Paint, log: bool = False) -> Trace:
    """An axis in the figure's colours."""
    return {
        "title": {"text": escape(title), "font": {"color": paint.muted}, "standoff": 8},
        "type": "log" if log else "linear",
        "exponentformat": "B",
        "tickfont": {"color": paint.muted},
        "gridcolor": paint.grid,
        "zeroline": False,
        "nticks": 7,
    }


def is_wide(name: str, values: Array, ratio: float) -> bool:
    """Whether positive values spread so far that a logarithmic axis reads better."""
    share = name in SHARES or name.startswith("share_")
    return bool(not share and values.min() > 0 and values.max() / values.min() > ratio)


def on(fit: Fit) -> str:
    """The evaluation set, if it has a name."""
    return f" on {fit.eval_on}" if fit.eval_on else ""


def short(value: float) -> str:
    """A number with its magnitude.

    >>> [short(v) for v in (1.2e9, 318e9, 0.25, 15000)]
    ['1.2B', '318B', '0.25', '15k']
    """
    for unit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if 0.995 * unit <= abs(value) < 995 * unit:
            return f"{value / unit:.3g}{suffix}" if abs(value) >= 99.5 * unit else f"{value / unit:.2g}{suffix}"
    return f"{value:.2g}"
