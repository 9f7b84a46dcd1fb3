"""From bootstrap replicates to intervals that cover: leverage and few degrees of freedom.

A fit follows its own rows, the more so the fewer units (trunks) pin a direction down. Residuals and
replicates are then too narrow. Two standard corrections, at the linearised optimum:

leverage   residuals of unit c are multiplied by (I - H_cc)^(-1/2), H the hat matrix (CR2; Bell and
           McCaffrey 2002), and the predictions of replicates by the matrix that takes the sandwich of the
           scores rho' of the residuals as they are to that of the scores of the corrected ones. (Beyond Huber's
           corner a larger residual pulls no more: corrected as for least squares, intervals of parameters
           cover 94 to 97 %.) A replicate far along a ridge predicts the rows nearly as before; that is what is
           corrected, and its parameters follow. Multiplied itself, it leaves the ridge (intervals of a law's
           value of 1 to 5.3 about 3.3 were seen where the noise is 1 %).
t          a direction that few units decide gets the t quantile of its Satterthwaite degrees of freedom,
           (sum_c v_c)^2 / sum_c v_c^2 with v_c the share of unit c in the variance of that direction.

benchmarks/coverage.py measures what this brings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from speciate.fitting.descend import Rows, linearise
from speciate.fitting.objective import Loss
from speciate.fitting.space import to_free
from speciate.laws.law import Array, Law

MANY = 400  # units beyond which t and normal quantiles agree to .2 %
MOST = 0.95  # leverage beyond which a unit is all that a direction rests on; corrected as if at this
SHARED = 0.5  # assumed correlation of errors within a unit (only degrees of freedom depend on it, weakly)


@dataclass(frozen=True, eq=False)
class Spread:
    """What widens intervals: ``turn`` (P, P) for small moves, ``residuals`` (n,) corrected, in the fit's space.

    ``farther`` (K, K) is that turn in the space of ``left`` (n, K), whitened predictions of rows that count by the
    square of ``weight`` (n,). ``inward`` (P, P) takes a gradient to the whitened space, where ``shares`` (G, P, P)
    give each unit's variance; None with so many units that degrees of freedom do not matter.
    """

    turn: Array
    residuals: Array
    inward: Array
    shares: Array | None
    left: Array
    farther: Array
    weight: Array

    def extra(self, changes: Array) -> Array:
        """What to add to changes of predictions (B, n), in the fit's space, so that they are as wide as they should."""
        seen = (changes * self.weight) @ self.left
        more = (seen @ self.farther.T - seen) @ self.left.T
        extra: Array = np.divide(more, self.weight, out=np.zeros_like(more), where=self.weight > 0)
        return extra

    def widening(self, gradient: Array, level: float) -> Array:
        """t over normal quantile for directions: gradients in the free space (m, P) -> (m,), at least 1."""
        if self.shares is None:
            return np.ones(len(gradient))
        return t_over_normal(degrees(self.shares, gradient @ self.inward), level)


def t_over_normal(freedom: Array, level: float) -> Array:
    """How much wider a t interval is than a normal one.

    >>> t_over_normal(np.array([5.0, 1e9]), 0.9).round(3)
    array([1.225, 1.   ])
    """
    tail = (1 + level) / 2
    ratio: Array = stdtrit(np.maximum(freedom, 1.0), tail) / ndtri(tail)
    return ratio


def degrees(shares: Array, direction: Array) -> Array:
    """Satterthwaite degrees of freedom of whitened directions (m, P), from shares (G, P, P): (m,)."""
    parts = np.einsum("mp,gpq,mq->mg", direction, shares, direction, optimize=True)
    freedom: Array = parts.sum(axis=1) ** 2 / np.maximum((parts**2).sum(axis=1), 1e-300)
    return np.where(parts.sum(axis=1) > 0, freedom, np.inf)


def gradients(law: Law, theta: Array, rows: Rows, loss: Loss) -> Array:
    """d residual / d free coordinate at rows (n, P)."""
    slopes, _, _, _ = linearise(law, rows, to_free(law, theta)[None], loss)
    return np.asarray(slopes[0])


