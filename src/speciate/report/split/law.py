"""The law behind the decision: from which seed on splitting pays, the best share by size, rivals on rows held out."""

from __future__ import annotations

from html import escape
from typing import Any

from speciate.report.numbers import MISSING, count_text, nats_text, percent_text
from speciate.report.split.evidence import SplitEvidence
from speciate.report.tables import strip, table


def share_strips(evidence: SplitEvidence) -> str:
    """The seed's share of the total, from 0 to 100 %: decision and interval as bar and mark, what was tried below.

    Other sizes' own best shares follow, where the plan has them.
    """
    told, total = evidence.decision, evidence.total
    if not told or not total:
        return ""
    at = told.get("seed_tokens") if evidence.choice is not None else None
    low, high = (told.get("low"), told.get("high")) if at is not None else (None, None)
    share = None if at is None else float(at) / total
    interval = (None if low is None else low / total, None if high is None else high / total)
    size = f"{count_text(told['params'])} parameters"
    answer = "not decidable" if share is None else percent_text(share)
    tried = [row for row in evidence.tried if not row.get("chosen")]
    best = min((row["measured"] for row in evidence.tried), default=None)
    ticks = [
        (float(row["share"]), *(("good", "✓") if row["measured"] == best else ("unknown", "")),
         nats_text(row["measured"])) for row in tried
    ]  # fmt: skip
    said = f"{size}: {answer} of the tokens for the seed"
    rows = [strip(size, answer, said, share, interval, ticks)]
    for other in ((told.get("seed_share_by_size") or {}).get("sizes")) or []:
        if other["params"] != told["params"]:
            name, own = f"{count_text(other['params'])} parameters", percent_text(other["share"])
            ends = (other.get("low"), other.get("high"))
            rows.append(strip(name, own, f"{name}: {own} of the tokens for the seed", other["share"], ends, []))
    bar = f"Bar: {percent_text(evidence.level)} interval. Diamond: the decision. " if share is not None else ""
    key = f"The seed's share of the total, from 0 (split at once) to 100 % (never split). {bar}"
    if ticks:
        key += "Ticks: other shares that were tried, with the loss they ended at"
        key += ", ✓ the lowest of all." if any(tick[1] == "good" for tick in ticks) else "; none ended lower."
    return f'<div class="strips">{"".join(rows)}<p class="key">{key.strip()}</p></div>'


def rival_sentence(evidence: SplitEvidence) -> str:
    """Which law predicts rows held out best, as the comparison says, or why there is none; empty before it."""
    rivals = _rivals(evidence)
    if not rivals:
        given = (evidence.fits or {}).get("rivals") or {}
        reasons = [f"{law}: {why}" for law, why in (given.get("refused") or {}).items()]
        why = "; ".join(reasons) or str(given.get("status") or "")
        return f"Not compared with other laws: {why.rstrip('.')}." if why else ""
    if rivals.get("best"):
        return f"On runs held out the law {rivals['best']} predicts best, whatever is held out."
    return "No law predicts best whatever is held out, beyond chance."


def _rivals(evidence: SplitEvidence) -> dict[str, Any]:
    found = (evidence.fits or {}).get("rivals") or {}
    return found if found.get("splits") else {}


def rival_table(evidence: SplitEvidence) -> str:
    """Error of each law on the rows that it was not fitted to; empty without a comparison."""
    rows = []
    for split in _rivals(evidence).get("splits") or []:
        for score in split["scores"]:
            error, r2 = score.get("mae"), score.get("r2")
            rows.append(
                [
                    escape(str(split["held_out"])),
                    f"{split['rows']:,}",
                    escape(str(score["law"])),
                    MISSING if error is None else f"{error:.4f}",
                    MISSING if r2 is None else f"{r2:.3f}",
                ]
            )
    head = ["Held out", "Rows", "Law", "Mean error, nats", "R²"]
    return table("Laws fitted to the other rows; a dash: it could not be fitted to them.", head, rows,
                 numbers={1, 3, 4}) if rows else ""  # fmt: skip
