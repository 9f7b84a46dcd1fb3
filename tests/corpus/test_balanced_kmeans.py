"""Balanced k-means: equal sizes, the cost of an exact assignment, and the same answer from any number of threads."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from speciate.corpus.cluster.balanced_kmeans import BalancedKMeans, fit_balanced_kmeans
from speciate.corpus.cluster.kmeans_passes import BLOCK, costs_of
from speciate.corpus.cluster.kmeans_search import first_temperature
from speciate.corpus.cluster.kmeans_transport import cold_prices, exact_assignment, repair, soft_prices, soft_shares
from speciate.errors import UserError


def clumps(n: int, d: int = 12, groups: int = 7, seed: int = 0) -> np.ndarray:
    """Points of unequal groups: the nearest centroid would give sizes far apart."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, groups + 1)
    centres = 3 * rng.standard_normal((groups, d))
    own = rng.choice(groups, n, p=weights / weights.sum())
    return (centres[own] + rng.standard_normal((n, d))).astype(np.float32)


def quotas_of(n: int, k: int) -> np.ndarray:
    return n // k + (np.arange(k) < n % k)


def cost_of(costs: np.ndarray, labels: np.ndarray) -> float:
    return float(costs[np.arange(len(labels)), labels].sum(dtype=np.float64))


def least_cost(costs: np.ndarray, quotas: np.ndarray) -> float:
    """The oracle: every place of every cluster is a column of its own."""
    places = np.repeat(np.arange(len(quotas)), quotas)
    rows, columns = linear_sum_assignment(costs[:, places].astype(np.float64))
    return float(costs[rows, places[columns]].sum(dtype=np.float64))


@pytest.mark.parametrize(("n", "k"), [(400, 5), (301, 7), (30, 10), (12, 12), (9, 2)])
def test_the_assignment_costs_what_the_exact_one_costs(n: int, k: int) -> None:
    x = clumps(n, seed=n)
    costs, quotas = costs_of(x, x[:k]), quotas_of(n, k)
    sharp = 0.005 * first_temperature(x)
    labels, prices = exact_assignment(costs, quotas, cold_prices(costs, quotas.astype(float), sharp), sharp)
    assert np.bincount(labels, minlength=k).tolist() == quotas.tolist()
    assert cost_of(costs, labels) <= least_cost(costs, quotas) * (1 + 1e-4)
    # The prices carry the labels: nobody would pay less elsewhere.
    paid = (costs + prices)[np.arange(n), labels]
    assert (paid - (costs + prices).min(axis=1)).max() <= 0.01 * sharp + 1e-4 * costs.max()


def test_repair_from_the_nearest_centroids_is_exact() -> None:
    x = clumps(300, seed=3)
    costs, quotas = costs_of(x, x[:6]), quotas_of(300, 6)
    nearest = costs.argmin(axis=1)
    assert np.abs(np.bincount(nearest, minlength=6) - quotas).max() > 20, "the case must need many moves"
    labels, _ = repair(costs, nearest, np.zeros(6), quotas)
    assert np.bincount(labels, minlength=6).tolist() == quotas.tolist()
    assert cost_of(costs, labels) == pytest.approx(least_cost(costs, quotas), rel=1e-6)


def test_soft_prices_maximise_the_dual() -> None:
    """At low temperature the smoothed dual's maximum is the transport problem's optimum, found here by linprog."""
    n, k = 120, 4
    x = clumps(n, seed=5)
    costs, quotas = costs_of(x, x[:k]).astype(np.float64), quotas_of(n, k)
    rows = np.kron(np.eye(n), np.ones(k))
    columns = np.kron(np.ones(n), np.eye(k))
    best = linprog(costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[np.ones(n), quotas]).fun
    temperature = 1e-3 * costs.mean()
    start = cold_prices(costs, quotas.astype(float), temperature)
    prices, _ = soft_prices(costs, quotas.astype(float), start, temperature, tolerance=1e-6)
    value = soft_shares(costs, prices, temperature)[0] - prices @ quotas
    assert best - n * temperature * np.log(k) <= value <= best * (1 + 1e-9)


def test_a_whole_fit_is_the_best_partition_of_a_tiny_case() -> None:
    """Every way to halve 12 points is tried."""
    x = clumps(12, d=3, groups=3, seed=8)

    def inertia(own: tuple[int, ...]) -> float:
        mask = np.isin(np.arange(12), own)
        return sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in (x[mask], x[~mask]))

    best = min(inertia((0, *rest)) for rest in combinations(range(1, 12), 5))
    model = fit_balanced_kmeans(x, 2, seed=0)
    assert model.sizes.tolist() == [6, 6]
    assert best * (1 - 1e-5) <= model.inertia <= best * 1.01


