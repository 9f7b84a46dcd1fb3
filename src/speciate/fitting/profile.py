"""Profile intervals: how far one parameter can go, all others refitted, before the rows object.

The objective is an M-estimate's, of rows that share runs and trunks, so its rise has no scale of its own.
The rise allowed is  q^2 V_jj / (2 (H^-1)_jj)  with H and the cluster-robust variance V of
``speciate.fitting.curvature`` and q the t quantile with (clusters - 1) degrees of freedom. Where the
objective is quadratic that is the interval theta_j -+ q sqrt(V_jj); where it is not, it follows the ridge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from speciate.fitting.curvature import curvature
from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve_batch
from speciate.fitting.space import LOG_FLOOR, from_free, to_free
from speciate.laws.law import Array, Input, Inputs, Law, Link, Parameter

HELD = "held parameter"
QUARTERS = np.array([0.25, 0.5, 0.75, 1.0])
STRIDE = 1.3  # first step, in half widths to expect
REACH = 64.0  # half widths to expect beyond which no end is sought
ROUNDS = 40
STRAIGHT = 0.15  # difference in the root of the rise below which a straight line is drawn
CLIFF = 1e-3  # step, in half widths, below which the objective is taken to jump
BEGINS = 1e-6  # share of the prediction from which a parameter on its bound 0 begins to matter
EDGE = 9.2  # |logit| beyond which a bounded parameter is on its bound: a share of 1e-4 of its range
LOG_EDGE = 69.0  # ln 1e30


class Interval(NamedTuple):
    """An interval in the parameter's unit; None where the rows set no end, and ``note`` says so."""

    low: float | None
    high: float | None
    note: str


def profile(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    weights: ArrayLike | None,
    theta: ArrayLike,
    loss: Loss,
    trunk_ids: Sequence[Any] | Array,
    level: float = 0.9,
    names: Sequence[str] | None = None,
) -> dict[str, Interval]:
    """The profile interval of every parameter, or of those of the given names.

    x in the tables' units, y and weights (n,), theta (P,) the optimum on these rows, ``trunk_ids`` (n,) what
    is independent of what (trunks; runs where there is one trunk). An end is None where the objective never
    rises enough inside the parameter's bounds.

    >>> from speciate.laws.cmr import CMR
    >>> from speciate.fitting.solve import solve
    >>> x = {"tokens": np.geomspace(2e10, 4e11, 12)}
    >>> y = CMR.predict([0.4, 0.1, 0.1], x) + np.random.default_rng(0).normal(0, 0.01, 12)
    >>> spans = profile(CMR, x, y, None, solve(CMR, x, y).theta, Loss("huber", 1e-3), np.arange(12))
    >>> spans["c"].low < 0.4 < spans["c"].high
    True
    """
    wanted = law.names if names is None else tuple(names)
    measured = np.asarray(y, dtype=float)
    given = np.ones_like(measured) if weights is None else np.asarray(weights, dtype=float)
    used = given > 0
    clusters = np.asarray(trunk_ids)[used]
    independent = len(np.unique(clusters))
    if independent < 2:
        return dict.fromkeys(wanted, Interval(None, None, "no interval: all rows come from one run"))
    columns = {given.name: np.asarray(x[given.name], dtype=float)[used] for given in law.inputs}
    free = to_free(law, np.asarray(theta, dtype=float))
    if np.ndim(loss.delta):
        loss = Loss(loss.kind, np.asarray(loss.delta)[used])
    rows = (columns, measured[used], given[used])
    about = curvature(law, *rows, from_free(law, free)[0], loss)
    variance, stiffness = np.diag(about.variance(clusters)), np.diag(about.inverse)
    known = stiffness > 0
    ratio = np.divide(variance, stiffness, out=np.zeros_like(variance), where=known)
    ratio[~known] = ratio[known].mean() if known.any() else 0.0
    quantile = float(stdtrit(independent - 1, (1 + level) / 2))
    found = {}
    for j in (law.names.index(name) for name in wanted):
        tangent = np.delete(about.inverse[:, j], j) / stiffness[j] if known[j] else np.zeros(len(free) - 1)
        width = quantile * float(np.sqrt(variance[j]))
        search = Search(law, j, *rows, loss, free, tangent, width, quantile**2 * float(ratio[j]) / 2)
        found[law.names[j]] = search.interval()
    return found


