from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.laws.mixture_general import MIXTURE_GENERAL, turning_tokens
from speciate.planning.mixture.decision import predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate

TABLE4 = Path(__file__).parents[4] / "shared" / "data" / "cmr_table4.csv"
UNIT = 0.2e9
SIZES = {"460M": 460e6, "940M": 940e6, "1.6B": 1.6e9, "3.1B": 3.1e9}
TURNING = {  # laws.md section 2, lambda -> infinity, in units of 0.2B tokens, at 12.5 25 33.3 50 75 100 %
    "460M": (39.8, 79.9, 117.1, 233.5, 494, None),
    "940M": (29.0, 56.7, 92.0, 204.0, None, None),
    "1.6B": (23.1, 42.7, 65.6, 167.5, 693, None),
    "3.1B": (20.1, 30.8, 44.0, 114.7, 850, None),
}
CRITICAL = {"460M": 0.298, "940M": 0.354, "1.6B": 0.410, "3.1B": 0.481}


def paper_table(most: float = 100.0) -> pd.DataFrame:
    if not TABLE4.exists():
        pytest.skip("needs ../shared/data/cmr_table4.csv")
    t = np.arange(1, 101.0)
    rows: list[tuple[object, ...]] = []
    for _, row in pd.read_csv(TABLE4).iterrows():
        if row.ratio_pct > most:
            continue
        general = row.gen_a2 * t**row.gen_s2 + row.gen_a3 * t**row.gen_s3 + row.gen_b2
        finance = row.dom_a1 * t**row.dom_s1 + row.dom_b1
        ratio = 1 / 3 if row.ratio_pct == 33.3 else row.ratio_pct / 100
        for eval_on, change in (("general", general), ("finance", finance)):
            key = (f"{row.model}-{ratio:.3f}", SIZES[row.model], ratio, eval_on)
            rows.append((*key, 0.0, 2.0))
            rows += [(*key, at * UNIT, 2.0 + value) for at, value in zip(t, change, strict=True)]
    return pd.DataFrame(rows, columns=["run", "params", "domain_ratio", "eval_on", "tokens", "loss"])


def test_turning_points_of_the_paper() -> None:
    decision = plan_mixture(paper_table(), horizon_tokens=20e9)
    for name, model in zip(SIZES, decision.models, strict=True):
        for expected, verdict in zip(TURNING[name], model.ratios, strict=True):
            if expected is None:
                assert verdict.turning_tokens is None
            else:
                assert verdict.turning_tokens is not None
                assert verdict.turning_tokens / UNIT == pytest.approx(expected, rel=0.03)
        assert not model.ratios[-1].feasible  # 100 %


def test_critical_ratios_of_the_paper_without_replicates() -> None:
    decision = plan_mixture(paper_table(50.0), horizon_tokens=20e9)
    for name, model in zip(SIZES, decision.models, strict=True):
        assert model.critical_ratio == pytest.approx(CRITICAL[name], abs=0.01)
        assert model.binding == "turning point"
        assert model.decided and model.low is None and model.high is None
        assert "second seed" in model.status
        assert model.remedy is not None
        assert model.law is not None and set(model.law) == {"a", "s", "b", "unit_tokens"}
        at = 100 * UNIT / model.law["unit_tokens"]
        assert model.law["a"] * at ** model.law["s"] + model.law["b"] == pytest.approx(CRITICAL[name], abs=0.01)
    json.dumps(decision.to_json(), allow_nan=False)


def test_finite_lambda_turns_earlier_by_what_is_published() -> None:
    table = paper_table(50.0)
    infinite, finite, large = (plan_mixture(table, horizon_tokens=20e9, lambda_=w) for w in (None, 100.0, 3000.0))
    for i in range(4):
        t0, t100, t3000 = (
            np.array([v.turning_tokens for v in d.models[i].ratios], dtype=float) for d in (infinite, finite, large)
        )
        assert np.all((t100 < t0 * 0.92) & (t100 > t0 * 0.57))
        assert np.allclose(t3000, t0, rtol=0.02)


def test_size_between_and_beyond() -> None:
    decision = plan_mixture(paper_table(50.0), horizon_tokens=20e9, params=2_000_000_000)
    (model,) = decision.models
    assert model.params == 2_000_000_000 and model.extrapolated
    assert model.critical_ratio == pytest.approx(0.43, abs=0.03)


def study(setup: Setup, seed: int = 0) -> pd.DataFrame:
    return simulate(setup, seed).table


