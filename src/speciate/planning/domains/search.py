"""The best mixture on the simplex under the tolerances, for the estimate and for every draw at once.

A grid of the whole simplex, its faces and corners among it, is pulled to where a mixture is feasible: straight towards
one that surely is, until every tolerance holds. So the boundary is searched as densely as the inside. From the best
point a compass search, each step pulled the same way, goes on to 1e-4. Without repetition the loss is convex and the
region a polytope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speciate.planning.domains.law import SetLaw
from speciate.planning.domains.simplex import compass, simplex_grid, spacing
from speciate.planning.mixture.repetition import Lasting, effective_share

Array = NDArray[np.float64]
CHUNK = 2_000_000  # numbers held at a time
DEEP = 300  # points of the grid on which the most feasible mixture is looked for
HALVINGS, ROUGH = 16, 5  # of the way to it where that is not straight in what the laws see; on the grid
HELD = 1e-9  # nats/token by which a tolerance may be missed, for rounding
NOWHERE = -1e3  # tilt that stands for "above the tolerance whatever the mixture"


@dataclass(frozen=True, eq=False)
class Bound:
    """The loss of a set must be at most ``most`` nats/token."""

    law: SetLaw
    most: float

    @property
    def room(self) -> Array:
        """The tilt u (1 + B,) that this allows."""
        return np.maximum(self.law.most_tilt(self.most), NOWHERE)


@dataclass(frozen=True, eq=False)
class Search:
    """What is minimised: weights (S,) of the ``laws`` of sets, under ``bounds``, of which the general set's is first.

    ``limits`` (K,) = U / T; infinity does not repeat. Rows of all laws, of ``lasting`` = R* (1 + B,) and of ``anchor``
    (1 + B, K), the most feasible mixture: the estimate, then draws.
    """

    bounds: tuple[Bound, ...]
    laws: tuple[SetLaw, ...]
    weights: Array
    limits: Array
    lasting: Array
    anchor: Array

    @property
    def general(self) -> SetLaw:
        """The law of the general loss."""
        return self.bounds[0].law

    def some(self, rows: slice | NDArray[np.int_]) -> Search:
        """Only these rows."""
        bounds = tuple(Bound(bound.law.some(rows), bound.most) for bound in self.bounds)
        laws = tuple(law.some(rows) for law in self.laws)
        return replace(self, bounds=bounds, laws=laws, lasting=self.lasting[rows], anchor=self.anchor[rows])

    @property
    def repeats(self) -> bool:
        """Whether any domain's text can run out."""
        return bool(np.isfinite(self.limits).any())

    def seen(self, shares: Array) -> Array:
        """The shares that domain losses see: effective ones where text repeats. (M, K) may become (1 + B, M, K)."""
        return effective_share(shares, self.limits, self.lasting[:, None, None]) if self.repeats else shares

    def loss(self, law: SetLaw, shares: Array) -> Array:
        """Expected loss (1 + B, M) of one set at shares (M, K) or (1 + B, M, K); the general one sees them as read."""
        return law.loss(shares if law.name == self.general.name else self.seen(shares))

    def objective(self, shares: Array) -> Array:
        """sum_k w_k loss_k (1 + B, M) at shares (M, K) or (1 + B, M, K)."""
        worth = self.seen(shares)
        found = np.zeros((len(self.lasting), shares.shape[-2]))
        for law, weight in zip(self.laws, self.weights, strict=True):
            found += weight * law.loss(shares if law.name == self.general.name else worth)
        return found

    def slack(self, shares: Array) -> Array:
        """Tilt left (C, 1 + B, M) under every bound at shares (M, K) or (1 + B, M, K); below 0 it does not hold."""
        worth = self.seen(shares) if len(self.bounds) > 1 else shares
        sees = [shares, *[worth] * (len(self.bounds) - 1)]
        return np.stack([b.room[:, None] - b.law.tilt(at) for b, at in zip(self.bounds, sees, strict=True)])

    def feasible(self, shares: Array) -> NDArray[np.bool_]:
        """Which of shares (M, K) or (1 + B, M, K) keep every tolerance: (1 + B, M)."""
        return np.asarray((self.slack(shares) >= -HELD).all(axis=0))

    @property
    def possible(self) -> NDArray[np.bool_]:
        """Whether any mixture is feasible (1 + B,)."""
        return self.feasible(self.anchor[:, None, :])[:, 0]

    def pulled(self, shares: Array, halvings: int = HALVINGS) -> Array:
        """Shares (1 + B, M, K) moved towards the anchor until they are feasible; the anchor where nothing is."""
        anchor = self.anchor[:, None, :]
        if len(self.bounds) > 1 and (self.repeats or not all(bound.law.straight for bound in self.bounds)):
            keep = self._halved(shares, halvings)
        else:
            most, left = self.slack(anchor), self.slack(shares)
            with np.errstate(divide="ignore", invalid="ignore"):
                keep = np.where(left < 0, most / (most - left), 1.0).min(axis=0)
            keep = np.clip(np.nan_to_num(keep), 0.0, 1.0)
        return np.asarray(anchor + keep[..., None] * (shares - anchor), dtype=float)

    def _halved(self, shares: Array, halvings: int) -> Array:
        """How far (1 + B, M) from the anchor shares are feasible, by bisection."""
        anchor = self.anchor[:, None, :]
        low, high = np.zeros(shares.shape[:2]), np.ones(shares.shape[:2])
        whole = self.feasible(shares)
        for _ in range(halvings):
            middle = (low + high) / 2
            holds = self.feasible(anchor + middle[..., None] * (shares - anchor))
            low, high = np.where(holds, middle, low), np.where(holds, high, middle)
        return np.where(whole, 1.0, low)


