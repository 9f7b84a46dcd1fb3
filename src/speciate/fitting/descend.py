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
REWHITEN = 6  # steps after which coordinates are made orthonormal anew, and finished fits are replaced
FEWEST, MOST = 16, 250  # fits that descend side by side
CACHED = 300_000  # and the numbers their Jacobian may hold: more leave the cache, fewer waste calls
MILD = 1e-8  # least eigenvalue of M, of its largest, that products of slopes still tell
DAMPING = 0.1  # at the start
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


@dataclass(frozen=True)
class Evaluation:
    """Each fit at a point: objective (B,), d residual / d coordinate (B, n, P), weighted rho', rho'', rho'/r (B, n)."""

    objective: Array
    slopes: Array
    first: Array
    second: Array
    above: Array


@dataclass(frozen=True)
class Quadratic:
    """The objective about a point, in the coordinates of a frame: gradient (B, P), H and its majoriser M (B, P, P)."""

    gradient: Array
    exact: Array
    metric: Array

    def take(self, chosen: Array) -> Quadratic:
        """The models of some of the fits."""
        return Quadratic(self.gradient[chosen], self.exact[chosen], self.metric[chosen])

    def finite(self) -> Array:
        """Which models a step can be taken from: (B,) bool."""
        return np.asarray(np.isfinite(self.gradient).all(axis=1) & np.isfinite(self.metric).all(axis=(1, 2)))

    def or_else(self, chosen: Array, other: Quadratic) -> Quadratic:
        """These models, with those of ``other`` in place of some."""
        if chosen.all():
            return other
        one, two = chosen[:, None], chosen[:, None, None]
        return Quadratic(
            np.where(one, other.gradient, self.gradient),
            np.where(two, other.exact, self.exact),
            np.where(two, other.metric, self.metric),
        )


@dataclass(frozen=True)
class Frame:
    """Coordinates V (B, P, P) in which M was the identity.

    ``sharp``: V must meet the slopes before these are multiplied with each other. The other order is
    cheaper, and right unless the condition of the slopes, squared, eats the digits.
    """

    whiten: Array
    sharp: bool


def objective_at(law: Law, rows: Rows, theta: Array, loss: Loss) -> Array:
    """The objective of theta (B, P) on each fit's weights: (B,)."""
    return loss.total(law.value_scaled(theta, rows.x), rows.y, rows.weights)


