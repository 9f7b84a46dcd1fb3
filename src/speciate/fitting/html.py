"""A fit as a notebook shows it. Colours are the notebook's own, so that light and dark both do."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from speciate.fitting.result import Fit
from speciate.fitting.words import amount, constants_of, evidence, many, noise_words, span, value_text

LEFT = "text-align:left;padding:.15em .9em .15em 0;vertical-align:top;background:none"
RIGHT = "text-align:right;padding:.15em .9em .15em 0;vertical-align:top;background:none;white-space:nowrap"
RULE = "border-bottom:1px solid currentColor"
FAINT = "opacity:.7"


def as_html(fit: Fit) -> str:
    """The law, its parameters in a table, what they rest on, the status; everything escaped."""
    scales = [f"{name} in units of {scale:g}" for name, scale in fit.scales.items() if scale != 1]
    rows = [
        line(p.name, fit.parameters[p.name], "" if p.unit == "1" else p.unit, p.meaning) for p in fit.law.parameters
    ]
    rows += [line(name, found, "", "as the source writes it") for name, found in constants_of(fit).items()]
    heads = (("", LEFT), ("value", RIGHT), (f"{fit.level:.0%} interval", LEFT), ("unit", LEFT), ("", LEFT))
    head = "".join(f'<th style="{style};{RULE}">{escape(text)}</th>' for text, style in heads)
    return (
        '<div style="max-width:64em;line-height:1.4">'
        f"<div><b>{escape(fit.law_name)}</b>&ensp;<code>{escape(fit.law.formula)}</code></div>"
        f"{faint('; '.join(scales))}"
        f'<table style="border-collapse:collapse;margin:.5em 0;border:none">'
        f'<thead><tr style="background:none">{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"{''.join(f'<div>{escape(text)}</div>' for text in said(fit))}"
        f"<div><b>{escape(fit.status)}</b></div></div>"
    )


def line(name: str, found: Mapping[str, float | None], unit: str, meaning: str) -> str:
    """One parameter."""
    cells = (
        (f"<code>{escape(name)}</code>", LEFT),
        (value_text(found), RIGHT),
        (escape(span(found["low"], found["high"])), f"{LEFT};white-space:nowrap"),
        (escape(unit), LEFT),
        (escape(meaning), f"{LEFT};{FAINT}"),
    )
    row = "".join(f'<td style="{style}">{text}</td>' for text, style in cells)
    return f'<tr style="background:none">{row}</tr>'


def said(fit: Fit) -> list[str]:
    """What the fit rests on, and what was left out of it."""
    told = [evidence(fit)]
    if noise := noise_words(fit.noise):
        told.append(f"noise: {noise}")
    if fit.holdout is not None:
        told.append(
            f"held out: {many(fit.holdout.rows, 'row')}, typical error {amount(fit.holdout.mae, fit.holdout.mre)}"
        )
    told += [f"left out: {many(count, 'row')} where {why}" for why, count in fit.left_out.items()]
    return [*told, *fit.notes]


def faint(text: str) -> str:
    """A line of lesser weight, or nothing."""
    return f'<div style="{FAINT}">{escape(text)}</div>' if text else ""
