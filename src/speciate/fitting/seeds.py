"""Where descents start: a grid of the nonlinear parameters, the linear ones projected out at each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from speciate.fitting.descend import Rows, objective_at
from speciate.fitting.objective import Loss
from speciate.laws.law import COMPLEX_STEP, Array, Law, Parameter

# Points along one nonlinear parameter, by how many there are; beyond, points scattered over all of them.
POINTS = {1: 60, 2: 24, 3: 10}
SCATTERED = 2048
CELLS = 50_000  # points times rows that are held at a time: they stay in cache


def axis(parameter: Parameter, count: int) -> Array:
    """Values to try for one nonlinear parameter: denser near 0, inside the bounds, never 0."""
    if parameter.search is not None:
        return spaced(*parameter.search, count)
    assert np.isfinite(parameter.high), f"{parameter.name} needs a range to search"
    if parameter.low < 0:  # symmetric: bends of either direction, 0.02 to near the bound
        half = np.geomspace(0.02, 0.97 * parameter.high, count // 2)
        return np.concatenate([-half[::-1], half])
    return np.geomspace(0.02, 0.8 * parameter.high, count)


def spaced(low: float, high: float, count: int) -> Array:
    """``count`` values from low to high, evenly in the logarithm if both are positive."""
    return np.geomspace(low, high, count) if low > 0 else np.linspace(low, high, count)


def axes(law: Law) -> list[Array]:
    """Values to try for each nonlinear parameter of a law that has few."""
    return [axis(law.parameters[column], POINTS[len(law.nonlinear)]) for column in law.nonlinear]


def scattered(count: int, dimensions: int) -> Array:
    """Points that fill the unit cube evenly, (count, dimensions): Roberts' generalised golden ratio sequence.

    >>> scattered(3, 1).ravel().round(3)
    array([0.118, 0.736, 0.354])
    """
    ratio = 2.0
    for _ in range(60):  # the root of r^(d+1) = r + 1
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0


def points(law: Law, rows: Rows) -> tuple[Array, tuple[int, ...] | None]:
    """Nonlinear parameters to project at, (G, Q), and the shape of their grid if they form one."""
    if law.candidates is not None:
        return law.candidates(rows.x, rows.y if rows.y.ndim == 1 else rows.y[0]), None
    if not law.nonlinear:
        return np.zeros((1, 0)), None
    if len(law.nonlinear) in POINTS:
        along = axes(law)
        return np.array(list(product(*along))), tuple(len(values) for values in along)
    where = 255 * scattered(SCATTERED, len(law.nonlinear))
    fine = [axis(law.parameters[column], 256) for column in law.nonlinear]
    return np.stack([np.interp(where[:, i], np.arange(256), values) for i, values in enumerate(fine)], axis=1), None


def seeds(law: Law, rows: Rows, loss: Loss, count: int) -> Array:
    """Each fit's ``count`` starts: (B, count, P). The grid's own valleys first, then its next best points."""
    tried, shape = points(law, rows)
    if len(rows.weights) == 1:  # one fit: many points at once
        size = max(1, CELLS // rows.weights.shape[1])
        parts = [tried[first : first + size] for first in range(0, len(tried), size)]
        projected = [project(law, rows, part, loss) for part in parts]
        thetas = np.concatenate(projected)[None]
        scores = np.concatenate([objective_at(law, rows, part, loss) for part in projected])[None]
    else:
        thetas = np.stack([project(law, rows, point, loss) for point in tried], axis=1)
        scores = np.stack([objective_at(law, rows, thetas[:, g], loss) for g in range(len(tried))], axis=1)
    above = ~valleys(scores.reshape(-1, *shape)).reshape(scores.shape) if shape else np.zeros_like(scores, dtype=bool)
    rank = np.lexsort((scores, above), axis=1)[:, :count]
    return np.take_along_axis(thetas, rank[..., None], axis=1)


def valleys(table: Array) -> Array:
    """Grid points that no neighbour along an axis lies below: (B, ...) -> (B, ...) bool."""
    lowest = np.ones(table.shape, dtype=bool)
    for ax in range(1, table.ndim):
        rim = np.full_like(np.take(table, [0], axis=ax), np.inf)
        before = np.concatenate([rim, table], axis=ax)
        after = np.concatenate([table, rim], axis=ax)
        lowest &= np.take(before <= after, range(1, table.shape[ax] + 1), axis=ax)  # not above the next
        lowest &= np.take(after <= before, range(table.shape[ax]), axis=ax)  # nor above the one before
    return lowest


def project(law: Law, rows: Rows, nonlinear: Array, loss: Loss) -> Array:
    """Linear parameters at nonlinear points: theta (B, P).

    ``nonlinear`` is one point (Q,) for every fit, or (B, Q); weights may be (1, n) against many
    points. Weighted least squares (weights / y^2 under a logarithmic objective), with parameters
    that cannot be negative held at zero where that is best (all their subsets are tried). Behind a
    link, least squares of the inverse, weighted by the link's slope there.
    """
    terms = law.terms_at(nonlinear, rows.x)
    weights = rows.weights / rows.y**2 if loss.logarithmic else rows.weights
    target = rows.y
    if law.link is not None:
        target, weights = unlinked(law, rows, nonlinear, weights)
    basis, length = columns(terms, np.shape(rows.y)[-1])
    normal, right = normal_equations(basis, target, weights)
    bounded = [i for i, column in enumerate(law.linear) if law.parameters[column].sign == ">=0"]
    coefficients = non_negative(normal, right, bounded) / length
    theta = np.empty((len(coefficients), len(law.parameters)))
    theta[:, law.linear] = coefficients
    theta[:, law.nonlinear] = nonlinear
    return theta


def unlinked(law: Law, rows: Rows, nonlinear: Array, weights: Array) -> tuple[Array, Array]:
    """Measurements before the link, and their weights there; a row whose value the link cannot give weighs nothing."""
    assert law.link is not None
    bends = law.named_bends(nonlinear)
    with np.errstate(all="ignore"):
        target = law.link.inverse(rows.y, bends, rows.x)
        slope = law.link.value(target + 1j * COMPLEX_STEP, bends, rows.x).imag / COMPLEX_STEP
        weights = weights * slope**2
    known = np.isfinite(target) & np.isfinite(weights)
    return np.where(known, target, 0.0), np.where(known, weights, 0.0)


def columns(terms: Sequence[Array | float], count: int) -> tuple[Array, Array]:
    """Terms (..., n) one below the other, each divided by its largest value: (..., L, n) and those values (..., L).

    What is not finite counts as 0.
    """
    shape = np.broadcast_shapes(*(np.shape(term) for term in terms), (count,))
    basis = np.empty((*shape[:-1], len(terms), count))
    for i, term in enumerate(terms):
        basis[..., i, :] = term
    largest = np.maximum(basis.max(axis=-1), -basis.min(axis=-1))
    if not np.isfinite(largest).all():
        basis = np.nan_to_num(basis, posinf=0.0, neginf=0.0)
        largest = np.abs(basis).max(axis=-1)
    largest = np.where(largest > 0, largest, 1.0)
    basis /= largest[..., None]
    return basis, largest


def normal_equations(basis: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """X'WX (B, L, L) and X'Wy (B, L) of columns (..., L, n); one matrix product where fits share their rows."""
    width = basis.shape[-2]
    if basis.ndim == 2 and y.ndim == 1 and weights.ndim == 2:
        pairs = (basis[:, None, :] * basis[None, :, :]).reshape(width * width, -1)
        return (weights @ pairs.T).reshape(-1, width, width), (weights * y) @ basis.T
    heavy = basis * weights[..., None, :]
    return heavy @ np.swapaxes(basis, -1, -2), (heavy @ y[..., None])[..., 0]


def non_negative(normal: Array, right: Array, bounded: list[int]) -> Array:
    """argmin b'Nb/2 - b'r with b[bounded] >= 0, for each fit: (B, L)."""
    width = right.shape[-1]
    best, value = np.zeros_like(right), np.full(len(right), np.inf)
    ridge = 1e-13 * np.trace(normal, axis1=-2, axis2=-1)[:, None, None] * np.eye(width) + 1e-300 * np.eye(width)
    for held in (set(c) for k in range(len(bounded) + 1) for c in combinations(bounded, k)):
        free = [i for i in range(width) if i not in held]
        if not free:
            continue
        part = np.linalg.solve((normal + ridge)[:, free][:, :, free], right[:, free, None])[..., 0]
        candidate = np.zeros_like(right)
        candidate[:, free] = part
        # at the minimum over the free ones, b'Nb = b'r
        quadratic = -np.einsum("bi,bi->b", candidate, right) / 2
        fine = (candidate[:, bounded] >= 0).all(axis=1) & (quadratic < value)
        best[fine], value[fine] = candidate[fine], quadratic[fine]
    return best
