"""From a table to a Fit: recovery, intervals, units, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.fitting.fit import fit
from speciate.fitting.usable import is_share
from speciate.laws import LAWS

TRUTH = [1.8, 480.0, 2100.0, 0.35, 0.37]


def ladder(noise: float = 0.002, seed: int = 0) -> pd.DataFrame:
    sizes, tokens = np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e11, 7))
    table = pd.DataFrame({"params": sizes.ravel(), "tokens": tokens.ravel()})
    exact = LAWS["chinchilla"].predict(TRUTH, {"params": table["params"], "tokens": table["tokens"]})
    table["loss"] = exact * np.exp(np.random.default_rng(seed).normal(0, noise, len(table)))
    return table


def test_a_fit_recovers_and_brackets_the_truth() -> None:
    result = fit("chinchilla", ladder(), bootstrap=300, level=0.99)
    assert result.status == "converged" and result.law_name == "chinchilla"
    assert (result.rows, result.runs, result.trunks) == (42, 42, 42)
    for name, truth in zip(result.law.names, TRUTH, strict=True):
        found = result.parameters[name]
        assert found["low"] is not None and found["high"] is not None and found["value"] is not None
        assert found["low"] <= found["value"] <= found["high"] and found["low"] < truth < found["high"]
    assert result.mae < 0.01 and result.r2 is not None and result.r2 > 0.99
    assert result.draws is not None and result.draws.shape == (300, 5) and result.seconds > 0


def test_the_same_seed_gives_the_same_fit() -> None:
    one, two = (fit("chinchilla", ladder(), bootstrap=20, seed=3) for _ in range(2))
    assert one.draws is not None and two.draws is not None
    np.testing.assert_array_equal(one.draws, two.draws)
    assert one.predict(params=1e9, tokens=1e10) == two.predict(params=1e9, tokens=1e10)


def test_intervals_cover_what_they_say() -> None:
    new = ladder(seed=99)
    inside = []
    for seed in range(8):
        guess = fit("chinchilla", ladder(seed=seed), bootstrap=120, seed=seed).predict(
            params=new["params"].to_numpy(), tokens=new["tokens"].to_numpy()
        )
        inside.append(np.mean((guess.low <= new["loss"]) & (new["loss"] <= guess.high)))
    assert 0.8 < np.mean(inside) < 0.98


def test_holdout_is_predicted_not_fitted() -> None:
    result = fit("chinchilla", ladder(), bootstrap=100, holdout="params > 3e9")
    assert result.holdout is not None and result.holdout.rows == 14 and result.rows == 28
    assert result.holdout.mae < 0.02 and result.holdout.coverage is not None and result.holdout.coverage > 0.5


def test_units_follow_the_rows_for_a_law_by_name_and_stay_for_a_law_given() -> None:
    tokens = np.geomspace(1e5, 4e6, 12)
    law = LAWS["mixture-domain"].with_scale("tokens", 1e6)
    table = pd.DataFrame({"tokens": tokens, "loss": law.predict([3.0, -0.05, -0.1], {"tokens": tokens})})
    result = fit("mixture-domain", table, bootstrap=0)
    assert result.scales == {"tokens": 1e6}
    np.testing.assert_allclose(result.theta, [3.0, -0.05, -0.1], rtol=1e-6)
    assert fit(LAWS["mixture-domain"], table, bootstrap=0).scales == {"tokens": 0.2e9}
    assert result.parameters["c"] == {"value": pytest.approx(3.0), "low": None, "high": None}


def test_checkpoints_of_one_run_give_no_interval() -> None:
    table = ladder().assign(run="r1")
    result = fit("chinchilla", table, bootstrap=50)
    assert result.draws is None and "one run" in result.status
    guess = result.predict(params=1e9, tokens=1e10)
    assert guess.low is None and guess.high is None and isinstance(guess.value, float)


def test_few_runs_are_called_rough_and_trunks_counted() -> None:
    table = ladder().assign(run=[f"r{i // 6}" for i in range(42)], trunk=[f"t{i // 12}" for i in range(42)])
    result = fit("chinchilla", table, bootstrap=50)
    assert (result.runs, result.trunks) == (7, 4) and "rough intervals: only 4" in result.status


def test_two_sizes_fit_but_say_so() -> None:
    table = ladder()
    table = table[table["params"].isin(sorted(table["params"].unique())[:2])]
    status = fit("chinchilla", table, bootstrap=20).status
    assert "only 2 values of params" in status and "other values of E, A, alpha predict these rows alike" in status


def test_what_two_sizes_leave_open_has_no_interval() -> None:
    table = ladder()
    sizes = sorted(table["params"].unique())[:2]
    result = fit("chinchilla", table[table["params"].isin(sizes)], bootstrap=40)
    assert [name for name, found in result.parameters.items() if found["low"] is None] == ["E", "A", "alpha"]
    guess = result.predict(params=[*sizes, 2 * sizes[1]], tokens=1e10)
    assert np.isfinite(guess.low).tolist() == [True, True, False] and np.isfinite(guess.value).all()
    assert result.sensitivity is not None
    assert result.sensitivity.to_json()["intervals"]["alpha"] == {"low": None, "high": None}
    assert all(not {"E", "A", "alpha"} & set(corner.moved) for corner in result.sensitivity.deltas)
    alone = result.predict(params=2 * sizes[1], tokens=1e10)
    assert alone.low is None and alone.high is None


def test_repeats_that_no_row_has_leave_their_worth_open() -> None:
    table = ladder()
    table["unique_tokens"] = table["tokens"] * np.random.default_rng(0).uniform(1, 3, len(table))
    result = fit("repetition", table, bootstrap=20)
    assert result.parameters["R_D"]["low"] is None and result.parameters["beta"]["low"] is not None
    assert result.predict(params=1e9, tokens=4e10, unique_tokens=1e10).low is None
    assert result.predict(params=1e9, tokens=1e10, unique_tokens=1e10).low is not None


def test_rows_at_fewer_places_than_parameters_are_not_decidable() -> None:
    sizes, tokens = np.meshgrid([1e8, 1e9], [1e9, 1e10])
    table = pd.DataFrame({"params": sizes.ravel(), "tokens": tokens.ravel(), "loss": [3.5, 3.0, 3.1, 2.6]})
    with pytest.raises(NotDecidable, match="40 rows have 4 different inputs"):
        fit("chinchilla", pd.concat([table] * 10))


def test_too_few_draws_have_no_interval() -> None:
    with pytest.raises(UserError, match="at least 200"):
        fit("chinchilla", ladder(), bootstrap=100, level=0.99)


def test_shares_above_1_are_left_out_and_not_predicted() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    table = pd.DataFrame(shares, columns=["share_a", "share_b", "share_c"])
    table["loss"] = 2 + 0.5 * np.exp(-shares[:, 0] + 0.4 * shares[:, 1])
    table.loc[3, ["share_a", "share_b", "share_c"]] *= 100
    result = fit("mixing", table, bootstrap=0)
    assert sum(result.left_out.values()) == 1 and result.rows == 19
    for wrong in ({"share_a": 30.0, "share_b": 0.0, "share_c": 0.0}, {"share_a": 0.9, "share_b": 0.9, "share_c": 0.0}):
        with pytest.raises(UserError, match="above 1|sum to 1.8"):
            result.predict(**wrong)


def test_accuracies_have_intervals_of_accuracies() -> None:
    flops = np.geomspace(1e19, 1e22, 15)
    noise = np.random.default_rng(1).normal(0, 0.02, 15)
    table = pd.DataFrame(
        {"flops": flops, "chance": 0.25, "accuracy": 0.25 + 0.75 * np.exp(-0.3 / (flops / 1e21) ** 0.3)}
    )
    table["accuracy"] += noise
    guess = fit("accuracy-compute", table, bootstrap=50).predict(flops=[1e19, 1e26])
    assert (guess.high <= 1).all() and (guess.low >= 0).all() and (guess.high > guess.value).all()


def test_options_are_checked_at_once() -> None:
    with pytest.raises(UserError) as caught:
        fit("chinchilla", ladder(), bootstrap=-1, level=1.5, delta=0.0)
    assert len(caught.value.problems) == 3


def test_a_loss_without_a_logarithm_is_refused_under_log_huber_only() -> None:
    tokens = np.geomspace(1e8, 1e10, 9)
    change = LAWS["mixture-domain"].predict([-0.1, -0.05, -0.1], {"tokens": tokens})
    table = pd.DataFrame({"tokens": tokens, "loss": change})
    np.testing.assert_allclose(fit("mixture-domain", table, bootstrap=0).theta, [-0.1, -0.05, -0.1], rtol=1e-5)
    with pytest.raises(UserError, match="no logarithm"):
        fit("mixture-domain", table, bootstrap=0, objective="log-huber")


def test_one_value_of_an_input_is_not_decidable_and_names_a_row() -> None:
    with pytest.raises(NotDecidable) as caught:
        fit("chinchilla", ladder().assign(params=1e9))
    assert "params = 1e+09" in caught.value.reason and "params = 2.5e+08" in caught.value.remedy


def test_too_few_rows_are_not_decidable() -> None:
    with pytest.raises(NotDecidable, match="5 parameters and there are 4"):
        fit("chinchilla", ladder().iloc[[0, 8, 16, 24]])


@pytest.mark.parametrize("name", list(LAWS))
@pytest.mark.parametrize("seed", range(6))
def test_nasty_tables_give_a_finite_fit_or_a_reason(name: str, seed: int) -> None:
    """Noise for a signal, constants, two distinct inputs, any unit: never a crash, a warning or a NaN."""
    rng = np.random.default_rng([seed, len(name)])
    law, count = LAWS[name], int(rng.integers(3, 25))
    reach = 10.0 ** rng.uniform(3, 14) * 10 ** (rng.uniform(0.01, 5) * rng.uniform(0, 1, count))
    table = pd.DataFrame({g.name: rng.uniform(0.01, 0.3, count) if is_share(g.name) else reach for g in law.inputs})
    if seed % 3 == 0:
        for given in law.inputs:
            table[given.name] = rng.choice(table[given.name].to_numpy()[:2], count)
    table[law.output] = [np.full(count, 2.5), rng.uniform(1e-6, 1e6, count), rng.normal(3, 0.5, count)][seed % 3]
    table["run"] = [f"r{k}" for k in rng.integers(0, 4, count)]
    try:
        result = fit(name, table, bootstrap=20)
    except (NotDecidable, UserError):
        return
    assert np.isfinite(result.theta).all() and np.isfinite(result.objective) and result.status
    assert np.isfinite(result.predict(**{given.name: float(table[given.name].iloc[0]) for given in law.inputs}).value)
