"""plan split on tables simulated from the split law's preset (16 domains, noise in nats)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike

from speciate.errors import NotDecidable, UserError
from speciate.fitting.fit import fit
from speciate.fitting.resample import cluster_weights
from speciate.fitting.solve import solve_batch
from speciate.laws.split import PRESET, SPLIT, best_seed, best_seeds, splitting_point
from speciate.planning.split.budget import budget_of
from speciate.planning.split.fit import fit_split
from speciate.planning.split.plan import plan_split

B = 1e9
SIZES = (0.1, 0.35, 0.76, 1.3)
SEEDS = (0, 5, 20, 60, 120)
TOKENS = (0, 2, 8, 30)
MORE: dict[str, Any] = {"seeds": (0, 5, 10, 20, 40, 60, 90, 120, 160, 200, 240), "tokens": (0, 2, 5, 10, 20, 30)}


def truth(rows: pd.DataFrame, theta: ArrayLike = PRESET) -> np.ndarray:
    return SPLIT.predict(theta, {name: rows[name].to_numpy() for name in ("params", "seed_tokens", "tokens")})


def study(
    seed: int = 0,
    noise: float = 0.005,
    sizes: Sequence[float] = SIZES,
    seeds: Sequence[float] = SEEDS,
    tokens: Sequence[float] = TOKENS,
    theta: ArrayLike = PRESET,
) -> pd.DataFrame:
    runs = [(n * B, d * B, t * B) for n, d, t in product(sizes, seeds, tokens) if d + t > 0]
    table = pd.DataFrame(runs, columns=["params", "seed_tokens", "tokens"])
    table["run"] = table["trunk"] = [f"run{i}" for i in range(len(table))]
    table["loss"] = truth(table, theta) + np.random.default_rng(seed).normal(0, noise, len(table))
    return table


def loss(size: float, total: float, seed: float) -> float:
    at = pd.DataFrame({"params": [size * B], "seed_tokens": [seed], "tokens": [max(total * B - seed, 0) / 16]})
    return float(truth(at)[0])


@pytest.mark.parametrize("seed", range(2))  # benchmarks/split_allocation.py does 11
def test_the_presets_allocation_comes_back(seed: int) -> None:
    table = study(seed, **MORE)
    for size, total in ((1.3, 721), (2.7, 347)):  # the second size is extrapolated
        plan = plan_split(table, total_tokens=total * B, domains=16, params=size * B, draws=300)
        best = best_seed(PRESET, size * B, total * B, 16)
        assert plan.seed_tokens == pytest.approx(best, rel=0.10)
        assert loss(size, total, plan.seed_tokens) - loss(size, total, best) < 5e-4
        assert plan.splitting_point == pytest.approx(splitting_point(PRESET, size * B, 16), rel=0.15)
        assert plan.choice == "split" and plan.p_split == 1.0
        assert plan.seed_tokens + 16 * plan.expert_tokens == pytest.approx(total * B)
        low, high = plan.intervals["gain"]
        assert low is not None and high is not None and 0 < low < plan.gain < high
        assert plan.gain == pytest.approx(plan.loss_unsplit - plan.loss)
    assert plan.extrapolated == {"params": pytest.approx(2.7 / 1.3)}


@pytest.mark.parametrize("size", [0.35, 2.7])
def test_never_split_where_never_splitting_is_best(size: float) -> None:
    total = 0.6 * splitting_point(PRESET, size * B, 16)
    plan = plan_split(study(4, noise=0.003), total_tokens=total, domains=16, params=size * B, draws=300)
    assert plan.choice == "never split" and plan.decided
    assert plan.seed_tokens == total and plan.expert_tokens == 0 and plan.gain == 0
    assert plan.p_split is not None and plan.p_split <= 0.1


def test_split_at_once_where_the_seed_is_worth_nothing() -> None:
    useless = np.array(PRESET)
    useless[6] = 0.02  # a seed token is worth a fiftieth of a domain token, K is 16
    plan = plan_split(study(1, theta=useless), total_tokens=60 * B, domains=16, draws=200)
    assert plan.choice == "split" and plan.seed_tokens == 0 and plan.low == 0
    assert plan.splitting_point is not None and plan.splitting_point < 1e9


def test_a_gain_too_small_to_matter_is_not_split_for() -> None:
    total = 1.1 * splitting_point(PRESET, 1.3 * B, 16)
    plan = plan_split(study(0, noise=0.002), total_tokens=total, domains=16, draws=300)
    assert plan.choice == "never split" and "gains at most" in plan.status
    assert plan.seed_tokens == total and plan.expert_tokens == 0 and plan.loss == plan.loss_unsplit
    assert plan.high == total and plan.low is not None and plan.low < total  # where the law's own best may lie


def doubtful(seed: int) -> pd.DataFrame:
    return study(seed, noise=0.01, seeds=(0, 5, 20, 60), tokens=(0, 4, 16))


def test_noise_hides_whether_to_split_and_a_run_is_named_that_would_tell() -> None:
    plan = plan_split(doubtful(1), total_tokens=60 * B, domains=16, params=1.3 * B, draws=300)
    assert not plan.decided and plan.choice is None
    assert "cannot tell split from not splitting" in plan.status
    low, high = plan.intervals["gain"]
    assert low is not None and high is not None and low < 0 < high
    assert plan.remedy is not None and plan.remedy.after < plan.remedy.before
    assert plan.remedy.before == pytest.approx((high - low) / 2, rel=0.3)
    assert plan.remedy.to_json()["text"] in plan.explain()


def test_the_run_that_is_named_narrows_the_gain_as_much_as_it_says() -> None:
    table = study(3)
    plan = plan_split(table, total_tokens=50 * B, domains=16, params=1.3 * B, draws=300)
    run = plan.remedy
    assert plan.choice is None and run is not None and run.settles and 2 <= run.repeats <= 10
    new = pd.DataFrame({name: [getattr(run, name)] * run.repeats for name in ("params", "seed_tokens", "tokens")})
    new["run"] = new["trunk"] = [f"new{i}" for i in range(len(new))]

    def spread(rows: pd.DataFrame) -> float:
        draws = budget_of(fit_split(rows, None, None, None, 500, 0)[0], plan.params, 50 * B, 16, 0.9).gain_draws
        assert draws is not None
        return float(np.std(draws))

    after = [
        spread(pd.concat([table, new.assign(loss=truth(new) + rng.normal(0, 0.005, len(new)))], ignore_index=True))
        for rng in map(np.random.default_rng, range(3))
    ]
    assert np.mean(after) / spread(table) == pytest.approx(run.after / run.before, rel=0.15)


def test_draws_are_those_of_refits() -> None:
    table = study(2, noise=0.003)
    found, _ = fit_split(table, None, None, None, 1000, 0)
    budget = budget_of(found, 1.3 * B, 360 * B, 16, 0.9)
    again = fit("split", table, bootstrap=0)
    assert again.used is not None
    rows = again.used.weighted
    weights = cluster_weights(again.used.units, 200, np.random.default_rng(0))
    thetas, _ = solve_batch(SPLIT, rows.x, rows.y, weights, again.theta, rows.loss.kind, rows.loss.delta)
    refitted = best_seeds(thetas, 1.3 * B, 360 * B, 16)
    assert budget.seed_draws is not None
    mine = np.quantile(budget.seed_draws, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(mine, np.quantile(refitted, [0.05, 0.5, 0.95]), rtol=0.05)
    assert np.ptp(mine[::2]) == pytest.approx(np.ptp(np.quantile(refitted, [0.05, 0.95])), rel=0.3)


def test_few_trunks_widen_and_are_told() -> None:
    table = study(0)
    shared = table.assign(trunk=table["params"].astype(str))  # every size's seeds are checkpoints of one run
    wide, plain = (plan_split(one, total_tokens=240 * B, domains=16, draws=300) for one in (shared, table))
    assert wide.seed_tokens == plain.seed_tokens
    assert wide.high - wide.low > 1.5 * (plain.high - plain.low)  # type: ignore[operator]
    assert any("only 4 independent trunks" in note for note in wide.notes)
    one = plan_split(table.assign(run="only", trunk="only"), total_tokens=240 * B, domains=16)
    assert one.choice == "split" and one.low is None and one.p_split is None and "one run" in one.explain()


def test_one_size_is_planned_by_itself_and_speaks_of_no_other() -> None:
    alone = study(1, noise=0.002, sizes=(1.3,), **MORE)
    plan = plan_split(alone, total_tokens=360 * B, domains=16, draws=300)
    best = best_seed(PRESET, 1.3 * B, 360 * B, 16)
    assert plan.params == 1.3 * B and plan.seed_tokens == pytest.approx(best, rel=0.2)
    assert plan.choice == "split" and plan.seed_share_by_size is None
    with pytest.raises(NotDecidable, match="1 of the 3 sizes") as told:
        plan_split(alone, total_tokens=360 * B, domains=16, params=2.7 * B)
    assert "another size" in told.value.remedy
    two = study(1, sizes=(0.35, 1.3))
    assert plan_split(two, total_tokens=360 * B, domains=16, params=0.35 * B, draws=100).params == 0.35 * B
    with pytest.raises(NotDecidable, match="2 of the 3 sizes"):
        plan_split(two, total_tokens=360 * B, domains=16, params=2.7 * B)


@pytest.mark.parametrize(("name", "value"), [("seed_tokens", 20), ("tokens", 30)])
def test_stages_that_do_not_vary_cannot_answer(name: str, value: float) -> None:
    table = study(1)
    with pytest.raises(NotDecidable, match=f"all .* rows have {name}"):
        plan_split(table[table[name] == value * B], total_tokens=360 * B, domains=16)


def test_rows_from_scratch_may_leave_the_seed_empty() -> None:
    table = study(1)
    empty = table.assign(seed_tokens=table["seed_tokens"].where(table["seed_tokens"] > 0))
    filled, left = (fit_split(one, None, None, None, 100, 0)[0] for one in (table, empty))
    np.testing.assert_array_equal(left.theta, filled.theta)
    assert any("12 rows without seed_tokens" in note for note in left.notes)
    assert len(left.rows) == len(table) and left.rows["seed_tokens"].isna().sum() == 12  # sealed as they were given


def test_json_is_whole_and_its_curve_has_both_ends() -> None:
    plan = plan_split(study(0), total_tokens=120 * B, domains=16, draws=200)
    found = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    asked = (
        "params total_tokens domains seed_tokens expert_tokens low high loss loss_unsplit gain splitting_point status"
    )
    assert set(asked.split()) < set(found)
    assert {"intervals", "p_split", "options", "seed_share_by_size"} < set(found)
    curve = pd.DataFrame(found["options"])
    assert curve["seed_tokens"].iloc[[0, -1]].tolist() == [0, 120 * B]
    assert curve["expert_tokens"].iloc[[0, -1]].tolist() == [7.5 * B, 0]
    assert curve["loss"].min() == pytest.approx(found["loss"]) and curve["loss"].iloc[-1] == found["loss_unsplit"]
    assert (curve["low"] <= curve["loss"]).all() and (curve["loss"] <= curve["high"]).all()
    assert found["low"] <= found["seed_tokens"] <= found["high"]
    assert found["seed_share_by_size"]["share"] == pytest.approx(found["seed_tokens"] / (120 * B), rel=0.15)
    assert len(plan.explain().splitlines()) == 5


def test_every_bad_option_is_told_at_once() -> None:
    with pytest.raises(UserError) as told:
        plan_split(study(), total_tokens=-1, domains=(1, 1), params=0.5, level=2, draws=1, weights={"a": 0.0})
    said = str(told.value)
    for name in ("tokens is -1", "domains is [1, 1]", "params is 0.5", "level is 2", "draws is 1", "weights is"):
        assert name in said
    with pytest.raises(UserError, match="number of domains is not given"):
        plan_split(study(), total_tokens=1e9)


def test_of_several_numbers_of_domains_the_best_is_chosen() -> None:
    parts = []
    for count, fall in ((4, 0.12), (16, 0.19)):  # text of 4 domains removes less of the seed's bias than of 16
        theta = np.array(PRESET)
        theta[10] = fall
        one = study(count, noise=0.002, sizes=SIZES[1:], theta=theta).query("tokens > 0")
        parts.append(one.assign(train_on=f"web/{count}", run=one["run"] + f"-{count}"))
    seeds = study(9, noise=0.002, sizes=SIZES[1:]).query("tokens == 0").assign(train_on="web")
    table = pd.concat([seeds, *parts], ignore_index=True)
    plan = plan_split(table, total_tokens=240 * B, domains=(4, 16), params=1.3 * B, draws=100)
    assert [one.domains for one in plan.by_domains] == [4, 16]
    assert plan.loss == min(one.loss for one in plan.by_domains)
    assert "best loss by number of domains" in plan.status and len(plan.to_json()["by_domains"]) == 2
    assert all(any("of other numbers" in note for note in one.notes) for one in plan.by_domains)


def test_a_gain_within_the_laws_own_error_is_not_told_from_none() -> None:
    table = study(0, **MORE)
    sure = plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300)
    doubt = plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300, beyond=0.05)
    assert sure.choice == "split" and doubt.choice is None
    assert (doubt.seed_tokens, doubt.loss, doubt.gain) == (sure.seed_tokens, sure.loss, sure.gain)  # the same estimate
    assert doubt.p_split is not None and 0.5 < doubt.p_split < 0.95
    assert doubt.remedy is not None and not doubt.remedy.settles  # no row as far from the total can take it away
    low, high = doubt.intervals["gain"]
    assert low is not None and high is not None
    expected = 2 * 1.645 * 0.05 * np.hypot(sure.loss, sure.loss_unsplit)
    assert high - low == pytest.approx(expected, rel=0.15)


def test_the_interval_of_a_gain_grows_with_the_error_and_a_small_one_leaves_the_choice() -> None:
    table = study(0, **MORE)
    plans = [
        plan_split(table, total_tokens=721 * B, domains=16, params=1.3 * B, draws=300, beyond=beyond)
        for beyond in (0.0, 0.001, 0.004)
    ]
    widths = [plan.intervals["gain"][1] - plan.intervals["gain"][0] for plan in plans]  # type: ignore[operator]
    assert widths == sorted(widths) and widths[0] < widths[2]
    assert {plan.choice for plan in plans} == {"split"}


def test_where_the_plan_is_not_to_split_its_own_error_is_no_gain() -> None:
    total = 0.6 * splitting_point(PRESET, 1.3 * B, 16)
    plan = plan_split(study(4, noise=0.003), total_tokens=total, domains=16, draws=300, beyond=1e-5)
    assert plan.choice == "never split" and plan.loss == plan.loss_unsplit