@dataclass(frozen=True, eq=False)
class Search:
    """One parameter's search: the rows, the optimum in unbounded coordinates, and the rise that is allowed.

    ``tangent`` (P-1,): how the other coordinates follow this one; ``width``: the half width to expect.
    """

    law: Law
    column: int
    x: Mapping[str, Array]
    y: Array
    weights: Array
    loss: Loss
    free: Array
    tangent: Array
    width: float
    allowed: float

    def interval(self) -> Interval:
        """Both ends, in the parameter's unit."""
        place = self.free[self.column]
        bound = self.resting()
        if bound == 0 and self.width <= 1e-10 * (1 + abs(place)):  # nothing to tell apart, or nothing left over
            if self.allowed > 0 or not self.tangent.any():
                return Interval(None, None, "no interval: the rows do not respond to it")
            value = float(self.unit_of(place))
            return Interval(value, value, "")
        low = None if bound < 0 else self.end(-1)
        high = None if bound > 0 else self.end(+1)
        words = " or ".join(side for side, end in (("below", low), ("above", high)) if end is None)
        return Interval(low, high, f"no end {words}: the rows allow every value there" if words else "")

    @property
    def parameter(self) -> Parameter:
        return self.law.parameters[self.column]

    def unit_of(self, place: float) -> float:
        """The parameter at a place of its unbounded coordinate."""
        free = self.free.copy()
        free[self.column] = place
        return float(from_free(self.law, free)[0][self.column])

    def resting(self) -> int:
        """-1 or +1 where the parameter rests on its lower or upper bound, else 0."""
        if self.parameter.transform == "logit-scaled":
            return int(np.sign(self.free[self.column])) if abs(self.free[self.column]) > EDGE else 0
        return -1 if self.parameter.sign == ">=0" and self.parameter.linear and self.share() < BEGINS else 0

    def share(self) -> float:
        """The largest part that a linear parameter has in a prediction (before any link)."""
        theta = from_free(self.law, self.free)[0]
        theta[self.column] = theta[self.column] or LOG_FLOOR  # at rest: as faint as its coordinate says
        parts = self.law.basis(theta[list(self.law.nonlinear)], self.x) * theta[list(self.law.linear)]
        part = np.abs(parts[:, self.law.linear.index(self.column)])
        return float(np.max(part / np.maximum(np.abs(parts.sum(axis=1)), 1e-300)))

    def origin(self) -> tuple[float, float, Array]:
        """Where the search sets out, its unit of length, and how the others follow.

        From a bound, where the coordinate has no width, it sets out where the parameter begins to matter.
        """
        place, bound = float(self.free[self.column]), self.resting()
        if bound == 0:
            return place, self.width, self.tangent
        at_rest = np.zeros_like(self.tangent)
        if self.parameter.transform == "logit-scaled":
            return bound * EDGE, 1.0, at_rest
        return place + float(np.log(BEGINS / max(self.share(), 1e-300))), 1.0, at_rest

    def limits(self) -> tuple[float, float]:
        """Places beyond which no end is sought: bounds, and where a part of the prediction no longer matters."""
        if self.parameter.transform == "logit-scaled":
            return -EDGE, EDGE
        if self.parameter.transform == "identity":
            return self.parameter.low, self.parameter.high
        least = -LOG_EDGE
        if self.parameter.linear and self.resting() == 0:
            least = float(self.free[self.column]) + float(np.log(BEGINS / max(self.share(), 1e-300)))
        return least, LOG_EDGE

    def end(self, side: int) -> float | None:
        """The last value on one side at which the rise is allowed; None if it is allowed as far as is sought.

        A march: four refits at a time from the last one allowed, along the way the others have been moving.
        The step doubles while all four are allowed; else it shrinks to the first that is not, which is tried
        again from nearer, for a refit from afar may have ended in another valley.
        """
        origin, unit, slope = self.origin()
        low, high = self.limits()
        inner, step = Tried(origin, 0.0, np.delete(self.free, self.column)), STRIDE * unit
        for _ in range(ROUNDS):
            places = np.clip(inner.place + side * step * QUARTERS, low, high)
            tried = self.refit(places, inner.others + (places - inner.place)[:, None] * slope)
            count = next((i for i, point in enumerate(tried) if point.rise >= 1), len(tried))
            if count:
                last = tried[count - 1]
                if last.place != inner.place:
                    slope = (last.others - inner.others) / (last.place - inner.place)
                inner = last
            if count == len(tried):
                if inner.place in (low, high) or abs(inner.place - origin) > REACH * unit:
                    return None
                step *= 2
                continue
            outer = tried[count]
            step = abs(outer.place - inner.place)
            if outer.rise - inner.rise < STRAIGHT:
                share = (1 - inner.rise) / (outer.rise - inner.rise)
                return self.unit_of(inner.place + share * (outer.place - inner.place))
            if step < CLIFF * unit:
                break
        return self.unit_of(inner.place)

    def refit(self, places: Array, begin: Array) -> list[Tried]:
        """All others refitted with this parameter at each place, (B,), from coordinates (B, P-1)."""
        size, rest = len(places), held(self.law, self.parameter.name)
        values = np.array([self.unit_of(place) for place in places])
        inputs = {name: np.broadcast_to(column, (size, len(self.y))) for name, column in self.x.items()}
        inputs[HELD] = np.broadcast_to(values[:, None], (size, len(self.y)))
        weights = np.broadcast_to(self.weights, (size, len(self.y)))
        best = self.loss.total(self.law.predict(from_free(self.law, self.free)[0], self.x), self.y, self.weights)
        if rest.parameters:
            start = from_free(rest, begin)[0]
            thetas, objectives = solve_batch(rest, inputs, self.y, weights, start, self.loss.kind, self.loss.delta)
        else:
            thetas, objectives = begin, self.loss.total(rest.predict(begin, inputs), self.y, weights)
        rises = np.sqrt(np.maximum(objectives - best, 0.0) / self.allowed)
        others = to_free(rest, thetas)
        return [Tried(float(p), float(r), o) for p, r, o in zip(places, rises, others, strict=True)]


