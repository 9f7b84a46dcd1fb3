"""A comparison for a person: predicted beside measured, then what that says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from speciate.cli.output import number, table

ENDS = ("predicted", "low", "high", "measured", "error", "error %", "inside")
ASIDE = {"prediction", "relative_error", "output", "option", *ENDS}
MOST = 60  # rows that are printed


def lines(found: Mapping[str, Any]) -> list[str]:
    """The table, and a sentence each on the intervals, on the errors and on the choice."""
    rows = found["rows"]
    outputs = {row["output"] for row in rows}
    output = outputs.pop() if len(outputs) == 1 else "value"
    told = [table(*cells(rows[:MOST]))]
    told += [f"... and {len(rows) - MOST:,} more; --json has all."] if len(rows) > MOST else []
    told += ["", f"Intervals: {found['coverage']['verdict']}", f"Error: {error_words(found, output)}"]
    told += [f"Choice: {regret_words(one)}" for one in found["regret"]]
    if found["left_out"]:
        rows_left = f"{found['left_out']} row{'s' * (found['left_out'] != 1)}"
        told.append(f"Left out: {rows_left} that the plan was fitted on, as it says.")
    return told


def cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells: what differs between the rows, or is all there is to tell them apart, then the values."""
    keys = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ASIDE]
    cell = {"error": lambda row: f"{row['error']:+.4g}", "error %": lambda row: percent(row["relative_error"])}
    told = [[cell[name](row) if name in cell else shown(row.get(name)) for name in (*keys, *ENDS)] for row in rows]
    return [*keys, *ENDS], told


def percent(share: float | None) -> str:
    """A signed share of what was predicted, in percent.

    >>> percent(-0.0042), percent(None)
    ('-0.42', '-')
    """
    return "-" if share is None else f"{100 * share:+.2g}"


def shown(value: Any) -> str:
    """One cell.

    >>> shown(True), shown(None), shown(1300000000), shown(2.5e10), shown("law")
    ('yes', '-', '1.3e+09', '2.5e+10', 'law')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float | None) else str(value)


def error_words(found: Mapping[str, Any], output: str) -> str:
    """Mean size and mean sign of the errors."""
    unit = " nats" if output == "loss" else ""
    size = "" if found["mre"] is None else f" ({100 * found['mre']:.2g} %)"
    many = len(found["rows"])
    size = f"{output} off by {found['mae']:.4g}{unit}{size}"
    far = furthest(found["rows"])
    far = f"; {far}" if far else ""
    if many == 1:
        side = "as" if found["mae"] == 0 else "above" if found["bias"] > 0 else "below"
        return f"{size}, measured {side} predicted{far}."
    side = f"{'above' if found['bias'] > 0 else 'below'} predicted by {abs(found['bias']):.4g}"
    if abs(found["bias"]) <= 1e-6 * found["mae"]:
        side = "neither above nor below predicted"
    mean = f"measured {side} in the mean of {many} rows"
    return f"{size} on average, {mean}{far}."


def furthest(rows: Sequence[Mapping[str, Any]]) -> str:
    """The measurement that is furthest out, where one is outside: of one run, coverage cannot say it was too far."""
    worst, who = 1.0, ""
    for row in rows:
        if row["inside"] is False:
            end = row["low"] if row["error"] < 0 else row["high"]
            times = row["error"] / (end - row["predicted"]) if end != row["predicted"] else float("inf")
            worst, who = (times, row["run"]) if times > worst else (worst, who)
    return f"{who} is {worst:.2g} times as far off as its interval reaches" if who else ""


def regret_words(one: Mapping[str, Any]) -> str:
    """What the choice cost against the best that was measured."""
    if "planned_ratio" in one:
        return mixture_words(one)
    unit = f" nats of {one['output']}" if one["output"] == "loss" else f" of {one['output']}"
    if one.get("kept_tolerance") is False:
        return f"{one['chosen']} raised a loss by more than the tolerance allows."
    if one["difference"] is None:
        return f"{one['chosen']}; nothing else was measured to hold it against."
    if one["difference"] <= 0:
        return f"{one['chosen']}; the best of {one['options']} that were measured."
    return (
        f"{one['chosen']} came out {one['difference']:.4g}{unit} above {one['best']}, the best of {one['options']} "
        "that were measured."
    )


def mixture_words(one: Mapping[str, Any]) -> str:
    """Of one size's ratio."""
    away = abs(one["chosen_ratio"] - one["planned_ratio"]) > 2e-3
    near = f", the nearest to the planned {one['planned_ratio']:.3g}," if away else ""
    run = f"{one['params']:,.0f} params at a domain ratio of {one['chosen_ratio']:g}{near}"
    if not one["chosen_feasible"]:
        change, most = one["general_change"], one["tolerance"]
        return f"{run} raised the general loss by {change:.4g} nats, more than the {most:g} that were allowed."
    if one["loss_difference"] is None or one["loss_difference"] <= 0:
        return f"{run} kept the general loss and was the best measured ratio that did."
    return (
        f"{run} kept the general loss; its domain loss came out {one['loss_difference']:.4g} nats above that of "
        f"{one['best_ratio']:g}, the best measured ratio that kept it too."
    )
