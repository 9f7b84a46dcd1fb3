"""Damped Newton descent of many fits at once, each with its own weights on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.fitting.objective import Loss
from speciate.fitting.space import from_free, to_free
from speciate.laws.law import Array, Inputs, Law

MAX_STEPS = 200
PREDICTED = 1e-13  # stop when a step promises less than this share of the objective
EXACT = 1e-10  # or when predictions would move by less than this share of the spread of y
REWHITEN = 6  # steps after which coordinates are made orthonormal anew
BLIND = 1e-9  # a direction seen less than this share of the best seen one is left at rest


@dataclass(frozen=True)
class Rows:
    """What is fitted: scaled inputs, each (n,) or (B, n); y (n,) or (B, n); weights (B, n) >= 0."""

    x: Inputs
    y: Array
    weights: Array

    def take(self, chosen: Array) -> Rows:
        """The rows of some of the fits."""

        def pick(values: Array) -> Array:
            return values[chosen] if values.ndim == 2 else values

        return Rows({name: pick(v) for name, v in self.x.items()}, pick(self.y), self.weights[chosen])


@dataclass(frozen=True)
class Descent:
    """Where each fit ended: theta (B, P), objective, whether no further decrease is promised, steps (B,)."""

    theta: Array
    objective: Array
    converged: Array
    steps: Array


def objective_at(law: Law, rows: Rows, theta: Array, loss: Loss) -> Array:
    """The objective of theta (B, P) on each fit's weights: (B,)."""
    return loss.total(law.value_scaled(theta, rows.x), rows.y, rows.weights)


def descend(law: Law, rows: Rows, start: Array, loss: Loss) -> Descent:
    """Minimise from start (B, P); every fit stops on its own predicted decrease.

    A step solves (H + damping M) d = -g, g and H = J' diag(w rho'') J of the objective and
    M = J' diag(w rho'/r) J >= H its majoriser (iteratively reweighted least squares): damping 1
    is close to the majoriser's sure step, damping 0 is Newton's. All in coordinates in which M
    was the identity a few steps ago, so that ridges cost no accuracy.
    """
    free = to_free(law, start)
    theta, _ = from_free(law, free)
    size = len(free)
    objective = objective_at(law, rows, theta, loss)
    converged, steps = np.zeros(size, dtype=bool), np.zeros(size, dtype=int)
    damping, whiten = np.full(size, 1e-2), np.zeros((size, free.shape[1], free.shape[1]))
    active = np.flatnonzero(np.isfinite(objective))
    local = rows.take(active)
    enough = EXACT**2 * spread(rows, loss)
    unbounded = all(law.parameters[i].transform == "identity" for i in law.linear)
    settling = law.link is None and not loss.logarithmic and unbounded
    for step in range(MAX_STEPS):
        if not len(active):
            break
        slopes, loss_slope, curvature, majoriser = linearise(law, local, free[active], loss)
        if step % REWHITEN == 0:
            whiten[active] = whitening(slopes, majoriser)
        white = slopes @ whiten[active]
        gradient = np.einsum("bnp,bn->bp", white, loss_slope)
        exact = gram(white, curvature)
        metric = gram(white, majoriser)
        move, promised = step_of(gradient, exact, metric, damping[active])
        tried = free[active] + np.einsum("bpq,bq->bp", whiten[active], move)
        if settling:
            tried = settle(law, local, tried, loss)
        reached = objective_at(law, local, from_free(law, tried)[0], loss)
        gain = np.maximum(objective[active] - reached, -1e100) / np.maximum(promised, 1e-150)
        better = reached < objective[active]
        free[active[better]], objective[active[better]] = tried[better], reached[better]
        damping[active] *= np.where(gain > 0.75, 0.1, np.where(gain > 0.1, 1.0, 5.0))
        damping[active] = np.clip(damping[active], 1e-9, 1e12)
        steps[active] += 1
        floor = PREDICTED * objective[active] + enough[active]
        done = (promised <= floor) | (damping[active] >= 1e12)
        converged[active] = done
        if done.any():
            active = active[~done]
            local = rows.take(active)
    return Descent(from_free(law, free)[0], objective, converged, steps)


