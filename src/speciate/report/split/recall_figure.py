"""Facts known by heart against the share of the budget that the seed gets (figure 2 of Seto et al. 2603.19149)."""

from __future__ import annotations

from typing import Any

from speciate.report.axes import Panel, axis, layout
from speciate.report.drawing import end_labels, line, to_json
from speciate.report.numbers import count_text, percent_text, ratio_text, tokens_text
from speciate.report.palette import GROUND, MARKERS
from speciate.report.split.budget_figure import ENDS, budget_colours
from speciate.report.split.evidence import SplitEvidence

HEIGHT = 340
LOW, HIGH = -0.04, 1.04


def recall_panels(evidence: SplitEvidence) -> list[Panel]:
    """One panel for each size: exact answers at equal total tokens. None where no facts were asked."""
    return [_panel(evidence, float(size)) for size in sorted(evidence.recalls["params"].unique())]


def _panel(evidence: SplitEvidence, params: float) -> Panel:
    points = evidence.recalls[evidence.recalls["params"] == params]
    colours = {budget: pair[0] for budget, pair in zip(evidence.budgets, budget_colours(evidence), strict=True)}
    traces: list[dict[str, Any]] = []
    ends: dict[str, tuple[float, str]] = {}
    best: list[str] = []
    for place, budget in enumerate(evidence.budgets):
        mine = points[points["budget"] == budget]
        if mine.empty:
            continue
        means = mine.groupby("share")["accuracy"].mean()
        shares, values = [float(share) for share in means.index], [float(value) for value in means]
        traces.append(line(shares, values, colours[budget], [""] * len(shares)) | {"hoverinfo": "skip"})
        traces.append(_measured(mine, budget, colours[budget], MARKERS[place % len(MARKERS)]))
        ends[count_text(budget)] = (values[-1], colours[budget])
        most = max(values)
        best.append(f"{percent_text(most)} at {ratio_text(shares[values.index(most)])} of {tokens_text(budget)}")
    x = axis("share of the total tokens that the seed gets", [0.0, 0.25, 0.5, 0.75, 1.0],
             lambda share: f"{percent_text(share)}{'<br>' + ENDS[share] if share in ENDS else ''}",
             [-0.035, 1.035])  # fmt: skip
    y = axis("facts answered exactly", [0.0, 0.25, 0.5, 0.75, 1.0], percent_text, [LOW, HIGH])
    drawn = layout(x, y, height=HEIGHT, annotations=end_labels(ends, (HIGH - LOW) / (HEIGHT - 92)), right=58)
    drawn["margin"]["b"] = 74
    size = count_text(params)
    label = f"Facts that the {size}-parameter model knows by heart against the seed's share of the total. Most: "
    return Panel(f"{size} parameters", f"{label}{'; '.join(best)}.", to_json(traces, drawn), HEIGHT)


def _measured(rows: Any, budget: float, colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(share) for share in rows["share"]],
        "y": [float(accuracy) for accuracy in rows["accuracy"]],
        "marker": {
            "size": 8,
            "opacity": 1,
            "color": colour,
            "symbol": symbol,
            "line": {"width": 0.8, "color": GROUND[0]},
        },
        "hoverinfo": "text",
        "text": [
            f"{tokens_text(budget)} in all, {percent_text(share)} to the seed<br>{percent_text(accuracy)} of the facts"
            for share, accuracy in zip(rows["share"], rows["accuracy"], strict=True)
        ],
    }
