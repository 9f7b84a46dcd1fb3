"""Tables of the page, as HTML; every cell that comes from a file is escaped here."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any

from speciate.report.evidence import Evidence, continued_rows
from speciate.report.numbers import MISSING, count_text, nats_text, number_of, percent_text, ratio_text, tokens_text
from speciate.report.sentences import is_decided
from speciate.report.study_files import StudyFiles


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int]) -> str:
    """An HTML table that scrolls where it is too wide; cells are HTML already, columns in ``numbers`` align right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kinds = [' class="number"' if at in numbers else "" for at in range(len(row))]
        return "".join(f"<{tag}{scope}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<p class="key">{escape(caption)}</p>\n'
        f'<div class="scroll" tabindex="0"><table aria-label="{escape(caption)}">'
        f"<thead><tr>{cells('th', head)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def mark(good: bool, yes: str, no: str) -> str:
    """A verdict in words, symbol and colour."""
    return f'<span class="good">✓ {yes}</span>' if good else f'<span class="bad">✕ {no}</span>'


def ratio_table(evidence: Evidence) -> str:
    """Every ratio of every size: feasible or not, where it turns down, what it changes at the horizon."""
    rows = []
    chances = any(row.get("probability") is not None for m in evidence.models for row in m.get("ratios") or [])
    for model in evidence.models:
        for row in sorted(model.get("ratios") or [], key=lambda row: float(row["domain_ratio"])):
            turning, feasible = row.get("turning_tokens"), row.get("feasible")
            rows.append(
                [
                    count_text(model["params"]),
                    ratio_text(row["domain_ratio"]),
                    MISSING if feasible is None else mark(bool(feasible), "feasible", "too much"),
                    *([_chance(row.get("probability"))] if chances else []),
                    _turning(turning, model.get("horizon_tokens")),
                    _change(row.get("general_change")),
                    _change(row.get("domain_change")),
                ]
            )
    head = ["Parameters", "Domain share", "Feasible?", *(["Chance that it is"] if chances else []),
            "General loss turns down at", "General change", "Domain change"]  # fmt: skip
    caption = "Changes are in nats per token at the horizon, against the starting model."
    return table(caption, head, rows, numbers={1, *range(3, len(head))})


def _chance(probability: float | None) -> str:
    """A probability from draws, which never proves 0 or 1."""
    if probability is None:
        return MISSING
    if probability < 0.01:
        return f"under {percent_text(0.01)}"
    return f"over {percent_text(0.99)}" if probability > 0.99 else percent_text(probability)


def _turning(turning: float | None, horizon: float | None) -> str:
    if turning is None:
        return "does not turn down"
    if turning == 0:
        return "from the start"
    late = " (after the horizon)" if horizon and turning > horizon else ""
    return f"{tokens_text(turning)}{late}"


def _change(value: float | None) -> str:
    return MISSING if value is None else nats_text(value, signed=True)


def prediction_table(evidence: Evidence) -> str:
    """Every sealed prediction with what was measured."""
    rows = [
        [
            count_text(row["params"]),
            ratio_text(row["domain_ratio"]),
            tokens_text(row["tokens"]),
            escape(str(row["eval_on"])),
            nats_text(row["predicted"]),
            f"{nats_text(row['low'])} to {nats_text(row['high'])}" if row.get("low") is not None else MISSING,
            MISSING if row.get("measured") is None else nats_text(row["measured"]),
            MISSING if row.get("inside") is None else mark(bool(row["inside"]), "inside", "outside"),
        ]
        for row in (evidence.comparison or {}).get("rows") or []
    ]
    head = ["Parameters", "Domain share", "After", "Loss on", "Predicted", "Interval", "Measured", "Verdict"]
    return table("Losses in nats per token.", head, rows, numbers={1, 2, 4, 5, 6})


def provenance_list(evidence: Evidence) -> str:
    """What the page rests on: seal, rows, versions."""
    plan = evidence.plan or {}
    rows: list[tuple[str, Any]] = [
        *seal_facts(evidence),
        ("General text, domain text", f"{evidence.general}, {evidence.domain}" if evidence.plan else None),
        ("Ledger", _ledger_text(evidence)),
        ("Sealed predictions", number_of(len(plan["predictions"]), "row") if plan.get("predictions") else None),
        ("Versions", versions_text()),
    ]
    return definitions(rows)


def seal_facts(files: StudyFiles) -> list[tuple[str, Any]]:
    """When the plan was sealed, with what, on which rows."""
    plan = files.plan or {}
    return [
        ("Plan sealed at", plan.get("sealed_at")),
        ("Seal (SHA-256 of the plan)", plan.get("seal")),
        ("Rows it was fitted on (SHA-256)", plan.get("fitted_rows_sha256")),
    ]


def versions_text() -> str:
    """Names and versions on one line."""
    return ", ".join(f"{name} {version}" for name, version in versions())


def definitions(rows: Iterable[tuple[str, Any]]) -> str:
    """Names and what they are, as a list; a value that is missing is a dash."""
    items = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value)) if value else MISSING}</dd></div>" for name, value in rows
    )
    return f'<dl class="provenance">\n{items}\n</dl>'