def lloyd_with_exact_assignments(x: np.ndarray, k: int, seed: int) -> float:
    """What k-means-constrained does: nearest by minimum-cost flow, then means, until nothing changes."""
    centroids = x[np.random.default_rng(seed).choice(len(x), k, replace=False)]
    places = np.repeat(np.arange(k), quotas_of(len(x), k))
    last = np.inf
    while True:
        costs = costs_of(x, centroids)
        labels = places[linear_sum_assignment(costs[:, places])[1]]
        now = cost_of(costs, labels)
        if now >= last * (1 - 1e-6):
            return now
        last = now
        centroids = np.stack([x[labels == j].mean(axis=0) for j in range(k)])


@pytest.mark.parametrize("k", [4, 9])
def test_a_whole_fit_is_within_a_hundredth_of_exact_k_means(k: int) -> None:
    x = clumps(450, seed=k)
    best = min(lloyd_with_exact_assignments(x, k, seed) for seed in range(8))
    assert fit_balanced_kmeans(x, k, seed=0).inertia <= 1.01 * best


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return clumps(24_000, seed=1)


def test_new_points_spread_evenly(large: np.ndarray) -> None:
    model = fit_balanced_kmeans(large[:12_000], 8, seed=0, threads=2, attempts=1)
    assert model.sizes.max() / model.sizes.mean() <= 1.01
    new = large[12_000:]
    shares = np.bincount(model.assign(new), minlength=8) / len(new) * 8
    assert shares.max() <= 1.10
    nearest = costs_of(new, model.centroids).argmin(axis=1)
    assert np.bincount(nearest, minlength=8).max() / len(new) * 8 > 1.2, "without prices the case is not balanced"


def test_many_points_are_balanced_at_their_borders(large: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all costs fit into memory only the points at the borders are assigned anew; the answer is as good."""
    whole = fit_balanced_kmeans(large, 8, seed=0, threads=2, attempts=1)
    monkeypatch.setattr("speciate.corpus.cluster.balanced_kmeans.IN_MEMORY", 48_000)  # 2,400 rows of 24,000
    part = fit_balanced_kmeans(large, 8, seed=0, threads=2, attempts=1)
    assert part.sizes.tolist() == whole.sizes.tolist() == [3_000] * 8
    assert part.inertia <= 1.002 * whole.inertia
    assert part.labels is not None
    own = part.centroids[part.labels]
    assert part.inertia == pytest.approx(float(((large - own) ** 2).sum(dtype=np.float64)), rel=1e-4)
    assert (part.assign(large) != part.labels).mean() < 0.002


def test_a_sample_far_too_small_misleads_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 points a cluster in 64 dimensions: prices that suit the sample alone gave one cluster half of all points."""
    x = clumps(24_000, d=64, groups=40, seed=6)
    whole = fit_balanced_kmeans(x, 16, seed=0, attempts=1)
    monkeypatch.setattr("speciate.corpus.cluster.balanced_kmeans.SAMPLE", 960)
    monkeypatch.setattr("speciate.corpus.cluster.balanced_kmeans.SAMPLE_PER_CLUSTER", 60)
    monkeypatch.setattr("speciate.corpus.cluster.balanced_kmeans.IN_MEMORY", 160_000)  # 2,000 rows
    model = fit_balanced_kmeans(x, 16, seed=0, attempts=1)
    assert model.sizes.tolist() == [1_500] * 16
    assert model.inertia <= 1.03 * whole.inertia
    assert np.bincount(model.assign(x), minlength=16).max() <= 1.05 * 1_500


def test_the_same_from_any_threads_chunks_and_storage(large: np.ndarray, tmp_path: Path) -> None:
    one = fit_balanced_kmeans(large, 5, seed=4, threads=1, attempts=2)
    np.save(tmp_path / "x.npy", large)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    three = fit_balanced_kmeans(mapped, 5, seed=4, threads=3, attempts=2)
    for name in ("centroids", "prices", "sizes", "labels", "inertia"):
        assert np.array_equal(getattr(one, name), getattr(three, name)), name
    at_once = one.assign(large)
    cut = [0, 1, 77, BLOCK, BLOCK + 1, 20_000, len(large)]
    pieces = [one.assign(large[a:b], threads=2) for a, b in zip(cut[:-1], cut[1:], strict=True)]
    assert np.array_equal(np.concatenate(pieces), at_once)
    other = fit_balanced_kmeans(large, 5, seed=5, attempts=1)
    assert not np.array_equal(other.labels, one.labels)


def test_far_from_the_origin_nothing_is_lost() -> None:
    x = clumps(2_000, d=4, seed=2).astype(np.float64)
    near, far = fit_balanced_kmeans(x, 4, seed=0), fit_balanced_kmeans(x + 1e6, 4, seed=0)
    assert np.array_equal(near.labels, far.labels)
    assert far.inertia == pytest.approx(near.inertia, rel=1e-3)


def test_saved_and_loaded(tmp_path: Path) -> None:
    x = clumps(600)
    model = fit_balanced_kmeans(x, 6, seed=0)
    model.save(tmp_path / "clusters.npz")
    again = BalancedKMeans.load(tmp_path / "clusters.npz")
    assert again.labels is None
    assert again.inertia == model.inertia
    assert np.array_equal(again.assign(x), model.assign(x))
    assert np.array_equal(again.prices, model.prices)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no archive")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", format=np.array([{}], dtype=object))
    np.save(tmp_path / "array.npy", x)
    for name in ("bad.npz", "other.npz", "pickled.npz", "absent.npz", "array.npy"):
        with pytest.raises(UserError, match=name):
            BalancedKMeans.load(tmp_path / name)


