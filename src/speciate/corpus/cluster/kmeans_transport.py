"""Points to clusters of given sizes at the least cost: prices by Newton's method, the last points by shortest paths.

The problem: min sum_i d[i, a_i] over labels a with exactly ``quotas[j]`` points in cluster j. Its dual has one price
per cluster, D(p) = sum_i min_j (d[i, j] + p[j]) - sum_j p[j] quotas[j]; at its maximum every point of the exact
answer is in a cluster argmin_j d[i, j] + p[j] (Bertsekas 1998, Network Optimization, chapter 7). Only differences of
prices matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

PATIENCE = 64


def soft_shares(costs: Floats, prices: Floats, temperature: float) -> tuple[float, Floats]:
    """The smoothed dual's first term, -T sum_i log sum_j exp(-(d + p) / T), and the shares (n, k) of every point."""
    shares = (costs + prices.astype(costs.dtype)) * np.asarray(-1 / temperature, costs.dtype)
    highest = shares.max(axis=1, keepdims=True)
    shares -= highest
    np.exp(shares, out=shares)
    totals = shares.sum(axis=1, keepdims=True)
    shares /= totals
    value = float(np.log(totals).sum(dtype=np.float64) + highest.sum(dtype=np.float64))
    return -temperature * value, shares


def soft_prices(
    costs: Floats, quotas: Floats, prices: Floats, temperature: float, *, steps: int = 20, tolerance: float = 0.01
) -> tuple[Floats, Floats]:
    """Prices (k,) that maximise the dual smoothed at ``temperature``, and the shares (n, k) under them.

    Newton's steps, halved until the dual rises; a Sinkhorn step, p += T log(size / quota), where a cluster is all but
    empty (Newton knows nothing of what lies beyond its edge) or no Newton step helps. Ends when no soft size is off
    its quota by more than ``tolerance`` of the mean quota.
    """
    mean = float(quotas.mean())
    prices = prices.astype(np.float64)
    first, shares = soft_shares(costs, prices, temperature)
    value = first - float(prices @ quotas)
    for _ in range(steps):
        sizes = shares.sum(axis=0, dtype=np.float64)
        gradient = sizes - quotas
        if np.abs(gradient).max() <= tolerance * mean:
            break
        sinkhorn = temperature * np.log(np.maximum(sizes, 1e-30) / np.maximum(quotas, 1e-3))
        candidates = [sinkhorn - sinkhorn.mean()]
        if (sizes > 0.1 * quotas).all():
            hessian = (np.diag(sizes) - (shares.T @ shares).astype(np.float64)) / temperature
            ridge = mean / temperature * (1e-4 * np.eye(len(sizes)) + 1 / len(sizes))  # the second: the sum stays put
            newton = np.linalg.solve(hessian + ridge, gradient)
            candidates = [newton, newton / 3, newton / 9, *candidates]
        for step in candidates:
            tried, tried_shares = soft_shares(costs, prices + step, temperature)
            tried -= float((prices + step) @ quotas)
            if tried >= value:
                break
        else:
            break  # rounding hides what is left to gain
        prices, value, shares = prices + step, tried, tried_shares
    return prices, shares


def cold_prices(costs: Floats, quotas: Floats, temperature: float) -> Floats:
    """Prices at ``temperature`` from nothing: the temperature falls from the size of the costs in steps of three."""
    prices: Floats = np.zeros(costs.shape[1])
    hot = float(np.ptp(costs, axis=1).mean()) + temperature
    while hot > temperature:
        prices, _ = soft_prices(costs, quotas, prices, hot, steps=8, tolerance=0.05)
        hot /= 3
    return soft_prices(costs, quotas, prices, temperature)[0]


def prices_from(costs: Floats, quotas: Floats, prices: Floats, temperature: float) -> Floats:
    """Prices at ``temperature`` from those of a similar problem, or from nothing where they no longer fit."""
    sizes = np.bincount((costs + prices.astype(costs.dtype)).argmin(axis=1), minlength=len(prices))
    if np.abs(sizes - quotas).max() > 0.2 * quotas.mean():
        return cold_prices(costs, quotas, temperature)
    return soft_prices(costs, quotas, prices, temperature)[0]