def spread_of(law: Law, theta: Array, rows: Rows, loss: Loss, residuals: Array, units: Array) -> Spread:
    """Corrections for a fit: residuals (n,) in its space, units (n,) from 0; rows.weights (1, n)."""
    weight = np.sqrt(rows.weights[0])
    left, scales, directions = np.linalg.svd(gradients(law, theta, rows, loss) * weight[:, None], full_matrices=False)
    kept = int(np.sum(scales > 1e-9 * scales[0])) if len(scales) and scales[0] > 0 else 0
    left, scales, directions = left[:, :kept], scales[:kept], directions[:kept]
    count = int(units.max()) + 1
    corner = np.where(weight > 0, np.maximum(weight, 1e-300) * loss.corner, np.inf)
    raw, adjusted, shares, corrected = by_unit(left, weight * residuals, corner, units, count)
    turn = sandwich_turn(raw, adjusted)
    inward = directions.T / scales
    blind = np.eye(len(theta)) - directions.T @ directions
    turned = inward @ turn @ (scales[:, None] * directions) + blind
    corrected = np.divide(corrected, weight, out=residuals.copy(), where=weight > 0)
    return Spread(turned, corrected, inward, shares if count <= MANY else None, left, turn, weight)


def by_unit(
    left: Array, residuals: Array, corner: Array, units: Array, count: int
) -> tuple[Array, Array, Array, Array]:
    """Scores of each unit before and after correction (G, K), variance shares (G, K, K), corrected residuals (n,)."""
    pull = np.clip(residuals, -corner, corner)
    width = left.shape[1]
    raw, adjusted = np.zeros((count, width)), np.zeros((count, width))
    shares = np.zeros((count if count <= MANY else 0, width, width))
    corrected = residuals.copy()
    order = np.argsort(units, kind="stable")
    edges = np.searchsorted(units[order], np.arange(count + 1))
    sizes = np.diff(edges)
    single = order[edges[:-1][sizes == 1]]  # units of one row, all at once
    part = left[single]
    grown = 1 / np.sqrt(1 - np.minimum(np.sum(part**2, axis=1), MOST))
    corrected[single] *= grown
    raw[units[single]] = part * pull[single, None]
    adjusted[units[single]] = part * np.clip(corrected, -corner, corner)[single, None]
    if len(shares):
        shares[units[single]] = (part * grown[:, None])[:, :, None] * (part * grown[:, None])[:, None, :]
    for unit in np.flatnonzero(sizes > 1):
        members = order[edges[unit] : edges[unit + 1]]
        base, lever, turn = np.linalg.svd(left[members], full_matrices=False)
        grow = 1 / np.sqrt(1 - np.minimum(lever**2, MOST))
        corrected[members] += base @ ((grow - 1) * (base.T @ residuals[members]))
        raw[unit] = left[members].T @ pull[members]
        adjusted[unit] = left[members].T @ np.clip(corrected[members], -corner[members], corner[members])
        if len(shares):
            heavy = (turn.T * (lever * grow)) @ base.T  # U' A, (K, rows)
            together = heavy.sum(axis=1)
            shares[unit] = (1 - SHARED) * heavy @ heavy.T + SHARED * np.outer(together, together)
    return raw, adjusted, shares, corrected


def sandwich_turn(raw: Array, adjusted: Array) -> Array:
    """T with T S0 T' = S2 for the sums of squares of scores (G, K): the optimal map between two normals.

    No direction grows by more than one unit's residuals may: where units are fewer than directions, S0 is singular.
    """
    before, after = raw.T @ raw, adjusted.T @ adjusted
    if not len(before) or np.trace(before) <= 0:
        return np.eye(len(before))
    half, inverse = root(before, 0.5), root(before, -0.5)
    sizes, axes = np.linalg.eigh(inverse @ root(half @ after @ half, 0.5) @ inverse)
    turn: Array = (axes * np.minimum(sizes, 1 / np.sqrt(1 - MOST))) @ axes.T
    return turn


def root(matrix: Array, power: float) -> Array:
    """A power of a symmetric positive matrix; directions without weight are left as faint as the faintest seen."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.maximum(values, 1e-12 * values[-1])
    result: Array = (vectors * values**power) @ vectors.T
    return result