def descend(law: Law, rows: Rows, start: Array, loss: Loss, exact: float = EXACT) -> Descent:
    """Minimise from start (B, P); every fit stops on its own predicted decrease.

    ``exact``: or where predictions would move by less than this share of the spread of y.

    A step solves (H + damping M) d = -g, g and H = J' diag(w rho'') J of the objective and
    M = J' diag(w rho'/r) J >= H its majoriser (iteratively reweighted least squares): damping 1
    is close to the majoriser's sure step, damping 0 is Newton's. All in coordinates in which M
    was the identity a few steps ago, so that ridges cost no accuracy. As many fits as the cache
    holds descend side by side; others take the places of those that have finished.
    """
    free = to_free(law, start)
    size, width = free.shape
    now = Descent(free, np.full(size, np.inf), np.zeros(size, dtype=bool), np.zeros(size, dtype=int))
    damping = np.full(size, DAMPING)
    enough = exact**2 * spread(rows, loss)
    room = int(np.clip(CACHED // (rows.weights.shape[1] * width), FEWEST, MOST))
    active, entered = np.arange(0), 0
    while len(active) or entered < size:
        fresh = np.arange(entered, min(size, entered + room - len(active)))
        active, entered = np.concatenate([active, fresh]), entered + len(fresh)
        local = rows.take(active)
        at = evaluate(law, local, free[active], loss)
        now.objective[active] = at.objective
        usable = np.isfinite(at.objective) & np.isfinite(at.slopes).all(axis=(1, 2))
        if usable.all():
            active = advance(law, local, loss, now, damping, enough, active, at)
            active = active[now.steps[active] < MAX_STEPS]
        else:
            active = active[usable]
    return Descent(from_free(law, free)[0], now.objective, now.converged, now.steps)


def advance(
    law: Law, rows: Rows, loss: Loss, now: Descent, damping: Array, enough: Array, active: Array, at: Evaluation
) -> Array:
    """Up to REWHITEN steps in one frame, written into ``now`` (its theta: free) and ``damping``; who is not done yet.

    Where a step leads is evaluated once: for its objective, and for the next step.
    """
    frame = framed(at)
    here = quadratic(at, frame)
    settling = not loss.logarithmic and law.link is None and unbounded(law)
    for _ in range(REWHITEN):
        move, promised = step_of(here.gradient, here.exact, here.metric, damping[active])
        tried = now.theta[active] + (frame.whiten @ move[..., None])[..., 0]
        if settling:
            tried = settle(law, rows, tried, loss)
        at = evaluate(law, rows, tried, loss)
        before = now.objective[active]
        gain = np.maximum(before - at.objective, -1e100) / np.maximum(promised, 1e-150)
        there = quadratic(at, frame)
        better = (at.objective < before) & there.finite()
        here = here.or_else(better, there)
        taken = active[better]
        now.theta[taken], now.objective[taken] = tried[better], at.objective[better]
        grown = damping[active] * np.where(gain > 0.75, 0.1, np.where(gain > 0.1, 1.0, 5.0))
        damping[active] = np.minimum(np.maximum(grown, 1e-9), 1e12)
        now.steps[active] += 1
        done = (promised <= PREDICTED * now.objective[active] + enough[active]) | (grown >= 1e12)
        if done.any():
            now.converged[active[done]] = True
            left = np.flatnonzero(~done)
            active, rows, here = active[left], rows.take(left), here.take(left)
            frame = Frame(frame.whiten[left], frame.sharp)
            if not len(active):
                break
    return active


def unbounded(law: Law) -> bool:
    """Whether every linear parameter may take any value."""
    return all(law.parameters[i].transform == "identity" for i in law.linear)


def evaluate(law: Law, rows: Rows, free: Array, loss: Loss) -> Evaluation:
    """All that a step needs to know about a point; infinite or worse where the law is."""
    with np.errstate(all="ignore"):
        theta, chain = from_free(law, free)
        value, slopes = law.jacobian_scaled(theta, rows.x)
        residual = loss.residual(value, rows.y)
        slopes *= chain[:, None, :]
        if loss.logarithmic:
            slopes /= value[..., None]
        slope, second, above = loss.derivatives(residual)
        objective = loss.summed(residual, slope, rows.weights)
        return Evaluation(objective, slopes, rows.weights * slope, rows.weights * second, rows.weights * above)


def linearise(law: Law, rows: Rows, free: Array, loss: Loss) -> tuple[Array, Array, Array, Array]:
    """d residual / d coordinate (B, n, P), and weighted rho', rho'', rho'/r (B, n)."""
    at = evaluate(law, rows, free, loss)
    return at.slopes, at.first, at.second, at.above


def quadratic(at: Evaluation, frame: Frame) -> Quadratic:
    """The model of the objective in the coordinates of a frame."""
    with np.errstate(all="ignore"):  # a step may lead where nothing is finite; it is then not taken
        slopes = at.slopes @ frame.whiten if frame.sharp else at.slopes
        gradient = np.swapaxes(slopes, -1, -2) @ at.first[..., None]
        exact, metric = gram(slopes, at.second), gram(slopes, at.above)
        if not frame.sharp:
            inward = np.swapaxes(frame.whiten, -1, -2)
            gradient, exact, metric = inward @ gradient, inward @ exact @ frame.whiten, inward @ metric @ frame.whiten
    return Quadratic(gradient[..., 0], exact, metric)


def framed(at: Evaluation) -> Frame:
    """Coordinates in which M is the identity: from M itself where its digits suffice, else from the slopes."""
    metric = gram(at.slopes, at.above)
    diagonal = np.einsum("bpp->bp", metric)
    seen = diagonal > 0
    diagonal[~seen] = 1.0  # a parameter that rests: alone, and left where it is
    length = np.sqrt(diagonal)
    scales, directions = np.linalg.eigh(metric / (length[:, :, None] * length[:, None, :]))
    if (scales[:, 0] > MILD * scales[:, -1]).all():
        return Frame(directions * (seen / length)[..., None] / np.sqrt(scales)[:, None, :], False)
    return Frame(whitening(at.slopes, at.above), True)


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
    product: Array = np.swapaxes(slopes * weights[..., None], -1, -2) @ slopes
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
    system = exact + damping[:, None, None] * metric
    diagonal = np.einsum("bpp->bp", system)  # a view
    diagonal += 1e-3 * damping[:, None]
    diagonal += 1e-13 + 1e-14 * diagonal.sum(axis=-1, keepdims=True)  # blind directions have rows of zeros
    move = -np.linalg.solve(system, gradient[..., None])
    promised = -gradient[:, None, :] @ move - np.swapaxes(move, -1, -2) @ (exact @ move) / 2
    return move[..., 0], promised[:, 0, 0]
