"""Shares of several domains as points: a grid of the simplex, a search on it, and the hull of what was tried.

A point (K,) holds the domains' shares, all >= 0 and summing to at most 1; the rest is general text.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int_]
POINTS = 1200  # of the grid, at most
FINEST = 200  # parts of an edge
STEP = 1e-4  # of a share, where the search ends
MOVES = 60  # rounds of the search, at most


def simplex_grid(domains: int, points: int = POINTS) -> Array:
    """Shares (M, K) >= 0 with sum <= 1 on an even grid that holds every corner and face.

    >>> simplex_grid(2, 6)
    array([[0. , 0. ],
           [0. , 0.5],
           [0. , 1. ],
           [0.5, 0. ],
           [0.5, 0.5],
           [1. , 0. ]])
    """
    parts = 1
    while parts < FINEST and comb(parts + 1 + domains, domains) <= points:
        parts += 1
    bars = np.array(list(combinations(range(parts + domains), domains)), dtype=float)
    counts = np.diff(np.concatenate([np.full((len(bars), 1), -1.0), bars], axis=1), axis=1) - 1
    return np.asarray(counts / parts, dtype=float)


def spacing(grid: Array) -> float:
    """Distance between neighbours of a grid, in share."""
    return float(np.diff(np.unique(grid[:, 0])).min())


def compass(
    start: Array,
    step: float,
    value_of: Callable[[Rows, Array], Array],
    pulled: Callable[[Rows, Array], Array] | None = None,
) -> tuple[Array, Array]:
    """Least values (n,) and where (n, K) they are, of n functions at once, from ``start`` (n, K).

    Share is moved from one text to another, and the step halved where no move helps, down to ``STEP``.
    ``value_of(rows, shares)``: values (m, J) of the functions ``rows`` (m,) at shares (m, J, K), which ``pulled`` has
    moved to where they are allowed.
    """
    moves = exchanges(start.shape[1])
    every = np.arange(len(start))
    shares, value = start.copy(), value_of(every, start[:, None, :])[:, 0]
    steps = np.full(len(start), step)
    for _ in range(MOVES):
        active = np.flatnonzero(steps > STEP / 2)
        if not len(active):
            break
        there = _inside(shares[active, None, :] + steps[active, None, None] * moves)
        there = there if pulled is None else pulled(active, there)
        found = value_of(active, there)
        best = np.argmin(found, axis=1)
        lowest = np.take_along_axis(found, best[:, None], 1)[:, 0]
        better = lowest < value[active] - 1e-12
        rows = active[better]
        shares[rows] = np.take_along_axis(there, best[:, None, None], 1)[better, 0]
        value[rows] = lowest[better]
        steps[active[~better]] /= 2
    return shares, value


def exchanges(domains: int) -> Array:
    """Moves (J, K) of share from one text to another, general text among them."""
    texts = np.vstack([np.eye(domains), np.zeros(domains)])
    return np.array([a - b for a in texts for b in texts if (a != b).any()])


def _inside(shares: Array) -> Array:
    """Shares (..., K) cut at 0 and scaled down to sum to at most 1."""
    cut = np.clip(shares, 0.0, None)
    return np.asarray(cut / np.maximum(cut.sum(axis=-1, keepdims=True), 1.0), dtype=float)


class Hull:
    """What the pilots span, sampled: a mixture is inside if no direction shows it beyond all of them."""

    def __init__(self, tried: Array, directions: int = 400) -> None:
        some = np.random.default_rng(0).standard_normal((directions, tried.shape[1]))
        self.directions = np.concatenate([exchanges(tried.shape[1]), some])
        self.directions /= np.linalg.norm(self.directions, axis=1, keepdims=True)
        self.reach = (tried @ self.directions.T).max(axis=0)

    def beyond(self, shares: Array) -> Array:
        """Distance (M,) in share by which mixtures (M, K) lie outside what was tried; 0 inside."""
        return np.asarray(np.maximum((shares @ self.directions.T - self.reach).max(axis=1), 0.0), dtype=float)