def test_decision_with_interval_and_json() -> None:
    setup = Setup()
    truth = simulate(setup, 0)
    decision = plan_mixture(truth.table, horizon_tokens=setup.horizon)
    assert decision.decided and decision.domain == "code"
    for model in decision.models:
        assert model.critical_ratio is not None and model.low is not None and model.high is not None
        assert model.low <= truth.critical[model.params] <= model.high
        assert model.low < model.critical_ratio < model.high
        assert model.binding == "tolerance" and model.extrapolated
    value = json.loads(json.dumps(decision.to_json(), allow_nan=False))
    model = value["models"][0]
    assert {"params", "critical_ratio", "low", "high", "horizon_tokens", "tolerance", "binding", "extrapolated",
            "ratios", "law", "status", "curves", "critical_curve", "remedy"} <= set(model)  # fmt: skip
    assert len(model["curves"]) == 2 * len(setup.ratios)
    assert model["critical_curve"]["tokens"][-1] == pytest.approx(setup.horizon)
    assert model["critical_curve"]["value"][-1] == pytest.approx(model["critical_ratio"])
    assert len(decision.explain().splitlines()) == 5


def test_a_horizon_far_beyond_the_pilots_is_told() -> None:
    setup = Setup(sizes=(35_552,), horizon=4e6)
    decision = plan_mixture(simulate(setup, 0).table, horizon_tokens=setup.horizon, draws=200)
    assert decision.largest.beyond == pytest.approx(4, rel=0.02) and decision.largest.to_json()["beyond"] > 3
    assert ("too far to trust it" in decision.explain()) == decision.decided
    near = plan_mixture(simulate(Setup(sizes=(35_552,)), 0).table, horizon_tokens=2e6, draws=200)
    assert near.decided and "too far" not in near.explain()


def test_same_seed_same_answer() -> None:
    table = study(Setup())
    first, second = (plan_mixture(table, horizon_tokens=2e6, draws=200, seed=3).to_json() for _ in range(2))
    assert first == second
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    third = plan_mixture(shuffled, horizon_tokens=2e6, draws=200, seed=3).to_json()
    assert third["models"][0]["critical_ratio"] == pytest.approx(first["models"][0]["critical_ratio"], rel=1e-9)


def test_not_decidable_says_what_would_settle_it() -> None:
    table = study(Setup(sizes=(35_552,)))
    low = plan_mixture(table[table.domain_ratio <= 0.5], horizon_tokens=2e6).models[0]
    assert not low.decided and low.critical_ratio is None and low.low is None
    assert "3 are needed" in low.status and low.remedy is not None and low.remedy.domain_ratio == 0.75
    all_fine = plan_mixture(table, horizon_tokens=2e6, tolerance=5.0).models[0]
    assert not all_fine.decided and all_fine.remedy is not None and all_fine.remedy.domain_ratio > 0.9
    none_fine = plan_mixture(table, horizon_tokens=2e6, tolerance=0.0)
    shifted = table.copy()
    shifted.loc[(shifted.tokens > 0) & (shifted.eval_on == "general"), "loss"] += 1.0
    none_fine = plan_mixture(shifted, horizon_tokens=2e6).models[0]
    assert not none_fine.decided and none_fine.remedy is not None and none_fine.remedy.domain_ratio < 0.25
    wide = plan_mixture(table, horizon_tokens=2e6, widest=0.01).models[0]
    assert not wide.decided and wide.critical_ratio is None and "wider" in wide.status and wide.remedy is not None
    assert wide.remedy.to_json()["spec"]["flops"] == 6.0 * wide.remedy.params * wide.remedy.tokens
    for model in (low, all_fine, none_fine, wide):
        json.dumps(model.to_json(), allow_nan=False)


