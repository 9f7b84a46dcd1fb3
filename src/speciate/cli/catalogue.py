"""What there is to say about a law: for the verb laws, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from speciate.cli.output import lines_of, table

if TYPE_CHECKING:
    from speciate.laws import Input, Law, Parameter

DERIVED = {
    "flops": "or params and tokens: then 6 params tokens",
    "start_loss": "or rows of 0 tokens, which have it",
}
"""Inputs that a fit finds from other columns if they are not in the table."""


def listing(laws: Iterable[Law], width: int | None) -> str:
    """Every law in a few lines: its name and status, its formula, what it reads, whose it is."""
    lines = []
    for law in laws:
        reads = ", ".join(
            given.name if given.unit == given.name else f"{given.name} ({given.unit})" for given in law.inputs
        )
        lines += [f"{law.name} ({law.status})", *(f"  {part}" for part in (law.formula, f"reads {reads}", law.source))]
    return "\n".join([*lines_of(lines, width, 6), "", "speciate laws NAME tells its parameters and the rows it needs"])


def described(law: Law, width: int | None) -> str:
    """One law: formula, source, parameters, the source's constants, the rows it needs."""
    head = [f"{law.name} ({law.status})", f"  {law.formula}", f"  {law.source}", ""]
    parameters = [[p.name, p.unit, searched(p), p.meaning] for p in law.parameters]
    reads = [[given.name, wanted(given), unit(given)] for given in law.inputs]
    tail = [f"rows: {need}" for need in needs(law)]
    if law.published is not None:
        tail.insert(0, f"a fit also tells the source's own constants: {', '.join(constants(law))}")
    return "\n".join(
        [
            *lines_of(head, width, 4),
            table(["parameter", "unit", "searched", "meaning"], parameters, width),
            "",
            table(["input", "values", "unit"], reads, width),
            "",
            *lines_of(tail, width, 6),
        ]
    )


def searched(parameter: Parameter) -> str:
    """Where a fit looks for a parameter."""
    low, high = parameter.low, parameter.high
    if math.isinf(low) and math.isinf(high):
        return "any"
    if math.isinf(high):
        return "0 and above" if parameter.linear else f"above {low:g}"
    return f"{low:g} .. {high:g}"


def wanted(given: Input) -> str:
    """How many values of an input a law needs."""
    return f"{given.values} value{'s' * (given.values > 1)}"


def unit(given: Input) -> str:
    """The unit of an input, and where else it may come from."""
    return f"{given.unit}; {DERIVED[given.name]}" if given.name in DERIVED else given.unit


def constants(law: Law) -> list[str]:
    """Names of the constants that the source has where ours differ."""
    if law.published is None:
        return []
    import numpy as np

    with np.errstate(all="ignore"):
        return list(law.published(np.full(len(law.parameters), 0.5)))


def needs(law: Law) -> list[str]:
    """What a table has to hold for a fit of the law."""
    found = [f"{len(law.parameters)} at least, each with {law.output}"]
    if law.family is not None:
        found.append("a column share_NAME for each of 2 to 50 domains (what they leave is share_rest); shown for three")
    if law.constant:
        found.append(f"one value of {', '.join(law.constant)}, where the table has them")
    return [*found, "one evaluation set (--eval-on), tokenizer and eval_hash; stderr, if there, tells what rows weigh"]


def as_json(law: Law) -> dict[str, Any]:
    """All of it for programs; a bound that is infinite is null."""
    names = ("name", "unit", "meaning", "low", "high", "transform", "linear", "sign")
    inputs = [
        {"name": g.name, "unit": g.unit, "scale": g.scale, "values": g.values, "zero": g.zero,
         "derived": DERIVED.get(g.name)}
        for g in law.inputs
    ]  # fmt: skip
    return {
        "name": law.name,
        "formula": law.formula,
        "latex": law.latex,
        "parameters": [{name: finite(getattr(parameter, name)) for name in names} for parameter in law.parameters],
        "inputs": inputs,
        "output": law.output,
        "objective": law.objective,
        "constant": list(law.constant),
        "family": law.family is not None,
        "published": constants(law),
        "needs": needs(law),
        "source": law.source,
        "status": law.status,
    }


def finite(value: Any) -> Any:
    """The value, or None for an infinity."""
    return None if isinstance(value, float) and math.isinf(value) else value
