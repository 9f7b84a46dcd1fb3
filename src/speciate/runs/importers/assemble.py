"""Rows of our table from somebody else's logs: one measurement a row, what is missing empty, never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import Problem, UserError
from speciate.runs.importers.find import read_logs
from speciate.runs.importers.log import Array, RunLog
from speciate.runs.importers.mapping import Plan, Target, label, requested, resolve
from speciate.runs.load import parse_number
from speciate.runs.table import read_table

GROWING = ("tokens", "flops")  # counted up while training: logged between two steps they are known there too


@dataclass(frozen=True)
class Imported:
    """The table, where each of its columns comes from, and what was left out of it.

    ``diverged``: values of a metric that are no finite number, by run; ``missing``: empty cells by column;
    ``unused``: metrics and settings that no column was read from; ``empty``: runs without any measurement.
    """

    table: pd.DataFrame
    origins: dict[str, str]
    diverged: dict[str, int]
    missing: dict[str, int]
    empty: list[str]
    unused: list[str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """What there is to say about the table, without the table."""
        return {
            "rows": len(self.table),
            "runs": int(self.table["run"].nunique()),
            "columns": self.origins,
            "diverged": self.diverged,
            "missing": self.missing,
            "empty_runs": self.empty,
            "unused": self.unused,
            "notes": self.notes,
        }


def import_table(
    sources: Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str | float] | None = None,
    kind: str = "auto",
) -> Imported:
    """Read logs of any known kind into a valid table; see ``import_runs``."""
    request, problems = requested(columns or {}, constants or {})
    try:
        logs, notes = read_logs(sources, kind)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    plan = resolve(request, logs)
    diverged: dict[str, int] = {}
    frame = _stacked([part for log in logs for part in _rows(log, plan, diverged)])
    if frame.empty:
        looked_for = ", ".join(dict.fromkeys(plan.outcomes.values()))
        raise UserError(Problem("no finite measurement was found", "the sources", f"looked for {looked_for}"))
    _check_axis(frame, logs)
    table = read_table(frame.drop_duplicates(ignore_index=True).dropna(axis="columns", how="all"))
    measured = set(table["run"])
    return Imported(
        table,
        _origins(plan, table),
        diverged,
        {name: int(count) for name, count in table.isna().sum().items() if count},
        [log.name for log in logs if _sound(log.name) not in measured],
        _unused(plan, logs),
        notes,
    )


def _stacked(parts: Sequence[Mapping[str, Sequence[Any]]]) -> pd.DataFrame:
    """Parts below each other, None where a part lacks a column."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    cells: dict[str, list[Any]] = {name: [] for name in names}
    for part in parts:
        for name in names:
            cells[name] += part.get(name, [None] * len(part["run"]))
    return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in cells.items()})


def _rows(log: RunLog, plan: Plan, diverged: dict[str, int]) -> list[dict[str, list[Any]]]:
    """The measurements of one run, for each evaluation set the cells of every column."""
    parts = []
    for eval_on in dict.fromkeys(target[1] for target in plan.outcomes):
        measured: dict[str, tuple[Array, Array]] = {}
        for (column, on), name in plan.outcomes.items():
            if on == eval_on and (points := _points(log, name)) is not None:
                finite = np.isfinite(points[1])
                if not finite.all():
                    diverged[log.name] = diverged.get(log.name, 0) + int((~finite).sum())
                measured[column] = points[0][finite], points[1][finite]
        at = np.unique(np.concatenate([steps for steps, _ in measured.values()])) if measured else np.zeros(0)
        if not at.size:
            continue
        part: dict[str, list[Any]] = {"run": [_sound(log.name)] * at.size}
        part |= {column: _placed(at, *points) for column, points in measured.items()}
        if eval_on is not None:
            part["eval_on"] = [_sound(eval_on)] * at.size
        parts.append({**part, **_context(log, plan, at, eval_on)})
    return parts


def _points(log: RunLog, name: str) -> tuple[Array, Array] | None:
    """Steps and values of a metric, or a final value at an unknown step (NaN); None where the run has neither."""
    if name in log.series:
        return log.series[name].steps, log.series[name].values
    cell = log.facts.get(name)
    number = parse_number(cell) if isinstance(cell, str) else cell
    return None if number is None else (np.array([math.nan]), np.array([number], dtype=float))


def _placed(at: Array, steps: Array, values: Array) -> list[float]:
    """Values at the steps ``at``, NaN where there is none; values at other steps are passed over."""
    there = np.isin(steps, at) | np.isnan(steps)
    found = np.full(at.size, math.nan)
    found[np.searchsorted(at, steps[there])] = values[there]
    return found.tolist()


