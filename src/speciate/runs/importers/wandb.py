"""Weights & Biases: the CSV files that its pages export, and a run's history as a CSV.

- the table of runs: one row a run, "Name" first, configuration and summary in one row;
- a panel: a first column with the horizontal axis, then "RUN - METRIC", "RUN - METRIC__MIN", "RUN - METRIC__MAX";
- ``run.history().to_csv(...)``: one run, its metrics beside "_step".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speciate.errors import Problem, UserError
from speciate.runs.importers.log import RunLog, Series, distinct, series_of, texts
from speciate.runs.load import load, parse_numbers

JOIN = " - "  # between the name of a run and that of a metric
ENVELOPE = ("__MIN", "__MAX")  # what a panel draws around a line
STEP = "_step"  # W&B's own count of calls that logged something


def is_wandb(names: Sequence[str]) -> bool:
    """Whether a CSV with this header comes from W&B."""
    return "Name" in names or STEP in names or any(JOIN in name for name in names[1:])


def read_wandb(path: Path) -> list[RunLog]:
    """The runs of a CSV from W&B. Raises UserError as ``load`` does, and for runs that cannot be told apart."""
    names, arrays = load(path)
    if "Name" in names:
        return _runs(path, names, arrays)
    if any(JOIN in name for name in names[1:]):
        return _panel(path, names, arrays)
    if STEP in names:
        return [RunLog(path.stem, str(path), series=_history(names, arrays))]
    fix = "export the table of runs (it has a column Name) or a panel (columns 'RUN - METRIC')"
    raise UserError(Problem("is no CSV as W&B exports it", str(path), fix))


def _runs(path: Path, names: list[str], arrays: list[Any]) -> list[RunLog]:
    columns = {name: texts(array) for name, array in zip(names, arrays, strict=True)}
    ids = [cell or "" for cell in columns.get("ID", columns.get("id", [None] * len(columns["Name"])))]
    given = [name or ids[i] or f"row {i + 1}" for i, name in enumerate(columns["Name"])]
    rows = zip(*columns.values(), strict=True)
    facts = [{name: cell for name, cell in zip(columns, row, strict=True) if cell is not None} for row in rows]
    return [RunLog(name, str(path), facts=row) for name, row in zip(distinct(given, ids), facts, strict=True)]


def _panel(path: Path, names: list[str], arrays: list[Any]) -> list[RunLog]:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        what, fix = f"column {repeated[0]!r} appears {names.count(repeated[0])} times", "keep one"
        if JOIN in repeated[0]:
            what, fix = f"{what}: two runs have one name", "rename one of the runs in W&B and export again"
        raise UserError(Problem(what, str(path), fix))
    axis = parse_numbers(arrays[0]).to_numpy(zero_copy_only=False)
    runs: dict[str, dict[str, Series]] = {}
    for name, array in zip(names[1:], arrays[1:], strict=True):
        run, join, metric = name.rpartition(JOIN)
        if not join or metric.endswith(ENVELOPE):
            continue
        found = _points(axis, array)
        runs.setdefault(run, {})[metric] = found
        if names[0] != "Step":  # the axis was chosen: it may be the tokens
            runs[run].setdefault(names[0], Series(axis, axis))
    return [RunLog(run, str(path), series=series, partial=True) for run, series in runs.items()]


def _history(names: list[str], arrays: list[Any]) -> dict[str, Series]:
    axis = parse_numbers(arrays[names.index(STEP)]).to_numpy(zero_copy_only=False)
    columns = zip(names, arrays, strict=True)
    return {name: found for name, array in columns if name and (found := _points(axis, array)).steps.size}


def _points(axis: Any, array: Any) -> Series:
    """The cells of a column that are filled, by step; an empty cell is no measurement, NaN is a diverged one."""
    numbers = parse_numbers(array)
    there = ~numbers.is_null().to_numpy(zero_copy_only=False) & np.isfinite(axis)
    return series_of(axis[there], numbers.to_numpy(zero_copy_only=False)[there])
