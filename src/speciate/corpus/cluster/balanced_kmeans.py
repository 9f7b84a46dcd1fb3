"""k-means whose clusters are equally large, in training and afterwards: every cluster has a price.

A point belongs to the cluster with the least |x - c|^2 + price. The prices are the dual variables of "every cluster has
n / k points", so new points of the same kind spread evenly too, which the nearest centroid does not give. Training:
annealing on a sample (``kmeans_search``), Lloyd's steps over all points with prices renewed on the sample, and an exact
assignment of the points at the borders (``kmeans_transport``).
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speciate.corpus.cluster.kmeans_passes import STRIPE, Pass, Points, costs_of, in_order, single_threaded_products
from speciate.corpus.cluster.kmeans_search import SHARP, first_temperature, search
from speciate.corpus.cluster.kmeans_transport import exact_assignment, prices_from, soft_shares
from speciate.errors import Problem, UserError
from speciate.storage import write_atomic

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

IN_MEMORY = 2**26  # numbers: so many of the points and of their costs are looked at together
SAMPLE, SAMPLE_PER_CLUSTER = 2**14, 256  # points of the search: at least, and by cluster
BORDER_ROUNDS = 4
GAIN = 0.6  # of an unevenness, mended per step; 1 swings to and fro
FORMAT = 1
SAVED = ("centroids", "prices", "sizes", "inertia", "iterations", "seed", "offset", "scale")


@dataclass(frozen=True)
class BalancedKMeans:
    """Clusters of equal size. ``assign`` is argmin over clusters of |x - centroids|^2 + prices.

    centroids (k, d) and prices (k,), in the units of the points and their squares; ``sizes`` (k,) of the training
    points, n // k or one more; ``inertia``, their summed squared distance to the centroid of their cluster;
    ``iterations`` over all points; ``labels`` (n,) of the training points, exactly balanced (not saved): they differ
    from ``assign`` of the same points only where several clusters cost the same.

    >>> points = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    >>> model = fit_balanced_kmeans(points, 4, seed=1)
    >>> model.sizes.tolist(), model.assign(points[:3]).shape
    ([250, 250, 250, 250], (3,))
    """

    centroids: Floats
    prices: Floats
    sizes: Ints
    inertia: float
    iterations: int
    seed: int
    offset: Floats  # points are seen as (x - offset) / scale, so that float32 suffices
    scale: float
    labels: Ints | None = field(default=None, repr=False, compare=False)

    def assign(self, x: ArrayLike, threads: int = 1) -> Ints:
        """Labels (m,) of points (m, d), at the same precision whatever other points are given. UserError on NaN."""
        points = Points(_matrix(x, self.centroids.shape[1]), self.offset, self.scale)
        labels = np.zeros(len(points.x), np.int32)
        centroids = ((self.centroids - self.offset) / self.scale).astype(np.float32)
        under = Pass(centroids, self.prices / self.scale**2, labels=labels, with_sums=False)
        with np.errstate(invalid="ignore", over="ignore"):
            bad = under.run(points, threads).bad
        if bad:
            raise _not_numbers(bad, len(labels))
        return labels

    def save(self, path: Path) -> None:
        """Write the model as .npz, whole or not at all; training labels are left out."""
        data = io.BytesIO()
        held: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in SAVED}
        np.savez(data, format=np.array(FORMAT), **held)
        write_atomic(Path(path), data.getvalue())

    @classmethod
    def load(cls, path: Path) -> BalancedKMeans:
        """Read what ``save`` wrote. UserError if it is absent or something else."""
        fix = "give the .npz file that the clustering step wrote"
        held: dict[str, Any] = {}
        try:
            # np.load leaves a file open that is no archive, if it opens it itself.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as data:
                held = {name: data[name] for name in data.files}
            kinds = {"inertia": float, "scale": float, "iterations": int, "seed": int, "format": int}
            held |= {name: kind(held[name]) for name, kind in kinds.items()}
            k, d = held["centroids"].shape
            good = held.pop("format") == FORMAT and held["prices"].shape == (k,) and held["offset"].shape == (d,)
        except OSError as error:
            raise UserError(Problem(f"cannot be read ({error.strerror or error})", str(path), fix)) from error
        except (KeyError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise UserError(Problem("is no saved clustering", str(path), fix)) from error
        if not good or set(held) != set(SAVED):
            raise UserError(Problem("is a clustering of another format", str(path), "cluster again"))
        return cls(**held)


def fit_balanced_kmeans(
    x: ArrayLike,
    k: int,
    *,
    seed: int = 0,
    max_iterations: int = 20,
    threads: int | None = None,
    attempts: int = 4,
    cooling: float = 0.93,
) -> BalancedKMeans:
    """Cluster points (n, d), an array or a memory map, into k clusters of n // k or n // k + 1 points.

    The same seed gives the same clusters, whatever ``threads`` (default: the machine's cores). ``attempts`` annealings
    on a sample are tried, each multiplying its temperature by ``cooling`` per step: more and slower is better and
    takes longer. Memory: some 2^26 numbers beside the points. UserError: k > n, no points, NaN.
    """
    threads = threads or os.cpu_count() or 1
    matrix = _matrix(x)
    n, d = matrix.shape
    faults = [Problem(f"k is {k}", "clusters", f"ask for 1 to {n:,}, the number of points")] if not 1 <= k <= n else []
    if max_iterations < 1 or attempts < 1 or not 0 < cooling < 1:
        faults.append(
            Problem("an option is out of range", "clusters", "max_iterations, attempts >= 1, 0 < cooling < 1")
        )
    if faults:
        raise UserError(faults)
    points = _centred(matrix, threads)
    centroids: Floats
    prices: Floats
    labels: Ints
    quotas = np.full(k, n // k, np.int64)
    quotas[: n % k] += 1
    if points.scale == 0 or k == 1:  # one place or one cluster: nothing to choose
        iterations, prices = 0, np.zeros(k)
        centroids = np.zeros((k, d), np.float32)
        labels = np.repeat(np.arange(k, dtype=np.int32), quotas)
        points = Points(matrix, points.offset, points.scale or 1.0)
        inertia = Pass(centroids, prices).run(points, threads).inertia
    else:
        index = _sample(n, k, seed)
        rows = points.rows(index)
        centroids, prices = search(rows, k, seed=seed, attempts=attempts, cooling=cooling, threads=threads)
        sharp = SHARP * first_temperature(rows)
        centroids, prices, iterations = _lloyd(points, rows, centroids, prices, sharp, max_iterations, threads)
        del rows
        centroids, prices, labels, inertia = _balance(points, centroids, prices, quotas, sharp, max_iterations, threads)
    scale = points.scale
    return BalancedKMeans(
        centroids=(centroids * scale + points.offset).astype(np.float32),
        prices=(prices - prices.mean()) * scale**2,
        sizes=np.bincount(labels, minlength=k),
        inertia=max(float(inertia), 0.0) * scale**2,
        iterations=iterations,
        seed=seed,
        offset=points.offset,
        scale=scale,
        labels=labels,
    )


def _matrix(x: ArrayLike, d: int | None = None) -> NDArray[Any]:
    matrix = np.asarray(x)
    good = matrix.ndim == 2 and np.issubdtype(matrix.dtype, np.number) and not np.iscomplexobj(matrix)
    if not good or matrix.shape[1] == 0 or (d is None and len(matrix) == 0) or (d is not None and matrix.shape[1] != d):
        expected = "a matrix of numbers, one row per point" + (f", {d} columns" if d else "")
        raise UserError(Problem(f"points of shape {matrix.shape}, type {matrix.dtype}", "clusters", f"give {expected}"))
    return matrix


def _not_numbers(bad: int, n: int, first: int | None = None) -> UserError:
    where = f"points (first at row {first:,})" if first is not None else "points"
    return UserError(
        Problem(f"{bad:,} of {n:,} rows hold NaN or infinity", where, "embed those documents again or leave them out")
    )


def _centred(matrix: NDArray[Any], threads: int) -> Points:
    """Points about their mean, in units of their root mean square distance from it (0: all are the same)."""
    origin = np.where(np.isfinite(matrix[0]), matrix[0], 0).astype(np.float64)

    def moments(start: int) -> tuple[Floats, float, int, int]:
        with np.errstate(over="ignore", invalid="ignore"):
            rows = matrix[start : start + STRIPE] - origin
            total, squares = rows.sum(axis=0), float(np.einsum("ij,ij->", rows, rows))
        if np.isfinite(squares):
            return total, squares, 0, 0
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        return total, squares, len(bad), start + int(bad[0]) if len(bad) else 0

    n, d = matrix.shape
    total: Floats = np.zeros(d)
    squares, bad, first = 0.0, 0, 0
    for part in in_order(moments, n, threads):
        first = part[3] if part[2] and not bad else first
        total, squares, bad = total + part[0], squares + part[1], bad + part[2]
    if bad:
        raise _not_numbers(bad, n, first)
    mean = total / n
    variance = squares / n - float(mean @ mean) if np.isfinite(squares) else np.inf
    if squares == 0 or 1e-30 < variance < 1e30:
        return Points(matrix, (mean + origin).astype(np.float32), 0.0 if squares == 0 else float(np.sqrt(variance)))
    raise UserError(Problem(f"the points' variance is {variance:.3g}", "points", "scale them to about 1"))


def _sample(n: int, k: int, seed: int) -> Ints:
    """Sorted rows of the sample for the search: SAMPLE or more, 256 a cluster where 2^24 costs allow."""
    size = max(SAMPLE, min(SAMPLE_PER_CLUSTER * k, 2**24 // k))
    return np.sort(np.random.default_rng(seed).choice(n, min(n, size), replace=False))


def _lloyd(
    points: Points, rows: Floats, centroids: Floats, prices: Floats, sharp: float, most: int, threads: int
) -> tuple[Floats, Floats, int]:
    """Lloyd's steps over all points: centroids move to their means, prices follow on the sample ``rows``.

    The sample's quotas are corrected by how its sizes differed from those of all points under the same prices, so the
    sizes of all points come out even, not only the sample's; ``GAIN`` of the way, since a cluster that has grown moves
    to where it grew and grows on. Ends when the sizes are even and the dual's value falls by less than 1e-4.
    """
    n, (m, k) = len(points.x), (len(rows), len(centroids))
    passes, last = 0, np.inf
    for _ in range(most):
        passes += 1
        sums = Pass(centroids, prices).run(points, threads)
        value = sums.inertia + float(prices @ (sums.sizes - n / k))
        with single_threaded_products():
            own = soft_shares(costs_of(rows, centroids), prices, sharp)[1].mean(axis=0, dtype=np.float64)
            share = np.clip(own + GAIN * (1 / k - sums.sizes / n), 0.5 / k, 1.5 / k)
            sizes = sums.sizes[:, None]
            centroids = np.where(sizes > 0, sums.sums / np.maximum(sizes, 1), centroids).astype(np.float32)
            prices = prices_from(costs_of(rows, centroids), m * share / share.sum(), prices, sharp)
        even = n == m or sums.sizes.max() <= 1.05 * n / k
        if even and value > last * (1 - 1e-4):
            break
        last = value if even else np.inf
    return centroids, prices, passes


def _balance(
    points: Points, centroids: Floats, prices: Floats, quotas: Ints, sharp: float, most: int, threads: int
) -> tuple[Floats, Floats, Ints, float]:
    """Exactly balanced labels, their prices and inertia; with few points, Lloyd's steps with exact assignments too."""
    n, d = points.x.shape
    k = len(centroids)
    if n > max(IN_MEMORY // (k + d), k):
        return _balance_borders(points, centroids, prices, quotas, sharp, threads)
    rows = points.rows(np.arange(n))
    last, best = np.inf, None
    with single_threaded_products():
        for _ in range(most + 1):
            costs = costs_of(rows, centroids)
            labels, prices = exact_assignment(costs, quotas, prices, sharp)
            inertia = _total(costs, labels)
            if best is not None and inertia > last * (1 - 1e-5):
                break
            last, best = inertia, (centroids, prices, labels.astype(np.int32), inertia)
            member = np.eye(k, dtype=np.float32)[labels]
            centroids = (member.T @ rows) / np.maximum(quotas, 1)[:, None].astype(np.float32)
    assert best is not None, "at least one assignment was made"
    return best


def _balance_borders(
    points: Points, centroids: Floats, prices: Floats, quotas: Ints, sharp: float, threads: int
) -> tuple[Floats, Floats, Ints, float]:
    """The same for many points: only those nearest to a border are assigned anew, and those of a cluster too large.

    Their prices know nothing of the other points, so they are kept only where they leave all points more even.
    """
    n, (k, d) = len(points.x), centroids.shape
    least, best = n + 1, None
    for _ in range(BORDER_ROUNDS):
        labels, margins = np.zeros(n, np.int32), np.zeros(n, np.float32)
        sums = Pass(centroids, prices, labels, margins).run(points, threads)
        uneven = int(np.abs(sums.sizes - quotas).max())
        if uneven >= least:
            break
        index = _border(labels, margins, quotas, IN_MEMORY // (k + d))
        fixed = sums.sizes - np.bincount(labels[index], minlength=k)
        with single_threaded_products():
            costs = costs_of(points.rows(index), centroids)
            own, tried = exact_assignment(costs, quotas - fixed, prices, sharp, whole=False)
        inertia = sums.inertia - _total(costs, labels[index]) + _total(costs, own)
        labels[index] = own
        least, best, prices = uneven, (centroids, prices, labels, inertia), tried
    assert best is not None, "at least one assignment was made"
    return best


def _total(costs: Floats, labels: Ints) -> float:
    return float(np.take_along_axis(costs, labels[:, None], 1).sum(dtype=np.float64))


def _border(labels: Ints, margins: Floats, quotas: Ints, most: int) -> Ints:
    """Sorted rows whose label may change: the ``most`` of least margin, and twice the excess of a large cluster."""
    n = len(labels)
    if n <= most:
        return np.arange(n)
    chosen = np.zeros(n, bool)
    chosen[np.argpartition(margins, most)[:most]] = True
    excess = np.bincount(labels, minlength=len(quotas)) - quotas
    for j in np.flatnonzero(excess > 0):
        own = np.flatnonzero(labels == j)
        count = min(2 * int(excess[j]), len(own))
        chosen[own[np.argpartition(margins[own], count - 1)[:count]]] = True
    return np.flatnonzero(chosen)
