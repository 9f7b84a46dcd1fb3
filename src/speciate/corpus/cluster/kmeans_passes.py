"""Passes over many points in blocks of a fixed size: sums, nearest centroids, margins, from any number of threads.

Blocks are cut at fixed rows and the last is padded, every matrix product runs on one thread, and sums are added in the
order of the rows: the results do not depend on the number of threads, and memory not on the number of points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

BLOCK = 1024  # rows of a matrix product
STRIPE = 16 * BLOCK  # rows of a task


@dataclass(frozen=True)
class Points:
    """Points (n, d), an array or a memory map, seen as (x - offset) / scale in float32: centred, nothing cancels."""

    x: NDArray[Any]
    offset: Floats
    scale: float

    def block(self, first: int, buffer: Floats) -> int:
        """Rows from ``first`` into ``buffer`` (BLOCK, d), zeros behind the last; how many they are."""
        rows = self.x[first : first + len(buffer)]
        np.subtract(rows, self.offset, out=buffer[: len(rows)], casting="same_kind")
        buffer[: len(rows)] *= np.float32(1 / self.scale)
        buffer[len(rows) :] = 0
        return len(rows)

    def rows(self, index: Ints) -> Floats:
        """The rows of a sorted index, (len(index), d)."""
        taken = np.empty((len(index), self.x.shape[1]), np.float32)
        np.subtract(self.x[index], self.offset, out=taken, casting="same_kind")
        taken *= np.float32(1 / self.scale)
        return taken


@dataclass
class Sums:
    """What a pass adds up: points and sums by cluster, and the squared distances to the centroids, without prices."""

    sizes: Ints
    sums: Floats
    inertia: float = 0.0
    bad: int = 0  # rows whose cost is no finite number

    def add(self, other: Sums) -> None:
        self.sizes += other.sizes
        self.sums += other.sums
        self.inertia += other.inertia
        self.bad += other.bad


def single_threaded_products() -> Any:
    """A context in which a matrix product takes one thread, where threadpoolctl (with scikit-learn) is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # then the environment decides: workers of run_parts have one thread anyhow
        from contextlib import nullcontext

        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def in_order(work: Callable[[int], Any], n: int, threads: int) -> Iterator[Any]:
    """work(first row) of every stripe, in the order of the rows; at most twice ``threads`` results wait."""
    firsts = range(0, n, STRIPE)
    with single_threaded_products():
        if threads <= 1 or len(firsts) == 1:
            yield from map(work, firsts)
            return
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[Any]] = deque()
            for first in firsts:
                waiting.append(pool.submit(work, first))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def costs_of(rows: Floats, centroids: Floats, squares: Floats | None = None) -> Floats:
    """Squared distances (n, k) in float32, from |x|^2 - 2 x.c + |c|^2; ``squares`` (n,) are |x|^2 where known."""
    costs = rows @ (-2 * centroids.T)
    costs += (np.einsum("ij,ij->i", rows, rows) if squares is None else squares)[:, None]
    costs += np.einsum("ij,ij->i", centroids, centroids)
    return np.maximum(costs, 0, out=costs)


@dataclass
class Pass:
    """One pass under centroids (k, d) and prices (k,): labels and margins by row where asked, and sums.

    A margin is what the second cheapest cluster costs more than the cheapest.
    """

    centroids: Floats
    prices: Floats
    labels: Ints | None = None
    margins: Floats | None = None
    with_sums: bool = True
    sums: Sums = field(init=False)

    def run(self, points: Points, threads: int) -> Sums:
        k, d = self.centroids.shape
        self.sums = Sums(np.zeros(k, np.int64), np.zeros((k, d)))
        turned = np.ascontiguousarray(-2 * self.centroids.T, dtype=np.float32)
        constant = (np.einsum("ij,ij->i", self.centroids, self.centroids) + self.prices).astype(np.float32)
        for part in in_order(lambda first: self._stripe(points, first, turned, constant), len(points.x), threads):
            self.sums.add(part)
        return self.sums

    def _stripe(self, points: Points, start: int, turned: Floats, constant: Floats) -> Sums:
        d, k = turned.shape
        buffer, costs = np.empty((BLOCK, d), np.float32), np.empty((BLOCK, k), np.float32)
        member = np.zeros((k, BLOCK), np.float32)
        sums = Sums(np.zeros(k, np.int64), np.zeros((k, d)))
        every = np.arange(BLOCK)
        for first in range(start, min(start + STRIPE, len(points.x)), BLOCK):
            count = points.block(first, buffer)
            np.matmul(buffer, turned, out=costs)
            costs += constant
            nearest = costs.argmin(axis=1)
            cheapest = costs[every, nearest]
            sums.bad += count - int(np.isfinite(cheapest[:count]).sum())
            if self.labels is not None:
                self.labels[first : first + count] = nearest[:count]
            if self.margins is not None:
                costs[every, nearest] = np.inf
                self.margins[first : first + count] = (costs.min(axis=1) - cheapest)[:count]
            if self.with_sums:
                self._add(sums, nearest[:count], cheapest[:count], buffer, member)
        return sums

    def _add(self, sums: Sums, nearest: Ints, cheapest: Floats, buffer: Floats, member: Floats) -> None:
        own = np.arange(len(nearest))
        member[:] = 0
        member[nearest, own] = 1
        sums.sums += member @ buffer
        sums.sizes += np.bincount(nearest, minlength=len(member))
        squares = float(np.einsum("ij,ij->", buffer, buffer, dtype=np.float64))
        sums.inertia += squares + float(cheapest.sum(dtype=np.float64)) - float(self.prices[nearest].sum())
