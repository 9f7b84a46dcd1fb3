"""Where the verb predict predicts: one point given as words, or the rows of a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    from speciate.fitting.result import Fit

Points = dict[str, list[float]]  # every input by name, one value a point
REST = "share_rest"  # a fit makes it of what the other shares leave, and so do predictions


def points_of(inputs: list[str], saved: Fit, columns: str | None) -> Points:
    """The points to predict at; inputs that have a default, or follow from others, may be missing."""
    names = [given.name for given in saved.law.inputs]
    if len(inputs) == 1 and "=" not in inputs[0]:
        found = from_table(Path(inputs[0]), names, saved, columns)
    else:
        found = from_words(inputs, names, saved)
    count = len(next(iter(found.values()), [0.0]))
    if REST in names and REST not in found:
        shares = [found[name] for name in names if name.startswith("share_") and name in found]
        found[REST] = [max(0.0, 1.0 - sum(row)) for row in zip(*shares, strict=True)]
    return {name: found.get(name, [saved.defaults.get(name, 0.0)] * count) for name in names}


def must_be_given(names: list[str], saved: Fit) -> list[str]:
    """Inputs that nothing can stand in for."""
    return [name for name in names if name not in saved.defaults and name != REST]


def from_table(file: Path, names: list[str], saved: Fit, columns: str | None) -> Points:
    """The columns of a table that the law reads; other columns may hold anything."""
    from speciate.fitting.usable import derived
    from speciate.runs.columns import parse_columns
    from speciate.runs.table import read_table

    wanted = must_be_given(names, saved)
    frame = read_table(file, parse_columns(columns), require=[name for name in wanted if name != "flops"])
    if "flops" in wanted:
        frame, _ = derived(saved.law, frame)
        if "flops" not in frame.columns:
            raise UserError(Problem("no column 'flops'", str(file), "add it, or params and tokens"))
        frame = read_table(frame, require=["flops"])
    return {name: frame[name].to_numpy(dtype=float).tolist() for name in names if name in frame.columns}


def from_words(words: list[str], names: list[str], saved: Fit) -> Points:
    """One point, from words name=value."""
    from speciate.runs.columns import column_of

    where, point, problems = "command line", dict[str, list[float]](), []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            fix = "give a table alone, or words as in params=1e9" if Path(word).suffix else "write name=number"
            problems.append(Problem(f"{word!r} is not name=number", where, fix))
            continue
        column = column_of(name)
        if name in point:
            problems.append(Problem(f"{name} is given twice", where, "give it once"))
        try:
            point[name] = [float(text)]
        except ValueError:
            point[name] = [math.nan]
            example = f"{name if name in names else names[0]}=1e9"
            problems.append(Problem(f"{word!r} is not name=number", where, f"for instance {example}"))
        if name not in names:
            problems.append(Problem(f"the law has no input {name!r}", where, f"it has {', '.join(names)}"))
        elif column is not None and column.high is not None and point[name][0] > column.high:
            problems.append(Problem(f"{name} is {text}", where, f"use {column.bounds}"))
    missing = [name for name in must_be_given(names, saved) if name not in point]
    problems += [Problem(f"{name} is missing", where, f"give {name}=NUMBER") for name in missing]
    if problems:
        raise UserError(problems)
    return point
