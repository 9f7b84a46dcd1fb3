from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from speciate.laws.split import PRESET, SPLIT, best_seed, splitting_point
from speciate.planning.split.domains import filled
from speciate.planning.split.plan import plan_split

B = 1e9
NAMES = ("code", "law", "math")


def of(bias: float) -> np.ndarray:
    theta = np.array(PRESET)
    theta[3] *= bias
    return theta


def study(thetas: dict[str, np.ndarray], noise: float) -> pd.DataFrame:
    """Seeds evaluated on every domain, and every domain's own experts."""
    runs = [r for r in product((0.1, 0.35, 1.3), (0, 5, 20, 60, 120), (0, 2, 8, 30)) if r[1] + r[2] > 0]
    parts = []
    for k, (name, theta) in enumerate(thetas.items()):
        one = pd.DataFrame(runs, columns=["params", "seed_tokens", "tokens"]) * B
        expert = one["tokens"] > 0
        one["run"] = one["trunk"] = [f"{name if e else 'mix'}{i}" for i, e in enumerate(expert)]
        one["train_on"], one["eval_on"] = np.where(expert, name, "mix"), name
        one["loss"] = SPLIT.predict(theta, one[["params", "seed_tokens", "tokens"]])
        one["loss"] += np.random.default_rng(k).normal(0, noise, len(one))
        parts.append(one)
    return pd.concat(parts, ignore_index=True)


def test_equal_domains_are_the_plain_problem() -> None:
    table = study(dict.fromkeys(NAMES, np.array(PRESET)), 0.0)
    plan = plan_split(table, total_tokens=120 * B, params=1.3 * B, draws=100)
    best = best_seed(PRESET, 1.3 * B, 120 * B, 3)
    assert plan.domains == 3 and plan.seed_tokens == pytest.approx(best, rel=0.02)
    for expert in plan.experts:
        assert expert.tokens == pytest.approx((120 * B - best) / 3, rel=0.03)
        assert expert.weight == pytest.approx(1 / 3)
    assert plan.splitting_point == pytest.approx(splitting_point(PRESET, 1.3 * B, 3), rel=0.02)


def test_tokens_go_where_they_pay() -> None:
    thetas = {"code": of(0.6), "law": of(1.0), "math": of(1.6)}
    weights = {"code": 1.0, "law": 1.0, "math": 2.0}
    plan = plan_split(study(thetas, 0.0), total_tokens=120 * B, params=1.3 * B, weights=weights, draws=100)
    tokens = {expert.eval_on: expert.tokens for expert in plan.experts}
    assert tokens["code"] < tokens["law"] < tokens["math"]
    assert plan.seed_tokens + sum(tokens.values()) == pytest.approx(120 * B, rel=1e-6)

    def loss(seed: float, each: dict[str, float]) -> float:
        at = {k: {"params": [1.3 * B], "seed_tokens": [seed], "tokens": [t]} for k, t in each.items()}
        return sum(weights[k] / 4 * float(SPLIT.predict(thetas[k], x)[0]) for k, x in at.items())

    mine = loss(plan.seed_tokens, tokens)
    assert mine == pytest.approx(plan.loss, abs=2e-5)
    rng = np.random.default_rng(0)
    for _ in range(2000):  # nothing tried at random is better
        shares = rng.dirichlet([2, 1, 1, 2])
        assert loss(shares[0] * 120 * B, dict(zip(NAMES, shares[1:] * 120 * B, strict=True))) > mine - 1e-6
    near = rng.normal(0, 0.02, (500, 4))
    for step in near - near.mean(axis=1, keepdims=True):
        moved = {name: t + s * 120 * B for (name, t), s in zip(tokens.items(), step[1:], strict=True)}
        if min(moved.values()) > 0:
            assert loss(plan.seed_tokens + step[0] * 120 * B, moved) > mine - 1e-6


def test_noise_gives_experts_intervals_and_short_budgets_are_not_split() -> None:
    table = study({"code": of(0.6), "law": of(1.0), "math": of(1.6)}, 0.003)
    plan = plan_split(table, total_tokens=120 * B, params=1.3 * B, draws=100)
    assert plan.choice == "split" and plan.low is not None and plan.high is not None
    assert plan.low < plan.seed_tokens < plan.high
    assert all(one.low is not None and one.high is not None and one.low < one.high for one in plan.experts)
    assert set(plan.rows["eval_on"]) == set(NAMES) and len(plan.rows) == len(table)
    short = plan_split(table, total_tokens=1 * B, params=1.3 * B, draws=100)
    assert short.choice == "never split" and [one.tokens for one in short.experts] == [0, 0, 0]
    assert [one.loss for one in short.experts] == [one.loss_unsplit for one in short.experts]


def test_curves_that_bend_the_wrong_way_are_still_filled_in_order() -> None:
    curves = np.array([[[[4.0, 3.9, 1.0], [4.0, 3.0, 2.5]]]])  # the first pays late
    loss, amounts = filled(curves, np.array([0.0, 1.0, 2.0]), np.array([1.0]))
    assert loss.tolist() == [[7.0]] and amounts.tolist() == [[[0.0, 1.0]]]
    loss, amounts = filled(curves, np.array([0.0, 1.0, 2.0]), np.array([4.0]))
    assert loss.tolist() == [[3.5]] and amounts.tolist() == [[[2.0, 2.0]]]