@dataclass(frozen=True, eq=False)
class Tried:
    """One refit: the held coordinate, the root of (rise / allowed rise), and the other coordinates (P-1,)."""

    place: float
    rise: float
    others: Array


def held(law: Law, name: str) -> Law:
    """The same law with one parameter given as the input HELD rather than sought.

    >>> from speciate.laws.chinchilla import CHINCHILLA
    >>> held(CHINCHILLA, "alpha").names
    ('E', 'A', 'B', 'beta')
    """
    column = law.names.index(name)
    rest = tuple(parameter for parameter in law.parameters if parameter.name != name)
    inputs = (*law.inputs, Input(HELD, law.parameters[column].unit, values=1, zero=True))
    changed = replace(law, parameters=rest, inputs=inputs, candidates=None, published=None, slopes=None)
    return held_linear(law, column, changed) if law.parameters[column].linear else held_nonlinear(law, name, changed)


def held_nonlinear(law: Law, name: str, changed: Law) -> Law:
    """Terms and link read the held value where they read the parameter."""

    def given(nonlinear: Mapping[str, Array], x: Inputs) -> dict[str, Array]:
        return {**nonlinear, name: x[HELD][..., :1]}

    def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
        return law.terms(given(nonlinear, x), x)

    link = law.link
    if link is None:
        return replace(changed, terms=terms)

    def value(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
        return link.value(u, given(nonlinear, x), x)

    def inverse(y: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
        return link.inverse(y, given(nonlinear, x), x)

    reads = tuple(read for read in link.reads if read != name)
    return replace(changed, terms=terms, link=Link(value, inverse, reads))


def held_linear(law: Law, column: int, changed: Law) -> Law:
    """The held value times its term is no longer sought: a link adds it."""
    place, link = law.linear.index(column), law.link

    def terms(nonlinear: Mapping[str, Array], x: Inputs) -> tuple[Array | float, ...]:
        every = law.terms(nonlinear, x)
        return every[:place] + every[place + 1 :]

    def part(nonlinear: Mapping[str, Array], x: Inputs) -> Array:
        return np.asarray(x[HELD][..., :1] * law.terms(nonlinear, x)[place])

    def value(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
        whole = u + part(nonlinear, x)
        return whole if link is None else link.value(whole, nonlinear, x)

    def inverse(y: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
        whole = y if link is None else link.inverse(y, nonlinear, x)
        return whole - part(nonlinear, x)

    bends = tuple(parameter.name for parameter in law.parameters if not parameter.linear)
    return replace(changed, terms=terms, link=Link(value, inverse, bends))
