"""Good starting centroids for balanced k-means on a sample: annealing from one cluster, a few times over.

Deterministic annealing (Rose 1998, Proceedings of the IEEE 86) with sizes held equal: at a high temperature all
clusters are one, at twice the largest variance they begin to part, and they are followed as the temperature falls.
On text nearly every annealing ends where only the best of several k-means++ starts does.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from speciate.corpus.cluster.kmeans_passes import costs_of, single_threaded_products
from speciate.corpus.cluster.kmeans_transport import cold_prices, soft_prices

Floats = NDArray[np.floating]

FEWEST = 128  # points per cluster of an annealing, where the sample has them
COLDEST = 0.02  # the last temperature of the search, as a share of the first
SHARP = 0.005  # the temperature at which prices are read, likewise


def first_temperature(rows: Floats, steps: int = 20) -> float:
    """Twice the largest variance of any direction of ``rows`` (n, d): below it one cluster becomes two."""
    centred = rows - rows.mean(axis=0)
    direction = centred[int(np.argmax(np.einsum("ij,ij->i", centred, centred)))].astype(np.float64)
    variance = 0.0
    for _ in range(steps):
        length = float(np.linalg.norm(direction))
        if length == 0:
            break
        direction = centred.T @ (centred @ (direction / length).astype(np.float32)) / len(rows)
        variance = float(np.linalg.norm(direction))
    return 2 * variance


def anneal(rows: Floats, k: int, hot: float, cooling: float, seed: int) -> tuple[float, Floats]:
    """Centroids (k, d) of balanced clusters of ``rows``, and the dual's value per row: the inertia at balance."""
    rng = np.random.default_rng(seed)
    some = rows[::2] if len(rows) >= 2 * FEWEST * k else rows  # all of them decide only at the end
    squares, quotas = np.einsum("ij,ij->i", some, some), np.full(k, len(some) / k)
    spread = np.sqrt(hot / rows.shape[1])
    centroids = some.mean(axis=0) + spread * 0.05 * rng.standard_normal((k, rows.shape[1]), np.float32)
    prices: Floats = np.zeros(k)
    temperature = hot
    while temperature > COLDEST * hot:
        costs = costs_of(some, centroids, squares)
        prices, shares = soft_prices(costs, quotas, prices, temperature, steps=3, tolerance=0.02)
        centroids = (shares.T @ some) / np.maximum(shares.sum(axis=0), 1e-9)[:, None]
        centroids += spread * 2e-3 * rng.standard_normal(centroids.shape, np.float32)  # lets equal clusters part
        temperature *= cooling
    squares, quotas = np.einsum("ij,ij->i", rows, rows), np.full(k, len(rows) / k)
    value = np.inf
    for _ in range(6):
        costs = costs_of(rows, centroids, squares)
        prices, _ = soft_prices(costs, quotas, prices, SHARP * hot)
        priced = costs + prices.astype(np.float32)
        value = float(priced.min(axis=1).mean(dtype=np.float64) - prices.mean())
        member = np.eye(k, dtype=np.float32)[priced.argmin(axis=1)]
        sizes = member.sum(axis=0)[:, None]
        centroids = np.where(sizes > 0, (member.T @ rows) / np.maximum(sizes, 1), centroids)
    return value, centroids


def search(rows: Floats, k: int, *, seed: int, attempts: int, cooling: float, threads: int) -> tuple[Floats, Floats]:
    """The best of ``attempts`` annealings: centroids (k, d) and prices (k,) at the sharp temperature."""
    hot = first_temperature(rows)
    seeds = np.random.SeedSequence(seed).generate_state(attempts)
    run = partial(anneal, rows, k, hot, cooling)
    with single_threaded_products(), ThreadPoolExecutor(max(threads, 1)) as pool:
        tried = list(pool.map(run, map(int, seeds)))
    centroids = min(tried, key=lambda one: one[0])[1]
    quotas = np.full(k, len(rows) / k)
    return centroids, cold_prices(costs_of(rows, centroids), quotas, SHARP * hot)
