"""What an answer hangs on: the corner delta of the objective, single rows, a few rows together, single runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from speciate.fitting.curvature import curvature
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve_batch
from speciate.laws.law import Array, Law

FACTORS = (0.1, 1.0, 10.0, np.inf)  # of delta; inf is the squared objective
TOP = 5  # rows, and runs, refitted without
SHARE = 0.02  # of the rows left out together
MOST = 5  # and at most so many of them
NEAR = 0.75  # of the largest move: named with it
TOLD = 3  # parameters that a sentence names
CELLS = 4_000_000  # rows times parameters that are refitted at a time

Span = tuple[float | None, float | None]


@dataclass(frozen=True)
class Corner:
    """A refit at another delta (None: squared): parameters, objective, and which moved beyond their half widths.

    Where delta differs by row, ``delta`` is its median.
    """

    delta: float | None
    parameters: dict[str, float]
    objective: float
    moved: tuple[str, ...]


@dataclass(frozen=True)
class Without:
    """A refit without some rows (positions among the fitted ones, from 0) or a run.

    ``half_widths``: the largest move of a parameter, in half widths of its interval; ``moved`` names that one and
    those that move by more than one half width or nearly as far, most first.
    """

    rows: tuple[int, ...]
    run: str | None
    parameters: dict[str, float]
    moved: tuple[str, ...]
    half_widths: float


@dataclass(frozen=True)
class Sensitivity:
    """What a fit's parameters hang on: other corners, and refits without rows or runs, the largest move first.

    ``points`` leave one row out, ``without`` a few jointly (a set for each parameter and direction), ``runs`` one
    run (empty where every row is a run).
    """

    parameters: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    deltas: tuple[Corner, ...]
    points: tuple[Without, ...]
    without: tuple[Without, ...]
    runs: tuple[Without, ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        spans = {
            name: {"low": low, "high": high} if low < high else {"low": None, "high": None}
            for name, (low, high) in self.intervals.items()
        }
        return {**asdict(self), "intervals": spans}

    def words(self, labels: Sequence[str] | None = None) -> str:
        """One to three sentences; ``labels`` name the fitted rows (default: their number, from 1)."""
        said = [self._told(found, labels) for found in self.without[:1]]
        said += [self._told(found, labels) for found in self.runs[:1] if found.half_widths > 1]
        bent = next((corner for corner in self.deltas if corner.moved), None)
        if bent is not None:
            how = "the squared objective" if bent.delta is None else f"delta {bent.delta:g}"
            said.append(f"with {how} {self._changes(bent.parameters, bent.moved)}")
        elif self.deltas:
            said.append("delta a tenth, ten times, or squared moves no parameter beyond its interval's half width")
        return "; ".join(said)

    def _told(self, found: Without, labels: Sequence[str] | None) -> str:
        names = [labels[row] if labels is not None else str(row + 1) for row in found.rows]
        what = f"run {found.run}" if found.run is not None else f"row{'s' * (len(names) > 1)} {', '.join(names)}"
        return f"without {what} {self._changes(found.parameters, found.moved)}"

    def _changes(self, parameters: Mapping[str, float], moved: Sequence[str]) -> str:
        told = []
        for name in moved[:TOLD]:
            low, high = self.intervals[name]
            now, was = parameters[name], self.parameters[name]
            told.append(f"{name} is {now:.4g} rather than {was:.4g} (interval {low:.4g} .. {high:.4g})")
        return " and ".join(told)


def sensitivity(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    weights: ArrayLike | None,
    theta: ArrayLike,
    loss: Loss,
    run_ids: Sequence[Any] | Array,
    intervals: Mapping[str, Span] | None = None,
    level: float = 0.9,
) -> Sensitivity:
    """How far the optimum theta (P,) moves with another delta, and without some rows or runs.

    x in the tables' units, y and weights (n,), run_ids (n,). ``intervals`` (low, high) of the parameters set
    the measure of a large move; without them, normal intervals of ``level`` from the robust variance do.

    Rows are ranked by one Newton step, H^-1 g_i, and what is reported is then refitted exactly. The rows
    left out together are those whose steps add up to the largest move of one parameter in one direction
    (Broderick, Giordano and Meager 2020, arXiv 2011.14999), about 2 % of the rows and at most 5.

    >>> from speciate.laws.cmr import CMR
    >>> from speciate.fitting.solve import solve
    >>> x = {"tokens": np.geomspace(2e10, 4e11, 12)}
    >>> y = CMR.predict([0.4, 0.1, 0.1], x) + np.where(np.arange(12) == 11, 0.05, 1e-4 * (-1.0) ** np.arange(12))
    >>> best = solve(CMR, x, y, objective="squared").theta
    >>> found = sensitivity(CMR, x, y, None, best, Loss("squared"), np.arange(12))
    >>> found.without[0].rows
    (11,)
    """
    measured, best = np.asarray(y, dtype=float), np.asarray(theta, dtype=float)
    given = np.ones_like(measured) if weights is None else np.asarray(weights, dtype=float)
    rows = Measured(law, {one.name: np.asarray(x[one.name], dtype=float) for one in law.inputs}, measured, given, loss)
    runs, run_of = np.unique(np.asarray(run_ids).astype(str), return_inverse=True)
    about = curvature(law, rows.x, measured, given, best, loss)
    clusters = run_of if len(runs) > 1 else np.arange(len(run_of))
    spans = spans_of(law, best, np.sqrt(np.diag(about.variance(clusters))) * about.chain, intervals, level)
    half = np.array([(spans[name][1] - spans[name][0]) / 2 for name in law.names])
    half = np.where(half > 0, half, np.inf)  # a parameter on its bound has no width to measure a move by
    steps = about.moves * about.chain / half  # (n, P), in half widths
    points, joint = [np.array([row]) for row in strongest(steps)], together(steps, round(SHARE * len(given)))
    heavy = strongest(summed(steps, run_of)) if 1 < len(runs) < len(given) else []
    refits = rows.without([*points, *joint, *(np.flatnonzero(run_of == run) for run in heavy)], best, half)
    alone, jointly, by_run = np.split(np.array(refits, dtype=object), np.cumsum([len(points), len(joint)]))
    named = [found and replace(found, rows=(), run=str(runs[run])) for run, found in zip(heavy, by_run, strict=True)]
    return Sensitivity(
        parameters=dict(zip(law.names, best.tolist(), strict=True)),
        intervals=spans,
        deltas=rows.corners(best, half),
        points=ordered(alone),
        without=ordered(jointly),
        runs=ordered(named),
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of a fit: inputs in the tables' units, measurements and weights, each (n,), and the objective."""

    law: Law
    x: Mapping[str, Array]
    y: Array
    weights: Array
    loss: Loss

    def without(self, left: Sequence[Array], best: Array, half: Array) -> list[Without | None]:
        """A refit without each set of rows, in their order; None where too few rows are left to fit."""
        found: list[Without | None] = []
        size = max(1, CELLS // (len(self.y) * len(best)))
        for first in range(0, len(left), size):
            part = left[first : first + size]
            weights = np.tile(self.weights, (len(part), 1))
            for b, rows in enumerate(part):
                weights[b, rows] = 0.0
            thetas, objectives = solve_batch(self.law, self.x, self.y, weights, best, self.loss.kind, self.loss.delta)
            usable = np.isfinite(objectives) & ((weights > 0).sum(axis=1) > len(best))
            for rows, theta, fine in zip(part, thetas, usable, strict=True):
                moved = np.abs(theta - best) / half
                place, values = tuple(int(row) for row in rows), dict(zip(self.law.names, theta.tolist(), strict=True))
                far = Without(
                    place, None, values, farthest(self.law, moved, min(1.0, NEAR * moved.max())), float(moved.max())
                )
                found.append(far if fine else None)
        return found

    def corners(self, best: Array, half: Array) -> tuple[Corner, ...]:
        """Refits with other corners of the objective; none where it has no corner."""
        if self.loss.kind == "squared":
            return ()
        found = []
        for factor in FACTORS:
            corner, typical = self.loss.delta * factor, float(np.median(self.loss.delta)) * factor
            thetas, objectives = solve_batch(self.law, self.x, self.y, self.weights[None], best, self.loss.kind, corner)
            moved = np.abs(thetas[0] - best) / half
            values = dict(zip(self.law.names, thetas[0].tolist(), strict=True))
            names = farthest(self.law, moved, 1.0)
            found.append(Corner(typical if np.isfinite(typical) else None, values, float(objectives[0]), names))
        return tuple(found)


def farthest(law: Law, moved: Array, least: float) -> tuple[str, ...]:
    """The parameters that move by at least so much, most first; moves (P,) in half widths."""
    return tuple(law.names[i] for i in np.argsort(-moved, kind="stable") if moved[i] >= least)


def strongest(steps: Array, most: int = TOP) -> list[int]:
    """The rows (or runs) of (n, P) with the longest step in any parameter, longest first."""
    return [int(row) for row in np.argsort(-np.abs(steps).max(axis=1), kind="stable")[:most]]


def together(steps: Array, count: int) -> list[Array]:
    """For each parameter and direction, the rows whose steps add up to the longest move; at most MOST rows."""
    count = min(max(count, 1), MOST, len(steps))
    sets = {}
    for column in np.concatenate([steps, -steps], axis=1).T:
        rows = np.argpartition(-column, count - 1)[:count]
        rows = np.sort(rows[column[rows] > 0])
        if len(rows):
            sets[tuple(rows)] = rows
    return list(sets.values())


def summed(steps: Array, member: Array) -> Array:
    """Steps added up over the rows of each run: (runs, P)."""
    return np.stack([np.bincount(member, column) for column in steps.T], axis=1)


def ordered(found: Iterable[Without | None]) -> tuple[Without, ...]:
    """Those that could be fitted, the largest move first."""
    return tuple(sorted((one for one in found if one is not None), key=lambda one: -one.half_widths))


def spans_of(
    law: Law, best: Array, deviation: Array, intervals: Mapping[str, Span] | None, level: float
) -> dict[str, tuple[float, float]]:
    """Intervals of all parameters: the given ones, and where an end is unknown normal ones from the deviations (P,)."""
    quantile, spans = float(ndtri((1 + level) / 2)), {}
    for name, value, wide in zip(law.names, best.tolist(), deviation.tolist(), strict=True):
        low, high = (intervals or {}).get(name, (None, None))
        wide = wide if np.isfinite(wide) else 0.0  # a parameter that rows of all magnitudes leave open
        spans[name] = (value - quantile * wide, value + quantile * wide)
        if low is not None and high is not None:
            spans[name] = (float(low), float(high))
    return spans
