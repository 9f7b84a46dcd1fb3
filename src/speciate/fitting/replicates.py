"""A fit's replicates: refits under random weights of independent units, and what widens them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speciate.fitting.curvature import curvature
from speciate.fitting.descend import Rows, descend
from speciate.fitting.objective import Loss
from speciate.fitting.resample import Units, cluster_weights
from speciate.fitting.solve import solve_batch
from speciate.fitting.space import from_free, to_free
from speciate.fitting.spread import Spread, spread_of
from speciate.laws.law import Array, Law

FEWEST = 0.5  # share of refits that must be finite
FEW = 8  # independent units below which an interval is called rough
WORK = 30_000_000  # draws times rows beyond which refits are linearised: about half a minute of one core
CELLS = 2_000_000  # draws times rows held at a time
CLOSE = 1e-4  # share of the spread of y to which widened predictions are met: the digits an interval is told in
FAINT = 1e-3  # growth of a direction that nobody sees
TALL = 50_000  # rows beyond which they are linearised however few the draws: memory


@dataclass(frozen=True)
class Weighted:
    """What is fitted, and how much each row counts: weights (n,) and the loss, whose corner may differ by row."""

    law: Law
    x: dict[str, Array]
    y: Array
    weights: Array
    loss: Loss


@dataclass(frozen=True)
class Resampled:
    """Parameters refitted to resampled units, (B, P), or None where there was nothing to resample; what widens them."""

    draws: Array | None
    residuals: Array
    inward: Array | None = None
    shares: Array | None = None
    note: str = ""


def resampled(rows: Weighted, theta: Array, independent: Units, count: int, seed: int) -> Resampled:
    """Refit under random weights of independent units, from the optimum on all rows; correct for leverage.

    Where rows, or draws times rows, are too many to refit, one Newton step from the optimum stands for each refit.
    """
    law, loss = rows.law, rows.loss
    residuals = -loss.residual(law.predict(theta, rows.x), rows.y)
    if count == 0 or independent.count < 2:
        note = "no interval: all rows come from one run; add a run with another seed" if count else ""
        return Resampled(None, residuals, note=note)
    if len(rows.y) <= len(theta):
        return Resampled(None, residuals, note="no interval: no more rows than parameters, so nothing shows the noise")
    spread = spread_of(
        law, theta, Rows(law.scaled(rows.x), rows.y, rows.weights[None]), loss, residuals, independent.ids
    )
    rng = np.random.default_rng(seed)
    free = to_free(law, theta)
    if count * len(rows.y) <= WORK and len(rows.y) <= TALL:
        weights = cluster_weights(independent.ids, count, rng) * rows.weights
        draws, objectives = solve_batch(law, rows.x, rows.y, weights, theta, loss.kind, loss.delta)
        draws = draws[np.isfinite(objectives) & np.isfinite(draws).all(axis=1)]
        draws, note = spreaded(rows, theta, draws, spread), ""
    else:
        moves = linearised(rows, theta, independent, count, rng)
        draws = from_free(law, free + moves @ spread.turn.T)[0]
        note = f"intervals by one Newton step for each of {count} resamplings, as there are {len(rows.y):,} rows"
    draws = draws[np.isfinite(draws).all(axis=1)]
    if len(draws) < max(1, FEWEST * count):
        return Resampled(None, residuals, note="no interval: refits to resampled runs have no finite parameters")
    return Resampled(draws, spread.residuals, spread.inward, spread.shares, note)


def spreaded(rows: Weighted, theta: Array, draws: Array, spread: Spread) -> Array:
    """Draws (B, P) that predict the rows as far from the optimum as leverage asks: refits to those predictions."""
    law, exact = rows.law, Loss(rows.loss.kind, np.inf)
    if np.abs(spread.farther - np.eye(len(spread.farther))).max(initial=0.0) < FAINT:
        return draws
    before, moved = law.predict(theta, rows.x), np.array(draws)
    size = max(1, CELLS // len(rows.y))
    for first in range(0, len(draws), size):
        part = slice(first, first + size)
        value = law.predict(draws[part], rows.x)
        more = spread.extra(exact.residual(value, before))
        target = value * np.exp(more) if exact.logarithmic else value + more
        again = Rows(law.scaled(rows.x), target, np.broadcast_to(rows.weights, target.shape))
        found = descend(law, again, draws[part], exact, CLOSE)
        moved[part] = np.where(np.isfinite(found.objective)[:, None], found.theta, draws[part])
    return moved


def linearised(rows: Weighted, theta: Array, independent: Units, count: int, rng: np.random.Generator) -> Array:
    """Moves (B, P) in free coordinates by one step: -H^-1 sum_c (w_c - 1) g_c.

    H is the objective's expected curvature; its majoriser, larger under Huber, would make intervals two to
    three times too narrow.
    """
    about = curvature(rows.law, rows.x, rows.y, rows.weights, theta, rows.loss)
    scores = np.stack([np.bincount(independent.ids, column, independent.count) for column in about.scores.T], axis=1)
    moves = np.empty((count, len(theta)))
    for i in range(count):  # units may be as many as rows: one draw at a time stays small
        weights = rng.standard_exponential(independent.count)
        moves[i] = -(weights / weights.mean() - 1) @ scores
    return np.asarray(moves @ about.inverse)


def doubts(independent: Units) -> str:
    """What intervals from few units, or from one trunk, leave out."""
    alone = "all runs share one trunk: intervals leave out how trunks differ"
    notes = [alone] if independent.trunks == 1 and independent.runs > 1 else []
    if independent.count < FEW:
        notes.append(f"rough intervals: only {independent.count} independent {independent.level}s")
    return "; ".join(notes)
