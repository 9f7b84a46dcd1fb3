"""The pieces that every page is put together from, and the page as one file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from speciate.report.axes import Panel

VERDICT_CLASS = {"✓": ' class="good"', "✕": ' class="bad"'}


def page(
    *,
    study: str,
    decided: bool,
    headline: str,
    meaning: str,
    strips: str,
    facts: str,
    sections: Iterable[str],
    steps: Iterable[str],
    provenance: str,
    figures: Mapping[str, Any],
    dark: Mapping[str, str],
) -> str:
    """The whole page. ``study`` and ``steps`` are plain text, the other pieces HTML; empty sections are left out.

    ``figures``: plotly's JSON by the id of the plot; ``dark``: the dark colour for every light one.
    """
    from plotly.offline import get_plotlyjs

    return Template(asset("page.html")).substitute(
        study=escape(study),
        css=asset("page.css"),
        verdict="decided" if decided else "undecided",
        headline=headline,
        meaning=meaning,
        strips=strips,
        facts=facts,
        sections="\n".join(section for section in sections if section),
        steps="\n".join(f"<li>{with_code(step)}</li>" for step in steps),
        provenance=provenance,
        plotly=get_plotlyjs(),
        data=script_json({"figures": figures, "dark": dark}),
        script=asset("page.js"),
    )


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: no "<" is left in it, so nothing can close or open one.

    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c")


def with_code(text: str) -> str:
    """Escaped text with what stands between backticks set as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def asset(name: str) -> str:
    """The text of a file that comes with the page."""
    return files("speciate.report").joinpath("assets", name).read_text(encoding="utf-8")


def facts_list(facts: Iterable[tuple[str, tuple[str, str]]]) -> str:
    """(name, (figure, note)) beside each other; a figure that begins with a verdict's sign has its colour."""
    return "\n".join(
        f"<div><dt>{name}</dt><dd><strong{VERDICT_CLASS.get(figure[:1], '')}>{escape(figure)}</strong> "
        f"{escape(note)}</dd></div>"
        for name, (figure, note) in facts
    )


def section(title: str, lead: str, body: str) -> str:
    """A section of the page; ``lead`` and ``body`` are HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n<p>{lead}</p>\n{body}\n</section>"


def grid(panels: Sequence[Panel], prefix: str, figures: dict[str, Any], *, wide: bool = False) -> str:
    """Plots side by side where there is room; the figures themselves go into the page's one JSON."""
    drawn = []
    for index, panel in enumerate(panels):
        name = f"{prefix}-{index}"
        figures[name] = panel.figure
        heading = f"<figcaption>{escape(panel.heading)}</figcaption>" if panel.heading else ""
        drawn.append(
            f'<figure>{heading}<div class="plot" id="{name}" role="img" style="height:{panel.height}px" '
            f'aria-label="{escape(panel.label)}"></div></figure>'
        )
    return f'<div class="panels{" wide" if wide else ""}">\n' + "\n".join(drawn) + "\n</div>"
