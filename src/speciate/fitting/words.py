"""A fit told to a person."""

from __future__ import annotations

from speciate.fitting.result import Fit


def explain(fit: Fit) -> list[str]:
    """Lines of plain text, aligned for a fixed-width font."""
    lines = [f"{fit.law_name}: {fit.law.formula}"]
    lines += [f"  {name} in units of {scale:g}" for name, scale in fit.scales.items() if scale != 1]
    wide = max(len(name) for name in fit.law.names)
    for parameter in fit.law.parameters:
        found = fit.parameters[parameter.name]
        span = f"{found['low']:.4g} .. {found['high']:.4g}" if found["low"] is not None else "no interval"
        lines.append(f"  {parameter.name:<{wide}} {found['value']:>10.4g}  {span:<22} {parameter.meaning}")
    lines.append(evidence(fit))
    if fit.holdout is not None:
        covered = fit.holdout.coverage
        tail = f", {covered:.0%} inside the {fit.level:.0%} intervals" if covered is not None else ""
        error = amount(fit.holdout.mae, fit.holdout.mre)
        lines.append(f"held out: {fit.holdout.rows} rows, typical error {error}{tail}")
    lines += [f"left out: {count} rows where {why}" for why, count in fit.left_out.items()]
    lines.append(f"status: {fit.status}")
    return lines


def evidence(fit: Fit) -> str:
    """What the fit rests on and how close it comes."""
    base = f"fitted to {fit.rows} rows of {fit.runs} runs on {fit.trunks} trunks"
    where = f", {fit.law.output} on {fit.eval_on}" if fit.eval_on else ""
    r2 = f", R2 {fit.r2:.4f}" if fit.r2 is not None else ""
    return f"{base}{where}; typical error {amount(fit.mae, fit.mre)}{r2}; intervals hold {fit.level:.0%}"


def amount(mae: float, mre: float | None) -> str:
    """An error in the output's unit and, where it has one, as a share.

    >>> amount(0.0123, 0.0051)
    '0.0123 (0.51 %)'
    """
    return f"{mae:.3g}" if mre is None else f"{mae:.3g} ({100 * mre:.2g} %)"