def linearise(law: Law, rows: Rows, free: Array, loss: Loss) -> tuple[Array, Array, Array, Array]:
    """d residual / d coordinate (B, n, P), and weighted rho', rho'', rho'/r (B, n)."""
    theta, chain = from_free(law, free)
    value, slopes = law.jacobian_scaled(theta, rows.x)
    residual = loss.residual(value, rows.y)
    slopes *= chain[:, None, :]
    if loss.logarithmic:
        slopes /= value[..., None]
    first, second, above = loss.derivatives(residual)
    return slopes, rows.weights * first, rows.weights * second, rows.weights * above


def settle(law: Law, rows: Rows, free: Array, loss: Loss) -> Array:
    """Linear parameters moved to the minimum of the majoriser at these nonlinear ones: (B, P).

    This keeps a step on the floor of a curved valley (variable projection), and never raises the
    objective. Only for linear parameters without bounds and residuals linear in the prediction.
    """
    theta, _ = from_free(law, free)
    basis = law.stack((*law.terms_at(theta[:, law.nonlinear], rows.x), np.zeros(rows.weights.shape)))[..., :-1]
    residual = (basis @ theta[:, law.linear, None])[..., 0] - rows.y
    weights = rows.weights * loss.derivatives(residual)[2]
    inward = whitening(basis, weights)
    white = basis @ inward
    pull = np.einsum("bnl,bn->bl", white, weights * residual)
    moved = free.copy()
    moved[:, law.linear] -= np.einsum("bkl,bl->bk", inward, pull)
    return moved


def spread(rows: Rows, loss: Loss) -> Array:
    """Weighted sum of squares of y (or ln y) about its mean, for each fit: (B,)."""
    y = np.broadcast_to(np.log(rows.y) if loss.logarithmic else rows.y, rows.weights.shape)
    total = np.maximum(rows.weights.sum(axis=-1), 1e-300)
    mean = np.sum(rows.weights * y, axis=-1) / total
    total_square: Array = np.sum(rows.weights * (y - mean[:, None]) ** 2, axis=-1)
    return total_square


def gram(slopes: Array, weights: Array) -> Array:
    """J' diag(weights) J: (B, n, P), (B, n) -> (B, P, P)."""
    product: Array = np.swapaxes(slopes, -1, -2) @ (slopes * weights[..., None])
    return product


def whitening(slopes: Array, weights: Array) -> Array:
    """V (B, P, P) with V' J' diag(weights) J V = 1, from J itself so that its condition is not squared.

    Directions that the rows do not see (BLIND) get a column of zeros: a fit does not move along them.
    """
    rows = slopes * np.sqrt(weights)[..., None]
    length = np.sqrt(np.sum(rows**2, axis=-2))
    length = np.where(length > 0, length, 1.0)
    upper = np.linalg.qr(rows / length[:, None, :], mode="r")
    _, scales, directions = np.linalg.svd(upper)
    seen = scales > BLIND * scales[:, :1]
    inverse = np.zeros((len(rows), rows.shape[-1], rows.shape[-1]))
    kept = scales.shape[-1]  # fewer rows than parameters leave directions that nothing sees
    sizes = np.where(seen, 1.0 / np.where(seen, scales, 1.0), 0.0)
    inverse[..., :kept] = np.swapaxes(directions[..., :kept, :], -1, -2) * sizes[:, None, :]
    return inverse / length[..., None]


def step_of(gradient: Array, exact: Array, metric: Array, damping: Array) -> tuple[Array, Array]:
    """The damped step (B, P) and the decrease (B,) that the quadratic model promises for it."""
    width = gradient.shape[-1]
    system = exact + damping[:, None, None] * (metric + 1e-3 * np.eye(width))
    ridge = 1e-13 + 1e-14 * np.trace(system, axis1=-2, axis2=-1)  # blind directions have rows of zeros
    system += ridge[:, None, None] * np.eye(width)
    move = -np.linalg.solve(system, gradient[..., None])[..., 0]
    linear = np.einsum("bp,bp->b", gradient, move)
    square = np.einsum("bp,bpq,bq->b", move, exact, move)
    return move, -linear - square / 2