@dataclass
class _Edges:
    """The cheapest way from every cluster to every other: weight[a, b] = min over points i in a of d[i,b] - d[i,a]."""

    costs: Floats
    labels: Ints
    weight: Floats

    def update(self, clusters: list[int]) -> None:
        for a in clusters:
            rows = self.costs[self.labels == a]
            self.weight[a] = (rows - rows[:, a : a + 1]).min(axis=0) if len(rows) else np.inf
            self.weight[a, a] = np.inf

    def move(self, a: int, b: int, most: int, slack: float) -> int:
        """Relabel up to ``most`` points from a to b: the cheapest, and those within ``slack`` of it."""
        rows = np.flatnonzero(self.labels == a)
        extra = self.costs[rows, b] - self.costs[rows, a]
        order = np.argsort(extra, kind="stable")[:most]
        order = order[extra[order] <= extra[order[0]] + slack]
        self.labels[rows[order]] = b
        return len(order)

    def near(self, a: int, b: int, slack: float) -> int:
        rows = self.costs[self.labels == a]
        extra = rows[:, b] - rows[:, a]
        return int((extra <= extra.min() + slack).sum())


def _shortest_path(reduced: Floats, excess: Ints) -> tuple[list[int], Floats]:
    """From any cluster with too many points to the nearest with too few (Dijkstra): the path, and capped distances."""
    distance = np.where(excess > 0, 0.0, np.inf)
    before = np.full(len(excess), -1)
    open_ = np.ones(len(excess), bool)
    while True:
        here = int(np.argmin(np.where(open_, distance, np.inf)))
        if not np.isfinite(distance[here]) or not open_[here]:
            return [], distance
        if excess[here] < 0:
            break
        open_[here] = False
        through = distance[here] + reduced[here]
        better = open_ & (through < distance)
        distance[better], before[better] = through[better], here
    path = [here]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1], np.minimum(distance, distance[here])


def repair(
    costs: Floats, labels: Ints, prices: Floats, quotas: Ints, slack: float = 0.0, whole: bool = True
) -> tuple[Ints, Floats]:
    """Labels with exactly the sizes ``quotas`` and prices to match, by successive shortest paths between clusters.

    Optimal if ``labels`` are the cheapest under ``prices`` and ``slack`` is 0; points within ``slack`` of the cheapest
    move together, which costs at most ``slack`` a move. Where very many are left over (prices cannot part points that
    are all but the same) the slack doubles every ``PATIENCE`` k paths. costs (n, k); quotas (k,) must sum to n;
    ``whole``: these are all points, and prices may move as far as they allow.
    """
    k = costs.shape[1]
    edges = _Edges(costs, labels.copy(), np.full((k, k), np.inf))
    edges.update(list(range(k)))
    prices = prices.astype(np.float64)
    excess = np.bincount(labels, minlength=k) - quotas
    paths = 0
    while (excess > 0).any():
        paths += 1
        if paths % (PATIENCE * k) == 0:
            slack = 2 * slack + 1e-6 * float(costs.max())
        path, distance = _shortest_path(np.maximum(edges.weight + prices - prices[:, None], 0), excess)
        assert path, "quotas sum to the number of points, so a cluster with too few can be reached"
        steps = list(zip(path[:-1], path[1:], strict=True))
        count = min([int(excess[path[0]]), int(-excess[path[-1]]), *(edges.near(a, b, slack) for a, b in steps)])
        # From the end: a point that has just come must not be the one that goes on.
        for a, b in reversed(steps):
            edges.move(a, b, count, slack)
        edges.update(path)
        excess[path[0]] -= count
        excess[path[-1]] += count
        prices -= distance
    return edges.labels, _centred_prices(edges.weight, prices) if whole else prices


def _centred_prices(weight: Floats, prices: Floats, sweeps: int = 20) -> Floats:
    """Every price in the middle of what the labels allow, p[a] - p[b] <= weight[a, b]: rounding breaks no ties."""
    for _ in range(sweeps if len(prices) > 1 else 0):
        for j in range(len(prices)):
            low, high = (prices - weight[:, j]).max(), (prices + weight[j]).min()
            if np.isfinite(low) and np.isfinite(high) and low <= high:
                prices[j] = (low + high) / 2
    centred: Floats = prices - prices.mean()
    return centred


def exact_assignment(
    costs: Floats, quotas: Ints, prices: Floats, temperature: float, whole: bool = True
) -> tuple[Ints, Floats]:
    """Labels (n,) with exactly the sizes ``quotas`` at the least cost, and their prices (k,).

    ``prices`` are a start; ``temperature`` the smallest difference of costs worth resolving (times .01: points nearer
    than that count as equal).
    """
    wanted = quotas.astype(np.float64)
    prices = prices_from(costs, wanted, prices, temperature)
    for colder in (temperature, temperature / 4, temperature / 16):
        prices, _ = soft_prices(costs, wanted, prices, colder, steps=10, tolerance=0.001)
    labels = (costs + prices.astype(costs.dtype)).argmin(axis=1)
    return repair(costs, labels, prices, quotas, slack=0.01 * temperature, whole=whole)