def _context(log: RunLog, plan: Plan, at: Array, eval_on: str | None) -> dict[str, list[Any]]:
    """What stands beside the measurements at the steps ``at``: settings, and counts at that step."""
    found: dict[str, list[Any]] = {}
    given = [*plan.context.items(), *plan.constants.items()]
    for target, name in sorted(given, key=lambda item: item[0][1] is not None):  # what is for one set comes last
        if target[1] not in (None, eval_on) or (target[0] == "eval_on" and eval_on is not None):
            continue
        found[target[0]] = [name] * at.size if target in plan.constants else _at(log, target[0], str(name), at)
    per_step = _numbers(found.pop("tokens_per_step", [None] * at.size))
    steps = _numbers(found.pop("step", [None] * at.size))
    counted = (at if np.isnan(steps).all() else steps) * per_step  # two counts of steps are never mixed
    if not np.isnan(counted).all():
        logged = found.get("tokens", [None] * at.size)
        found["tokens"] = [count if _missing(cell) else cell for cell, count in zip(logged, counted, strict=True)]
    return found


def _at(log: RunLog, column: str, name: str, at: Array) -> list[Any]:
    """A column's cells at the steps ``at``: of a series there (counts in between too), else the run's one value."""
    if name in log.series and not np.isnan(at).any():
        steps, values = log.series[name].steps, log.series[name].values
        steps, values = steps[np.isfinite(values)], values[np.isfinite(values)]
        if (column in GROWING or column == "step") and steps.size:
            return list(np.interp(at, steps, values, left=math.nan, right=math.nan))
        return _placed(at, steps, values)
    cell = log.facts.get(name)
    if (column in GROWING and at.size > 1) or (column == "step" and not np.isnan(at).any()):
        cell = None  # the run's last count, not that at each of these steps
    return [_sound(cell)] * at.size


def _sound(cell: Any) -> Any:
    """Text that can be written: folders and JSON may hold what is no Unicode."""
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def _numbers(cells: Sequence[Any]) -> Array:
    """Cells as floats, NaN where there is no number."""
    numbers = (parse_number(cell) if isinstance(cell, str) else cell for cell in cells)
    return np.array([math.nan if number is None else number for number in numbers], dtype=float)


def _missing(cell: Any) -> bool:
    return cell is None or cell != cell


def _check_axis(frame: pd.DataFrame, logs: Sequence[RunLog]) -> None:
    """Several measurements of a run that nothing tells apart would be repeats to a fit."""
    missing = pd.DataFrame({name: frame[name].isna() if name in frame else True for name in GROWING}, frame.index)
    by_run = missing.groupby(frame["run"])
    unknown = by_run["tokens"].transform("all") & by_run["flops"].transform("any")  # flops are often logged at the end
    same = frame.duplicated([name for name in ("run", "eval_on") if name in frame])
    runs = frame["run"][unknown & same].unique().tolist()
    if not runs:
        return
    names = dict.fromkeys(name for log in logs for name in log.series if "token" in name.lower())
    seen = f"--columns tokens=NAME (there is {', '.join(names)})" if names else "--columns tokens=NAME"
    more = f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
    what = f"run {runs[0]}{more} was measured at several steps, and nothing says after how many tokens"
    raise UserError(Problem(what, "the sources", f"give --set tokens_per_step=NUMBER, or {seen}"))


def _origins(plan: Plan, table: pd.DataFrame) -> dict[str, str]:
    """Where each column that the table has was read from."""
    found = {label(t): str(name) for t, name in {**plan.outcomes, **plan.context}.items() if t[0] in table}
    found |= {label(t): f"{_spelled(value)} (given)" for t, value in plan.constants.items() if t[0] in table}
    per_step: dict[Target, str | float] = {**plan.context, **plan.constants}
    if ("tokens_per_step", None) in per_step and "tokens" in table:
        step = plan.context.get(("step", None), "the step")
        found.setdefault("tokens", f"{step} x {_spelled(per_step['tokens_per_step', None])}")
    return found


def _spelled(value: str | float) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _unused(plan: Plan, logs: Sequence[RunLog]) -> list[str]:
    used = {*plan.outcomes.values(), *plan.context.values()}
    names = (name for log in logs for part in (log.series, log.facts) for name in part)
    return [name for name in dict.fromkeys(names) if name not in used]
