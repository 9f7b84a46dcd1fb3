"""What a run logged, whoever's tool logged it: facts of the whole run, and series of numbers by step."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speciate.errors import Problem, UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One metric of one run: steps (n,), increasing, and values (n,), which may be NaN or infinite."""

    steps: Array
    values: Array


@dataclass(frozen=True)
class RunLog:
    """One run. ``facts`` are its configuration and final values, ``series`` its metrics by step.

    ``partial``: a source that holds a part of a run, to be joined to the others of the same name.
    ``owner``: False where there must be another source that knows the run.
    """

    name: str
    where: str
    facts: Mapping[str, str | float] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    partial: bool = False
    owner: bool = True


def series_of(steps: ArrayLike, values: ArrayLike) -> Series:
    """Points in any order as a series; of points at the same step the last one counts (a resumed run).

    >>> series_of([2, 1, 2], [5.0, 4.0, 3.0]).values.tolist()
    [4.0, 3.0]
    """
    at, what = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    order = np.argsort(at, kind="stable")
    at, what = at[order], what[order]
    last = np.append(at[1:] != at[:-1], True) if at.size else np.zeros(0, dtype=bool)
    return Series(at[last], what[last])


def distinct(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Names of runs, told apart by their ids (or a count) where a name occurs more than once.

    >>> distinct(["a", "b", "a", "a"], ["x1", "", "x3", ""])
    ['a (x1)', 'b', 'a (x3)', 'a (3)']
    """
    counts, seen, found = Counter(names), Counter[str](), []
    for name, identity in zip(names, ids, strict=True):
        seen[name] += 1
        found.append(name if counts[name] == 1 else f"{name} ({identity or seen[name]})")
    return found


def joined(logs: Sequence[RunLog]) -> list[RunLog]:
    """One log a run, the parts of a run joined by its name.

    Raises UserError for two runs of one name, and for facts about a run that no other source has.
    """
    runs: dict[str, RunLog] = {}
    problems = []
    for log in sorted(logs, key=lambda log: log.partial):  # stable: whole runs first
        known = runs.get(log.name)
        if known is None:
            runs[log.name] = log
        elif not log.partial:
            what = f"{known.where} has a run of that name too"
            problems.append(Problem(what, f"run {log.name} of {log.where}", "rename one, or import them one by one"))
        else:
            facts, series = {**known.facts, **log.facts}, {**known.series, **log.series}
            runs[log.name] = replace(known, facts=facts, series=series, owner=known.owner or log.owner)
    owned = [log.name for log in runs.values() if log.owner]
    for log in runs.values():
        if not log.owner:
            close = difflib.get_close_matches(log.name, owned, 1, 0.3)
            fix = f"did you mean {close[0]!r}?" if close else "name runs as the other sources do"
            problems.append(Problem(f"no other source has the run {log.name!r}", log.where, fix))
    if problems:
        raise UserError(problems)
    place = {name: i for i, name in reversed(list(enumerate(log.name for log in logs)))}
    return sorted(runs.values(), key=lambda log: place[log.name])


def texts(array: Any) -> list[str | None]:
    """A loaded column as stripped text, None where it is empty."""
    cells = (None if cell is None else str(cell).strip() for cell in array.to_pylist())
    return [cell or None for cell in cells]