def _ledger_text(evidence: Evidence) -> str | None:
    if evidence.ledger is None:
        return None
    rows = number_of(len(evidence.ledger), "measurement")
    runs = number_of(int(evidence.ledger["run"].nunique()), "run")
    return f"{rows} of {runs}, {len(continued_rows(evidence.ledger)):,} of them in the stage that is decided"


def versions() -> list[tuple[str, str]]:
    """Versions of what made the study, as far as installed here."""
    found = [("python", platform.python_version())]
    for name in ("speciate", "torch", "transformers", "numpy", "plotly"):
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def decision_strips(evidence: Evidence) -> str:
    """For each size a scale from 0 to 100 %: the interval as a bar, the decision as a mark, tried ratios as ticks."""
    return "\n".join(_strip(model, evidence.level) for model in evidence.models)


def _strip(model: dict[str, Any], level: float) -> str:
    size = f"{count_text(model['params'])} parameters"
    said, value = f"{size}: not decidable", model.get("critical_ratio")
    low, high = (model.get("low"), model.get("high")) if is_decided(model) else (None, None)
    if is_decided(model):
        said = f"{size}: up to {percent_text(model['critical_ratio'])}"
        if low is not None and high is not None:
            said += f", {percent_text(level)} interval {percent_text(low)} to {percent_text(high)}"
    ratios = sorted(model.get("ratios") or [], key=lambda row: float(row["domain_ratio"]))
    kinds = [{True: ("good", "✓"), False: ("bad", "✕")}.get(row.get("feasible"), ("unknown", "?")) for row in ratios]
    ticks = [
        (float(row["domain_ratio"]), kind, sign, ratio_text(float(row["domain_ratio"])))
        for row, (kind, sign) in zip(ratios, kinds, strict=True)
    ]
    answer = percent_text(value) if value is not None else "not decidable"
    return strip(size, answer, said, value if is_decided(model) else None, (low, high), ticks)


def strip(
    name: str,
    answer: str,
    said: str,
    at: float | None,
    interval: tuple[float | None, float | None],
    ticks: Sequence[tuple[float, str, str, str]],
) -> str:
    """A scale from 0 to 1: ``interval`` as a bar, ``at`` as a mark, ``ticks`` (place, class, sign, label) below it."""
    parts = []
    low, high = interval
    if low is not None and high is not None:
        left, width = 100 * max(0.0, low), 100 * (min(1.0, high) - max(0.0, low))
        parts.append(f'<i class="bar" style="left:{left:.2f}%;width:{width:.2f}%"></i>')
    if at is not None:
        parts.append(f'<i class="point" style="left:{100 * at:.2f}%"></i>')
    levels = label_levels([tick[0] for tick in ticks])
    for (place, kind, sign, label), level in zip(ticks, levels, strict=True):
        where = f"left:{100 * place:.2f}%;--level:{level}"
        parts.append(f'<b class="{kind}" style="{where}">{sign}<span>{escape(label)}</span></b>')
    scale = f'<div class="scale" style="--levels:{max(levels, default=0)}" role="img" aria-label="{escape(said)}">'
    return (
        f'<div class="strip"><div class="size">{escape(name)} <strong>{escape(answer)}</strong></div>'
        f"{scale}{''.join(parts)}</div></div>"
    )


def label_levels(ratios: Sequence[float], apart: float = 0.14) -> list[int]:
    """On which line below the scale each label stands, so that labels on one line are ``apart`` (of the scale).

    >>> label_levels([0.1, 0.2, 0.25, 0.5])
    [0, 1, 0, 0]
    """
    ends: list[float] = []
    levels = []
    for ratio in ratios:
        free = [level for level, end in enumerate(ends) if ratio >= end - 1e-9]
        level = free[0] if free else len(ends)
        ends[level : level + 1] = [ratio + apart]
        levels.append(level)
    return levels
