"""What the five lines of every decision have in common, so that one who knows one decision can read all.

Choice: ...            or  Choice: none yet; WHY.
How sure: ...          or  How sure: no 90% interval; WHY.
Cost: ...
What would change it: ...
Next: seal it ...      or  Next: run it, add its rows, and plan again: RUN
"""

from __future__ import annotations

UNDECIDED = "not decidable: "  # what the status of an undecided plan begins with
SEAL = "Next: seal it before it is run: "


def short(count: float) -> str:
    """Tokens or parameters for a person.

    >>> short(196_895_223_283), short(1.3e9), short(350e6), short(0), short(1e12)
    ('196.9B', '1.3B', '350M', '0', '1T')
    """
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.4g}{letter}"
    return f"{count:.4g}"


def none_yet(status: str, estimate: str = "") -> str:
    """The first line where nothing is decided: why, and the best estimate there is.

    >>> none_yet("not decidable: two ratios were tried.", "a ratio of 40.0%")
    'Choice: none yet; two ratios were tried. The best estimate is a ratio of 40.0%.'
    """
    beside = f" The best estimate is {estimate}." if estimate else ""
    return f"Choice: none yet; {status.removeprefix(UNDECIDED).rstrip('.')}.{beside}"


def no_interval(level: float, why: str) -> str:
    """The second line where the rows give no interval.

    >>> no_interval(0.9, "the rows come from one run")
    'How sure: no 90% interval; the rows come from one run.'
    """
    return f"How sure: no {level:.0%} interval; {why}."


def seal_next(verb: str, options: str = "") -> str:
    """The last line of what is decided; ``options`` that say which question it was.

    >>> seal_next("split")
    'Next: seal it before it is run: speciate plan split TABLE ... --seal plan.json'
    """
    return f"{SEAL}speciate plan {verb} TABLE {options + ' ' if options else ''}... --seal plan.json"


def run_next(run: str) -> str:
    """The last line of what is not: the cheapest run that would settle it.

    >>> run_next("350M params, domain ratio 0.9, 2B tokens (4.2e+18 FLOPs)")
    'Next: run it, add its rows, and plan again: 350M params, domain ratio 0.9, 2B tokens (4.2e+18 FLOPs)'
    """
    return f"Next: run it, add its rows, and plan again: {run}"
