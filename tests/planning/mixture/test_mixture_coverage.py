"""What the width of the ratio's interval is made of. Coverage itself: benchmarks/mixture_coverage.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speciate.planning.mixture import discrepancy
from speciate.planning.mixture.backtest import again, backtest
from speciate.planning.mixture.curves import GENERAL_SHAPES
from speciate.planning.mixture.observations import observe
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, drawn, simulate


def test_likelihood_is_that_of_the_full_covariance() -> None:
    rng = np.random.default_rng(0)
    sizes = [
        (rng.normal(0, 0.02, n), rng.uniform(1e-5, 1e-4, n), rng.uniform(0.9, 1.1, n), rng.uniform(0.9, 2.1, n))
        for n in (4, 5)
    ]
    grid = np.array([0.001, 0.01, 0.05])
    found = discrepancy._likelihood(sizes, grid)
    errors, known, doublings, depth = (np.concatenate(parts) for parts in zip(*sizes, strict=True))
    size_of = np.repeat([0, 1], [4, 5])
    same = np.equal.outer(size_of, size_of)
    for i, j, k, m in [(0, 0, 0, 0), (1, 2, 1, 3), (2, 3, 2, 4), (2, 1, 0, 1)]:
        share, across = discrepancy.SHARES[j], discrepancy.ACROSS[k]
        scale = doublings * 2 ** (discrepancy.TRENDS[m] * depth)
        pattern = share * (across + (1 - across) * same) + (1 - share) * np.eye(9)
        covariance = np.diag(known) + grid[i] ** 2 * pattern * np.outer(scale, scale)
        exact = -0.5 * (np.linalg.slogdet(covariance)[1] + errors @ np.linalg.solve(covariance, errors))
        assert found[i, j, k, m] == pytest.approx(exact, rel=1e-10)


def test_errors_alike_for_every_run_are_few_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve errors of .01, alike but for jitter, do not show that the law's error is hardly larger than .01."""
    n, one = 12, np.ones(12)
    errors = 0.01 + 0.001 * np.where(np.arange(n) % 2, 1.0, -1.0)
    grid = np.geomspace(1e-3, 1, 60)

    def upper() -> float:
        full = discrepancy._likelihood([(errors, np.full(n, 1e-6), one, one)], grid)
        log = np.logaddexp.reduce(full.reshape(len(grid), -1), axis=1)
        share = np.cumsum(np.exp(log - log.max()))
        return float(grid[np.searchsorted(share / share[-1], 0.9)])

    monkeypatch.setattr(discrepancy, "TRENDS", np.array([0.0]))
    alike = upper()
    monkeypatch.setattr(discrepancy, "SHARES", np.array([0.0]))
    assert upper() < 0.015  # as if every run had been wrong by itself
    assert alike > 0.03


def test_second_cut_hides_more() -> None:
    setup = Setup(points=16)
    curves = observe(simulate(setup, 0).table).sizes[0].general
    tests = again(backtest(GENERAL_SHAPES[-1], curves, 2.0), curves, 2.0)
    assert len(tests) == 2
    assert np.all(tests[1].depth > tests[0].depth) and np.all(tests[1].ends < tests[0].ends)
    few = [replace(curve, tokens=curve.tokens[-6:], change=curve.change[-6:]) for curve in curves]
    assert len(again(backtest(GENERAL_SHAPES[-1], few, 2.0), few, 2.0)) == 1


def test_turning_point_beyond_the_pilots_that_they_do_not_show_is_not_decided() -> None:
    setup = Setup(world="late", ratios=(0.1, 0.25, 0.5, 0.75, 0.9), tolerance=0.4)
    refused = 0
    for seed in range(3):
        decision = plan_mixture(
            simulate(setup, seed).table, horizon_tokens=setup.horizon, tolerance=0.4, draws=150, seed=seed
        )
        for model in decision.models:
            if "does not turn" in model.status:
                refused += 1
                assert not model.decided and model.critical_ratio is None and model.low is None
                assert model.remedy is not None and model.remedy.tokens == setup.horizon
    assert refused >= 2


def test_truth_of_a_drawn_study_is_its_largest_feasible_ratio() -> None:
    for seed in range(4):
        setup = drawn(seed)
        study = simulate(setup, seed)
        for params, critical in study.critical.items():
            if 0.01 < critical < 0.99:
                assert study.expected(params, critical - 0.005)[0] <= setup.tolerance + 1e-9
                over = study.expected(params, critical + 0.005)[0] > setup.tolerance
                assert over or study.expected(params, critical)[0] <= setup.tolerance + 1e-9
