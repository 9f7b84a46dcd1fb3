"""Predicted against measured: every option that was carried out at the same total of tokens."""

from __future__ import annotations

from html import escape
from typing import Any

from speciate.report.axes import Panel
from speciate.report.numbers import MISSING, count_text, nats_text, percent_text, tokens_text
from speciate.report.prediction_figure import MOST_ROWS, offset_panel
from speciate.report.split.evidence import SplitEvidence
from speciate.report.split.sentences import missing_text
from speciate.report.tables import mark, table


def outcome_panels(evidence: SplitEvidence) -> list[Panel]:
    """Intervals about each prediction, the measured loss as a point; empty before anything was carried out."""
    rows = [row for row in (evidence.comparison or {}).get("rows") or [] if row.get("measured") is not None]
    rows = sorted(rows, key=lambda row: (float(row["params"]), float(row.get("seed_tokens") or 0.0)))[:MOST_ROWS]
    if not rows:
        return []
    labels = [_label(evidence, row) for row in rows]
    said = [
        f"{count_text(row['params'])} parameters, a seed of {tokens_text(row.get('seed_tokens') or 0)}, "
        f"{tokens_text(row.get('tokens') or 0)} for each expert"
        for row in rows
    ]
    return [offset_panel(rows, labels, said, "", "mean loss", evidence.level, 124)]


def _label(evidence: SplitEvidence, row: dict[str, Any]) -> str:
    seed, total = float(row.get("seed_tokens") or 0.0), evidence.total
    if not total:
        return f"seed of {count_text(seed)}"
    chosen = any(
        one.get("chosen") and abs(float(one["seed_tokens"]) - seed) <= 1e-6 * total
        for one in (evidence.plan or {}).get("options") or []
    )
    name = "never split" if not row.get("tokens") else "split at once" if not seed else percent_text(seed / total)
    return f"<b>{name}, chosen</b>" if chosen else name


def tried_table(evidence: SplitEvidence) -> str:
    """Every option at equal total tokens: how it spends them, what was sealed, what came out."""
    given = (evidence.comparison or {}).get("tried") or []
    measured = [row["measured"] for row in given if row.get("measured") is not None]
    best = min(measured, default=None)
    rows = []
    for row in sorted(given, key=lambda row: float(row["share"])):
        found, low, high = row.get("measured"), row.get("low"), row.get("high")
        verdict = MISSING
        if found is not None and low is not None and high is not None:
            verdict = mark(low <= found <= high, "inside", "outside")
        rows.append(
            [
                percent_text(float(row["share"])),
                ("<strong>chosen</strong>, " if row.get("chosen") else "") + escape(_spent(row)),
                missing_text(row.get("predicted")),
                MISSING if low is None or high is None else f"{nats_text(low)} to {nats_text(high)}",
                missing_text(found),
                MISSING if found is None or best is None else nats_text(found - best, signed=True),
                verdict,
            ]
        )
    head = ["Seed's share", "Tokens", "Predicted", "Interval", "Measured", "Against the best", "Verdict"]
    total = f" at {tokens_text(evidence.total)} in all" if evidence.total else ""
    return table(f"Mean loss over domains, nats per token{total}.", head, rows, numbers={0, 2, 3, 4, 5})


def _spent(row: dict[str, Any]) -> str:
    seed, each = float(row["seed_tokens"]), float(row.get("expert_tokens") or 0.0)
    if each <= 0:
        return f"{count_text(seed)} for one model"
    return f"{count_text(seed)} for the seed, {count_text(each)} for each expert" if seed else (
        f"{count_text(each)} for each expert")  # fmt: skip
