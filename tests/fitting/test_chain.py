"""Two laws in a row: values, intervals that carry both stages, refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.fitting.chain import fit_chain


def table(noise_loss: float = 0.02, noise_accuracy: float = 0.005, n: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1e18, 1e22, n)
    loss = 60 * flops**-0.07 * np.exp(rng.normal(0, noise_loss, n))
    accuracy = 1.1 - 0.2 * loss + rng.normal(0, noise_accuracy, n)
    return pd.DataFrame({"flops": flops, "loss": loss, "accuracy": accuracy})


def test_values_are_those_of_the_laws_in_a_row() -> None:
    chain = fit_chain("loss-compute", "accuracy-loss-linear", table(0, 0), bootstrap=0)
    guess = chain.predict(flops=1e23)
    assert guess.value == pytest.approx(1.1 - 0.2 * 60 * 1e23**-0.07, rel=1e-6) and guess.low is None
    assert chain.law_name == "loss-compute+accuracy-loss-linear" and chain.inputs == ("flops",)
    assert chain.mae == pytest.approx(0, abs=1e-8) and chain.status == "converged"
    many = chain.predict(flops=np.array([1e20, 1e23]))
    assert many.value[1] == pytest.approx(guess.value)


def test_the_interval_carries_the_noise_of_both_stages() -> None:
    def width(loss: float, accuracy: float) -> float:
        guess = fit_chain("loss-compute", "accuracy-loss-linear", table(loss, accuracy), bootstrap=200).predict(
            flops=1e22
        )
        return float(guess.high - guess.low)

    both, first, second = width(0.02, 0.01), width(0.02, 1e-6), width(1e-6, 0.01)
    assert first == pytest.approx(
        2 * 1.645 * 0.2 * 60 * 1e22**-0.07 * 0.02, rel=0.3
    )  # the line's slope times the loss's
    assert second == pytest.approx(2 * 1.645 * 0.01, rel=0.3)
    assert both == pytest.approx(np.hypot(first, second), rel=0.2)


def test_held_out_rows_are_predicted_with_coverage() -> None:
    chain = fit_chain("loss-compute", "accuracy-loss-linear", table(n=60), holdout="flops > 1e21", bootstrap=300)
    assert chain.holdout is not None and chain.holdout.rows == 15 and chain.holdout.coverage is not None
    assert chain.holdout.coverage >= 0.7 and chain.first.rows == chain.second.rows == 45
    told = json.loads(json.dumps(chain.to_json(), allow_nan=False))
    assert told["law"] == chain.law_name and len(told["stages"]) == 2 and told["holdout"]["rows"] == 15


def test_another_column_may_pass_between_and_stages_use_all_their_rows() -> None:
    rows = table(0, 0)
    rows["bits_per_byte"] = rows["loss"] / 3
    rows.loc[:9, "accuracy"] = np.nan
    chain = fit_chain("loss-compute", "accuracy-loss-linear", rows, through="bits_per_byte", bootstrap=0)
    assert (chain.column, chain.through) == ("bits_per_byte", "loss")
    assert (chain.first.rows, chain.second.rows) == (40, 30)
    assert chain.second.theta[1] == pytest.approx(-0.6, rel=1e-6)


def test_what_cannot_be_chained_is_refused() -> None:
    with pytest.raises(UserError, match="reads loss"):
        fit_chain("accuracy-compute", "accuracy-loss-linear", table().assign(chance=0.25))
    with pytest.raises(UserError, match="no column 'bpb'"):
        fit_chain("loss-compute", "accuracy-loss-linear", table(), through="bpb")
    with pytest.raises(UserError, match="holds no rows out"):
        fit_chain("loss-compute", "accuracy-loss-linear", table(), holdout="flops > 1e30")
    with pytest.raises(NotDecidable):
        fit_chain("loss-compute", "accuracy-loss-linear", table().assign(flops=1e20))
    apart = table()
    apart.loc[:19, "loss"], apart.loc[20:, "accuracy"] = np.nan, np.nan
    with pytest.raises((NotDecidable, UserError)):
        fit_chain("loss-compute", "accuracy-loss-linear", apart)
    chain = fit_chain("loss-compute", "accuracy-loss-linear", table(), bootstrap=0)
    with pytest.raises(UserError, match="flops is not given"):
        chain.predict()
    with pytest.raises(UserError, match="loss is not an input"):
        chain.predict(flops=1e20, loss=2.0)
    with pytest.raises(UserError, match="finite"):
        chain.predict(flops=float("nan"))
