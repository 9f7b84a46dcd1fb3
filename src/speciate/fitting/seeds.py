"""Where descents start: a grid of the nonlinear parameters, the linear ones projected out at each."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from speciate.fitting.descend import Rows, objective_at
from speciate.fitting.objective import Loss
from speciate.laws.law import Array, Law

# Points along one nonlinear parameter, by how many there are.
POINTS = {1: 60, 2: 24, 3: 10}


def axes(law: Law) -> list[Array]:
    """Values to try for each nonlinear parameter: denser near 0, inside the bounds, never 0."""
    found = []
    for column in law.nonlinear:
        parameter = law.parameters[column]
        count = POINTS[len(law.nonlinear)]
        if parameter.low < 0:  # symmetric: bends of either direction, 0.02 to near the bound
            half = np.geomspace(0.02, 0.97 * parameter.high, count // 2)
            found.append(np.concatenate([-half[::-1], half]))
        else:
            found.append(np.geomspace(0.02, 0.8 * parameter.high, count))
    return found


def seeds(law: Law, rows: Rows, loss: Loss, count: int) -> Array:
    """Each fit's ``count`` starts: (B, count, P). The grid's own valleys first, then its next best points."""
    along = axes(law)
    points = np.array(list(product(*along)))
    if len(rows.weights) == 1:  # one fit: all points at once
        thetas = project(law, rows, points, loss)[None]
        scores = objective_at(law, rows, thetas[0], loss)[None]
    else:
        thetas = np.stack([project(law, rows, point, loss) for point in points], axis=1)
        scores = np.stack([objective_at(law, rows, thetas[:, g], loss) for g in range(len(points))], axis=1)
    table = scores.reshape(-1, *(len(axis) for axis in along))
    valley = np.ones(table.shape, dtype=bool)
    for axis in range(1, table.ndim):
        rim = np.full_like(np.take(table, [0], axis=axis), np.inf)
        before = np.concatenate([rim, table], axis=axis)
        after = np.concatenate([table, rim], axis=axis)
        valley &= np.take(before <= after, range(1, table.shape[axis] + 1), axis=axis)  # not above the next
        valley &= np.take(after <= before, range(table.shape[axis]), axis=axis)  # nor above the one before
    rank = np.lexsort((scores, ~valley.reshape(scores.shape)), axis=1)[:, :count]
    return np.take_along_axis(thetas, rank[..., None], axis=1)


def project(law: Law, rows: Rows, nonlinear: Array, loss: Loss) -> Array:
    """Linear parameters at nonlinear points: theta (B, P).

    ``nonlinear`` is one point (Q,) for every fit, or (B, Q); weights may be (1, n) against many
    points. Weighted least squares (weights / y^2 under a logarithmic objective), with parameters
    that cannot be negative held at zero where that is best (all their subsets are tried).
    """
    basis = law.stack((*law.terms_at(nonlinear, rows.x), np.zeros(np.shape(rows.y)[-1])))[..., :-1]
    weights = rows.weights / rows.y**2 if loss.logarithmic else rows.weights
    length = np.sqrt(np.mean(basis**2, axis=-2))
    length = np.where((length > 0) & np.isfinite(length), length, 1.0)
    basis = basis / length[..., None, :]
    normal, right = normal_equations(basis, rows.y, weights)
    bounded = [i for i, column in enumerate(law.linear) if law.parameters[column].sign == ">=0"]
    coefficients = non_negative(normal, right, bounded) / length
    theta = np.empty((len(coefficients), len(law.parameters)))
    theta[:, law.linear] = coefficients
    theta[:, law.nonlinear] = nonlinear
    return theta


def normal_equations(basis: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """X'WX (B, L, L) and X'Wy (B, L); one matrix product for all fits when they share their rows."""
    width = basis.shape[-1]
    if basis.ndim == 2 and y.ndim == 1:
        pairs = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), width * width)
        return (weights @ pairs).reshape(-1, width, width), (weights * y) @ basis
    heavy = np.swapaxes(basis * weights[..., None], -1, -2)
    return heavy @ basis, (heavy @ y[..., None])[..., 0]


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
