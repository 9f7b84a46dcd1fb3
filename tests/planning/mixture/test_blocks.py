"""Long curves as means of blocks: what is kept of them, and that the decision does not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speciate.planning.mixture.blocks import MOST, averaged
from speciate.planning.mixture.curves import DOMAIN_SHAPES, GENERAL_SHAPES, fit_group, orthonormal, profile_errors
from speciate.planning.mixture.levels import Levels
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate


def test_short_curves_are_left_alone() -> None:
    tokens, loss = np.arange(1.0, MOST + 1), np.arange(0.0, MOST)
    same = averaged(tokens, loss)
    assert same[0] is tokens and same[1] is loss and same[2] == 0.0


@pytest.mark.parametrize("count", [101, 250, 1999, 25_000])
def test_blocks_keep_the_curve_and_the_noise(count: int) -> None:
    rng = np.random.default_rng(count)
    tokens = np.linspace(1e6, 1e10, count)
    curve = 3.0 - 0.1 * np.log(tokens)
    at, mean, within = averaged(tokens, curve + rng.normal(0, 0.01, count))
    size = count / len(at)
    assert MOST / 2 <= len(at) <= MOST and (np.diff(at) > 0).all()
    left = mean - (3.0 - 0.1 * np.log(at))
    assert np.abs(left[1:]).max() < 5 * 0.01 / np.sqrt(size)  # the first block may be short
    assert np.hypot(left[1:].std(), within) == pytest.approx(0.01, rel=0.15)  # together, a single measurement's sd


def test_many_checkpoints_give_the_answer_of_few() -> None:
    """Four times the checkpoints of the same runs: blocks of four are the few, less noisy."""
    setup = Setup(points=400, jitter=0.012, correlation=0.0, ratios=(0.25, 0.5, 0.75), horizon=1e6, sizes=(40_000,))
    study = simulate(setup, 3)
    few = study.table[study.table["tokens"].rank(method="dense") % 4 == 1]
    many, some = (plan_mixture(t, horizon_tokens=1e6, draws=300).models[0] for t in (study.table, few))
    assert many.critical_ratio is not None and some.critical_ratio is not None
    assert many.low is not None and many.high is not None
    assert abs(many.critical_ratio - some.critical_ratio) < 0.25 * (many.high - many.low)
    assert many.basis is not None and many.basis.general.noise is not None
    assert max(len(curve.tokens) for curve in many.basis.general.curves) <= MOST
    assert many.basis.general.longest == 1e6 // 1024 * 1024 + 1024 * (1e6 % 1024 > 512)  # of the measurements
    assert np.median(many.basis.general.noise.jitter_sd) == pytest.approx(0.012, rel=0.15)  # of one measurement


def test_runs_with_token_counts_of_their_own_are_fitted_alike() -> None:
    """A batch of runs gives every run what it gets alone."""
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0.01, 1, 20)) * 1e9 for _ in range(6)]
    values = [0.3 - 0.1 * np.log(time / 1e8) + rng.normal(0, 0.003, 20) for time in times]
    for shape in (GENERAL_SHAPES[1], DOMAIN_SHAPES[0]):
        own = replace(shape, bend="own")
        together = fit_group(own, times, values, 1e9)
        for run in range(6):
            alone = fit_group(own, [times[run]], [values[run]], 1e9)
            assert together.bends[run] == alone.bends[0]
            np.testing.assert_allclose(together.linear[run], alone.linear[0], rtol=1e-6)
        grid = np.array([-0.7, 0.2, 1.1])
        errors = profile_errors(shape, grid, np.stack(times), np.stack(values))
        each = [profile_errors(shape, grid, t, v[None])[0] for t, v in zip(times, values, strict=True)]
        np.testing.assert_allclose(errors, each, rtol=1e-8)


def test_orthonormal_columns_span_what_they_are_made_of() -> None:
    rng = np.random.default_rng(1)
    columns = rng.standard_normal((4, 30, 3))
    columns[..., 2] = columns[..., 1] + 1e-7 * columns[..., 2]  # nearly alike, as terms are near s = 0
    found = orthonormal(columns)
    np.testing.assert_allclose(np.swapaxes(found, 1, 2) @ found, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-12)
    back = found @ (np.swapaxes(found, 1, 2) @ columns)
    np.testing.assert_allclose(back, columns, atol=1e-12)


def test_draws_of_means_are_those_of_the_runs() -> None:
    """Parameters are summed over runs before curves are drawn: the same as summing drawn curves."""
    study = simulate(Setup(ratios=(0.25, 0.5, 0.75), trunks=2, replicates=2, sizes=(40_000,)), 1)
    basis = plan_mixture(study.table, draws=100).models[0].basis
    assert basis is not None
    tokens = np.array([3e5, 1e6, 2e6])
    for levels in (basis.general, basis.domain):
        _same_means(levels, tokens)


def _same_means(levels: Levels, tokens: np.ndarray) -> None:
    assert levels.noise is not None
    effects = levels.noise.runs + levels.noise.trunks[:, levels.trunk_of]
    runs = levels.run_draws(tokens, range(len(levels.curves))) - effects[:, :, None] * levels.growth(tokens)
    means = np.einsum("nr,brg->bng", levels.combine, runs)
    np.testing.assert_allclose(levels.mean_draws(tokens), means, atol=1e-12)
    trunk = levels.noise.trunks[:, 1, None] * levels.growth(tokens) + np.einsum("r,brg->bg", levels.trunk_part[1], runs)
    np.testing.assert_allclose(levels.mean_draws(tokens, levels.trunks[1]), means + trunk[:, None], atol=1e-12)
    half = levels.mean_draws(tokens, None, slice(1, None, 2))
    np.testing.assert_allclose(half, means[1::2], atol=1e-12)


def test_a_size_of_which_only_the_start_was_measured_is_left_out() -> None:
    table = simulate(Setup(), 1).table
    small = table["params"].min()
    kept = table[(table["params"] != small) | (table["tokens"] == 0)]
    assert [model.params for model in plan_mixture(kept, draws=100).models] == [table["params"].max()]
