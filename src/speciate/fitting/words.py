"""A fit told to a person."""

from __future__ import annotations

from collections.abc import Mapping

from speciate.fitting.noise import Noise
from speciate.fitting.result import Fit


def explain(fit: Fit) -> list[str]:
    """Lines of plain text, aligned for a fixed-width font."""
    lines = [f"{fit.law_name}: {fit.law.formula}"]
    lines += [f"  {name} in units of {scale:g}" for name, scale in fit.scales.items() if scale != 1]
    known, constants = fit.parameters, constants_of(fit)
    every = (known | constants).items()
    cells = [(name, value_text(found), span(found["low"], found["high"])) for name, found in every]
    wide = [max(len(cell[i]) for cell in cells) for i in range(3)]
    lined = [f"  {name:<{wide[0]}}  {value:>{wide[1]}}  {ends:<{wide[2]}}  " for name, value, ends in cells]
    for parameter, line in zip(fit.law.parameters, lined, strict=False):
        unit = "" if parameter.unit == "1" else f" ({parameter.unit})"
        lines.append(f"{line}{parameter.meaning}{unit}")
    if constants:
        lines.append("as the source writes it:")
        lines += [line.rstrip() for line in lined[len(known) :]]
    lines.append(evidence(fit))
    if noise := noise_words(fit.noise):
        lines.append(f"noise: {noise}")
    if fit.holdout is not None:
        covered = fit.holdout.coverage
        tail = f", {covered:.0%} inside the {fit.level:.0%} intervals" if covered is not None else ""
        error = amount(fit.holdout.mae, fit.holdout.mre)
        lines.append(f"held out: {many(fit.holdout.rows, 'row')}, typical error {error}{tail}")
    lines += [f"left out: {many(count, 'row')} where {why}" for why, count in fit.left_out.items()]
    lines += [f"note: {note}" for note in fit.notes]
    if fit.sensitivity is not None:
        lines.append(f"sensitivity: {fit.sensitivity.words()}")
    lines.append(f"status: {fit.status}")
    return lines


def constants_of(fit: Fit) -> dict[str, dict[str, float | None]]:
    """The source's own constants that are no parameters of ours."""
    return {name: found for name, found in fit.published.items() if name not in fit.law.names}


def value_text(found: Mapping[str, float | None]) -> str:
    """The value of a parameter, or a dash."""
    return "-" if found["value"] is None else f"{found['value']:.4g}"


def span(low: float | None, high: float | None) -> str:
    """An interval, of which an end may be unknown.

    >>> span(0.31999, 0.37), span(None, 2.5), span(0.1, None), span(None, None)
    ('0.32 .. 0.37', 'at most 2.5', 'at least 0.1', 'no interval')
    """
    if low is not None and high is not None:
        return f"{low:.4g} .. {high:.4g}"
    if low is not None:
        return f"at least {low:.4g}"
    return "no interval" if high is None else f"at most {high:.4g}"


def evidence(fit: Fit) -> str:
    """What the fit rests on and how close it comes."""
    trunks = f" on {many(fit.trunks, 'trunk')}"
    base = f"fitted to {many(fit.rows, 'row')} of {many(fit.runs, 'run')}{trunks}"
    if fit.rows == fit.runs > 1:
        base = f"fitted to {fit.rows:,} rows, each a run of its own{trunks if fit.trunks < fit.runs else ''}"
    where = f", {fit.law.output} on {fit.eval_on}" if fit.eval_on else ""
    r2 = f", R2 {fit.r2:.4f}" if fit.r2 is not None else ""
    kind = "profile intervals" if fit.profiles is not None else "intervals"
    held = "" if fit.profiles is None and fit.draws is None else f"; {kind} hold {fit.level:.0%}"
    return f"{base}{where}; typical error {amount(fit.mae, fit.mre)}{r2}{held}"


def many(count: int, noun: str) -> str:
    """A count with its noun.

    >>> many(1, "row"), many(12000, "run")
    ('1 row', '12,000 runs')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def noise_words(noise: Noise) -> str:
    """How rows were weighed, or "" where all counted the same.

    >>> noise_words(Noise("domain_ratio", 1.1, 0.5, 3.004))
    'changes with domain_ratio, 3 times at the largest what it is at the smallest; rows count accordingly'
    """
    if noise.stderr:
        between = 0.0 if noise.between is None else noise.between
        beside = f", beside run-to-run noise of {between:.2g}" if between > 0 else ""
        return f"rows count by their stderr{beside}"
    if noise.column is None:
        return ""
    times = f"{noise.ratio:.2g} times at the largest what it is at the smallest"
    return f"changes with {noise.column}, {times}; rows count accordingly"


def amount(mae: float, mre: float | None) -> str:
    """An error in the output's unit and, where it has one, as a share.

    >>> amount(0.0123, 0.0051)
    '0.0123 (0.51 %)'
    """
    return f"{mae:.3g}" if mre is None else f"{mae:.3g} ({100 * mre:.2g} %)"