def test_faults_are_named_together() -> None:
    table = study(Setup(sizes=(35_552,)))
    with pytest.raises(UserError, match="column loss is missing"):
        plan_mixture(table.drop(columns=["loss"]))
    bad = table.copy()
    bad.loc[3, "tokens"], bad.loc[5, "domain_ratio"] = -1.0, 1.5
    with pytest.raises(UserError) as caught:
        plan_mixture(bad)
    assert len(caught.value.problems) == 2
    with pytest.raises(UserError, match="tokens = 0"):
        plan_mixture(table[table.tokens > 0])
    with pytest.raises(UserError, match="tokenizer"):
        plan_mixture(table.assign(tokenizer=["a", "b"] * (len(table) // 2)))
    with pytest.raises(UserError, match="choices: code, law"):
        plan_mixture(pd.concat([table, table[table.eval_on == "code"].assign(eval_on="law")]))
    with pytest.raises(UserError) as caught:
        plan_mixture(table, level=2.0, tolerance=-1.0, lambda_=np.inf)
    assert len(caught.value.problems) == 3
    with pytest.raises(NotDecidable):
        plan_mixture(table[table.tokens.isin(table.tokens.unique()[:4])])


def test_starting_model_of_another_run_of_the_trunk() -> None:
    table = study(Setup(sizes=(35_552,)))
    first = table.run.iloc[0]
    fewer = table[(table.tokens > 0) | (table.run == first)]
    assert plan_mixture(fewer, draws=200).to_json()["models"] == plan_mixture(table, draws=200).to_json()["models"]


def test_first_stage_rows_are_left_out() -> None:
    table = study(Setup(sizes=(35_552,))).assign(seed_tokens=2e6)
    trunk = table[table.domain_ratio == 0.25].assign(run="trunk", domain_ratio=0.0, seed_tokens=0.0)
    whole = plan_mixture(pd.concat([table, trunk], ignore_index=True), draws=200)
    assert whole.to_json()["models"] == plan_mixture(table, draws=200).to_json()["models"]


def test_law_without_noise_is_found() -> None:
    theta = np.array([0.02, 0.1, -0.12, 0.4])
    tokens = np.geomspace(2e4, 1e6, 12)
    rows = []
    for ratio in (0.2, 0.4, 0.6, 0.8):
        own = theta * np.array([1, 4 * ratio, 1, 1])
        for eval_on, change in (("general", MIXTURE_GENERAL.predict(own, {"tokens": tokens / 1e6 * UNIT})),
                                ("code", -ratio * np.log1p(tokens / 1e5))):  # fmt: skip
            rows += [(f"r{ratio}", 1e5, ratio, eval_on, 0.0, 3.0)]
            rows += [(f"r{ratio}", 1e5, ratio, eval_on, t, 3.0 + c) for t, c in zip(tokens, change, strict=True)]
    table = pd.DataFrame(rows, columns=["run", "params", "domain_ratio", "eval_on", "tokens", "loss"])
    model = plan_mixture(table, horizon_tokens=1e6, tolerance=0.2).models[0]
    for ratio, verdict in zip((0.2, 0.4, 0.6, 0.8), model.ratios, strict=True):
        exact = float(turning_tokens(theta * np.array([1, 4 * ratio, 1, 1]), 1e6))
        assert verdict.turning_tokens == pytest.approx(exact, rel=0.01)


def test_predictions_for_new_and_continued_runs() -> None:
    setup = Setup(trunks=2, replicates=2)
    decision = plan_mixture(study(setup), horizon_tokens=2e6, draws=400)
    size = setup.sizes[0]
    new = predictions(decision, [0.5, 0.6], [1e6, 2e6], params=size)
    assert len(new) == 8 and all(row["low"] < row["value"] < row["high"] for row in new)
    on_trunk = predictions(decision, [0.5], [2e6], params=size, trunk=f"A{size}")[0]
    carried = predictions(decision, [0.5], [2e6], params=size, continues={0.5: f"{size}-0.5-0-0"})[0]
    anywhere = next(row for row in new if row["domain_ratio"] == 0.5 and row["tokens"] == 2e6)
    width = [row["high"] - row["low"] for row in (carried, on_trunk, anywhere)]
    assert width[0] < width[1] < width[2]
    with pytest.raises(UserError, match="no trunk"):
        predictions(decision, [0.5], [2e6], trunk="nowhere")
    with pytest.raises(UserError, match="no pilot"):
        predictions(decision, [0.5], [2e6], params=size, continues={0.5: "nobody"})
    with pytest.raises(UserError, match="out of range"):
        predictions(decision, [1.5], [2e6])


def test_intervals_cover_in_a_short_simulation() -> None:
    """The long form is benchmarks/mixture_coverage.py; 90 % intervals, fixed seeds."""
    inside, losses = [], []
    for seed in range(8):
        setup = Setup(world=("jump", "law")[seed % 2])  # type: ignore[arg-type]
        truth = simulate(setup, seed)
        decision = plan_mixture(truth.table, horizon_tokens=setup.horizon, draws=200, seed=seed)
        for model in decision.models:
            if model.low is not None and model.high is not None:
                inside.append(model.low <= truth.critical[model.params] <= model.high)
            general, _ = truth.measure(model.params, 0.5)
            row = predictions(decision, [0.5], [setup.horizon], params=model.params)[0]
            losses.append(row["low"] <= general <= row["high"])
    assert len(inside) >= 13 and np.mean(inside) >= 0.8 and np.mean(losses) >= 0.8


def test_ten_thousand_rows_in_seconds() -> None:
    setup = Setup(sizes=tuple(range(100_000, 1_100_000, 100_000)), ratios=tuple(np.linspace(0.1, 0.95, 8).round(3)),
                  replicates=2, points=50)  # fmt: skip
    table = study(replace(setup))
    assert len(table) >= 10_000
    start = time.process_time()
    plan_mixture(table, horizon_tokens=2e6)
    assert time.process_time() - start < 6  # 2 to 3 s of one core; CPU time, as a busy machine only stretches the clock