def test_one_cluster_and_as_many_as_points() -> None:
    x = clumps(40, d=3)
    one = fit_balanced_kmeans(x, 1, seed=0)
    assert one.centroids[0] == pytest.approx(x.mean(axis=0), abs=1e-5)
    assert one.inertia == pytest.approx(float(((x - x.mean(axis=0)) ** 2).sum()), rel=1e-5)
    alone = fit_balanced_kmeans(x, 40, seed=0)
    assert alone.sizes.tolist() == [1] * 40
    assert alone.inertia == pytest.approx(0, abs=1e-3)
    single = fit_balanced_kmeans(x[:1], 1, seed=0)
    assert single.assign(x[:1]).tolist() == [0]


def test_points_that_are_all_the_same() -> None:
    x = np.full((101, 3), 0.1, np.float32)
    model = fit_balanced_kmeans(x, 4, seed=0)
    assert model.sizes.tolist() == [26, 25, 25, 25]
    assert model.inertia == pytest.approx(0, abs=1e-9)
    assert np.isfinite(model.centroids).all()
    assert set(model.assign(x)) == {0}


@pytest.mark.parametrize("k", [2, 5, 16])
def test_few_distinct_points_many_times(k: int) -> None:
    """Ties between clusters cannot be broken by a price; the training labels are balanced all the same."""
    places = clumps(3, d=4)
    x = places[np.random.default_rng(0).choice(3, 3_000, p=[0.8, 0.15, 0.05])]
    model = fit_balanced_kmeans(x, k, seed=0, attempts=1)
    assert model.sizes.max() - model.sizes.min() <= 1
    assert np.isfinite(model.prices).all()
    assert np.isfinite(model.inertia)


def test_what_a_user_can_get_wrong() -> None:
    x = clumps(20)
    for k in (0, -1, 21):
        with pytest.raises(UserError, match="k is"):
            fit_balanced_kmeans(x, k)
    holes = x.copy()
    holes[7, 3], holes[9, 0] = np.nan, np.inf
    with pytest.raises(UserError, match=r"2 of 20 rows hold NaN or infinity"):
        fit_balanced_kmeans(holes, 3)
    with pytest.raises(UserError, match="row 7"):
        fit_balanced_kmeans(holes, 3)
    model = fit_balanced_kmeans(x, 3, seed=0)
    with pytest.raises(UserError, match=r"2 of 20 rows"):
        model.assign(holes)
    assert model.assign(x[:0]).tolist() == []
    for wrong in (x[:, :5], x[0], np.array([["a"]])):
        with pytest.raises(UserError, match="points of shape"):
            model.assign(wrong)
    for wrong in (np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)):
        with pytest.raises(UserError, match="points of shape"):
            fit_balanced_kmeans(wrong, 1)
    with pytest.raises(UserError, match="variance"):
        fit_balanced_kmeans(x.astype(np.float64) * 1e200, 3)
    with pytest.raises(UserError, match="option"):
        fit_balanced_kmeans(x, 3, attempts=0)