def search_of(
    bounds: Sequence[Bound], others: Sequence[tuple[SetLaw, float]], limits: Array, lasting: Lasting
) -> Search:
    """A search with its anchor. ``others``: sets with their weights (the general one's too, if it has one)."""
    slopes = bounds[0].law.slopes
    rows, domains = slopes.shape
    each = np.append(lasting.value, lasting.draws)[:rows]
    laws, weights = tuple(law for law, _ in others), np.array([weight for _, weight in others])
    # under the general tolerance alone: general text only, or the domain that helps general ability most
    best = np.argmin(slopes, axis=1)
    helps = np.take_along_axis(slopes, best[:, None], 1) < 0
    anchor = np.equal(np.arange(domains), best[:, None]) * helps.astype(float)
    search = Search(tuple(bounds), laws, weights, limits, each, anchor)
    if len(bounds) == 1:
        return search
    grid = simplex_grid(domains, DEEP)
    start = grid[np.argmax(search.slack(grid).min(axis=0), axis=1)]

    def missing(which: NDArray[np.int_], shares: Array) -> Array:
        return np.asarray(-search.some(which).slack(shares).min(axis=0))

    return replace(search, anchor=compass(start, spacing(grid), missing)[0])


def best_shares(search: Search, grid: Array) -> tuple[Array, Array]:
    """Best shares (1 + B, K) and their objective (1 + B,) in every row; the anchor where nothing is feasible."""
    rows = len(search.lasting)
    size = max(1, CHUNK // (grid.size * max(len(search.laws), 1)))
    start = np.empty((rows, grid.shape[1]))
    for first in range(0, rows, size):
        part = slice(first, first + size)
        some = search.some(part)
        tried = some.pulled(np.broadcast_to(grid, (len(some.lasting), *grid.shape)), ROUGH)
        best = np.argmin(some.objective(tried), axis=1)
        start[part] = np.take_along_axis(tried, best[:, None, None], 1)[:, 0]
    return compass(
        start,
        spacing(grid),
        lambda which, shares: search.some(which).objective(shares),
        lambda which, shares: search.some(which).pulled(shares),
    )


def rays(search: Search, directions: Array) -> Array:
    """Largest total share (1 + B, M) that the general tolerance allows along compositions (M, K) of domain text."""
    slope = search.general.tilt(directions)
    room = search.bounds[0].room[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.where(slope > 0, room / slope, np.where(room >= 0, 1.0, 0.0))
    return np.asarray(np.clip(most, 0.0, 1.0), dtype=float)


def safest(search: Search, level: float, grid: Array) -> Array | None:
    """The mixture (K,) of least objective among those feasible in a share ``level`` of the draws; None if none is."""
    if len(search.lasting) < 2:
        return None
    corners = np.eye(grid.shape[1])
    directions = np.concatenate([corners, grid[np.isclose(grid.sum(axis=1), 1.0)]]) if grid.shape[1] > 1 else corners
    estimate, drawn = search.some(slice(0, 1)), search.some(slice(1, None))
    width, best = 0.2, None
    for _ in range(4):  # ever finer about the best composition
        most = np.quantile(rays(drawn, directions), 1 - level, axis=0, method="lower")
        tried = (np.linspace(0, 1, 41)[:, None, None] * (most[:, None] * directions)).reshape(-1, grid.shape[1])
        if len(search.bounds) > 1 or best is None:  # what is within the general tolerance's quantile keeps that one
            tried = tried[drawn.feasible(tried).mean(axis=0) >= level - HELD]
        if not len(tried):
            return best
        best = tried[int(np.argmin(estimate.objective(tried)[0]))]
        if grid.shape[1] == 1 or best.sum() == 0:
            break
        near = (1 - width) * best / best.sum() + width * directions
        directions, width = np.concatenate([near, best[None] / best.sum()]), width / 4
    return best
