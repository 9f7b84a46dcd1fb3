"""The figures below the decision: how sure it is, whether it held, whether anything tried was better."""

from __future__ import annotations

from typing import Any

from speciate.report.numbers import nats_text, percent_text
from speciate.report.split.evidence import SplitEvidence
from speciate.report.split.sentences import option_text

SMALL = 5e-4  # nats per token: below this a difference rounds to .000


def certainty_fact(evidence: SplitEvidence) -> tuple[str, str]:
    """(figure, note): how sure the decision is."""
    told = evidence.decision
    if not told.get("intervals"):
        return "Not decided", "There is no interval to give; the reason stands above."
    gain = told["intervals"].get("gain") or {}
    low, high, level = gain.get("low"), gain.get("high"), percent_text(evidence.level)
    if low is None or high is None:
        return "No interval", "All rows come from one run, so it is unknown how runs differ."
    wins = told.get("p_split")
    often = "" if wins is None else f" Splitting wins in {chance_text(wins)} of draws."
    if evidence.choice == "never split":
        return f"At most {small_nats(high)}", f"nats per token is what splitting would gain ({level} interval).{often}"
    figure = f"{small_nats(low, signed=True)} to {small_nats(high, signed=True)}"
    if evidence.choice is None:
        return figure, f"nats per token gained by splitting ({level} interval): 0 lies within.{often}"
    regret = told.get("regret")
    lost = "" if regret is None else f" Not knowing the law better costs {small_nats(regret)} nats on average."
    return figure, f"nats per token gained by splitting ({level} interval).{often}{lost}"


def chance_text(share: float) -> str:
    """A probability from draws, which never proves 0 or 1.

    >>> chance_text(1.0), chance_text(0.0)
    ('over 99\\xa0%', 'under 1\\xa0%')
    """
    if share > 0.99:
        return f"over {percent_text(0.99)}"
    return f"under {percent_text(0.01)}" if share < 0.01 else percent_text(share)


def small_nats(nats: float, *, signed: bool = False) -> str:
    """A difference of losses, which may be too small for three decimals.

    >>> small_nats(0.0312), small_nats(0.0001), small_nats(0.0), small_nats(-0.012, signed=True)
    ('.031', 'under .001', '0', '\\u2212.012')
    """
    if nats == 0:
        return "0"
    return nats_text(nats, signed=signed) if signed or abs(nats) >= SMALL else "under .001"


def chosen_row(evidence: SplitEvidence) -> dict[str, Any] | None:
    """What was measured of the chosen option."""
    return next((row for row in evidence.tried if row.get("chosen")), None)


def outcome_fact(evidence: SplitEvidence) -> tuple[str, str]:
    """(figure, note): whether the chosen option did what was sealed, and how all predictions fared."""
    row = chosen_row(evidence)
    coverage = (evidence.comparison or {}).get("coverage") or {}
    rows, inside, level = coverage.get("rows"), coverage.get("inside"), percent_text(evidence.level)
    of_all = f"{inside} of {rows} measurements fell inside their sealed {level} intervals" if rows else ""
    low, high = coverage.get("low"), coverage.get("high")
    if of_all and low is not None and high is not None:
        of_all += f"; {low:.0f} to {high:.0f} were to be expected"
    if row is None:
        if of_all:
            return f"{inside} of {rows} inside", f"{of_all}."
        return "Not checked yet", "No run has been measured against the plan."
    measured = f"Measured at equal total tokens: {nats_text(row['measured'])} nats"
    if row.get("low") is None or row.get("high") is None:
        return "Measured", f"{measured}; predicted {nats_text(row['predicted'])}, without an interval."
    held = row["low"] <= row["measured"] <= row["high"]
    note = f"{measured}; sealed {nats_text(row['low'])} to {nats_text(row['high'])}."
    return "✓ It held" if held else "✕ It did not hold", f"{note} {of_all}." if of_all else note


def regret_nats(evidence: SplitEvidence) -> float | None:
    """Measured loss of the chosen option less that of the best tried, as the comparison has it; 0 or more."""
    given = (evidence.comparison or {}).get("regret_nats")
    if given is not None:
        return float(given)
    row = chosen_row(evidence)
    if row is None or len(evidence.tried) < 2:
        return None
    return float(row["measured"] - min(other["measured"] for other in evidence.tried))


def regret_fact(evidence: SplitEvidence) -> tuple[str, str]:
    """(figure, note): the chosen option against the best of those tried."""
    lost, row, tried = regret_nats(evidence), chosen_row(evidence), evidence.tried
    if lost is None or row is None or not tried:
        return "Not tried yet", "No other option has been measured at the same total of tokens."
    if lost <= 0:
        return f"✓ Best of {len(tried)}", "No option tried at the same total of tokens ended with a lower loss."
    best = min(tried, key=lambda other: float(other["measured"]))
    return (
        f"{small_nats(lost)} nats",
        f"lower was the best of {len(tried)} options tried at the same total: {option_text(best)}, "
        f"{nats_text(best['measured'])} nats per token.",
    )
