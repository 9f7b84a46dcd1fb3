"""Laws compared on the same rows by what they have not seen."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.fitting.fit import fit
from speciate.fitting.result import errors_of
from speciate.fitting.rivals import fittable, rivals, rivals_of
from speciate.laws import LAWS


def table(sizes: int = 6, steps: int = 8, noise: float = 0.002, seed: int = 0) -> pd.DataFrame:
    params, tokens = np.meshgrid(np.geomspace(1e8, 1e10, sizes), np.geomspace(1e9, 1e11, steps))
    rows = pd.DataFrame({"params": params.ravel(), "tokens": tokens.ravel()})
    exact = LAWS["chinchilla"].predict(
        [1.8, 480, 2100, 0.35, 0.37], {name: rows[name] for name in ("params", "tokens")}
    )
    rows["loss"] = exact * np.exp(np.random.default_rng(seed).normal(0, noise, len(rows)))
    return rows.assign(flops=6 * rows["params"] * rows["tokens"])


def test_the_law_behind_the_rows_wins_on_runs_larger_than_any_fitted() -> None:
    rows = table()
    found = rivals(["loss-compute", "chinchilla"], rows, holdout="params>3e9")
    assert found.best == "chinchilla" and found.rows == 48 and found.refused == {}
    names = [split.held_out.split(">")[0].strip() for split in found.splits]
    assert names == ["params", "params", "tokens", "flops"]  # the condition; then what any law reads, as none is shared
    first = found.splits[0]
    assert first.decided and first.rows == 16 and first.fitted_rows == 32 and first.runs == 16
    apart = rows["params"] > 3e9
    alone = fit("chinchilla", rows[~apart], bootstrap=0).predict(
        params=rows["params"][apart].to_numpy(), tokens=rows["tokens"][apart].to_numpy()
    )
    mae, mre, r2 = errors_of(alone.value, rows["loss"][apart].to_numpy())
    assert (first.scores[0].mae, first.scores[0].mre, first.scores[0].r2) == pytest.approx((mae, mre, r2), rel=1e-9)
    assert any(line.startswith("chinchilla predicts best") for line in found.explain())
    json.dumps(found.to_json(), allow_nan=False)


def test_the_largest_value_or_fifth_is_held_out() -> None:
    found = rivals(["chinchilla", "kaplan"], table(6, 12, noise=0.0005))
    by = {split.held_out.split()[0]: split for split in found.splits}
    assert list(by) == ["params", "tokens"]
    assert by["params"].rows == 12  # 6 sizes: the largest
    assert by["tokens"].rows == 2 * 6  # 12 values: the largest fifth of them
    assert all(split.rows + split.fitted_rows == 72 for split in found.splits)


def test_laws_that_cannot_be_fitted_are_listed_with_the_reason() -> None:
    rows = table()
    found = rivals(["chinchilla", "mixture-ratio", "mixture-domain", "mixing", "loss-compute"], rows)
    assert set(found.refused) == {"mixture-ratio", "mixture-domain", "mixing"}
    assert "domain_ratio" in found.refused["mixture-ratio"] and "holds at one params" in found.refused["mixture-domain"]
    assert any("not compared: mixing" in line for line in found.explain())
    ratios = rows.assign(domain_ratio=np.where(np.arange(48) % 2, 0.2, 0.4))
    assert (
        "domain_ratio" in rivals(["chinchilla", "loss-compute"], ratios).refused["chinchilla"]
    )  # a constant of it alone
    two_sizes = rivals(["chinchilla", "loss-compute"], table(2), holdout="params<2e8")
    reasons = {score.law: score.reason for score in two_sizes.splits[0].scores}
    assert reasons["loss-compute"] is None and "needs it to vary" in str(reasons["chinchilla"])
    assert two_sizes.splits[0].statement == "only loss-compute can be fitted"


def test_all_are_judged_on_rows_that_all_can_use() -> None:
    rows = table()
    rows.loc[:9, "flops"] = np.nan
    found = rivals(["chinchilla", "loss-compute"], rows)
    assert found.rows == 38 and found.usable_rows == {"chinchilla": 48, "loss-compute": 38}


def test_two_laws_in_a_row_take_part_by_name() -> None:
    rows = table(noise=0.0)
    rows["accuracy"] = 1.2 - 0.25 * rows["loss"]
    rows["chance"] = 0.25
    names = ["accuracy-compute", "chinchilla+accuracy-loss-linear"]
    found = rivals(names, rows)
    assert found.laws == tuple(names) and found.output == "accuracy"
    assert all(split.scores[0].law == names[1] for split in found.splits)
    assert all(split.scores[0].mre is not None and split.scores[0].mre < 1e-6 for split in found.splits)
    bits = rows.assign(bits_per_byte=rows["loss"] / 3).drop(columns="loss")
    assert rivals(names, bits, output="bits_per_byte").splits[0].scores[0].law == names[1]


def test_which_laws_are_rivals() -> None:
    rows = table().assign(accuracy=0.5, chance=0.25)
    found = rivals_of("chinchilla", rows)
    assert {"kaplan", "loss-compute"} <= set(found) and "chinchilla" not in found and "mixing" not in found
    of_accuracy = rivals_of("accuracy-params-tokens", rows)
    assert {"accuracy-compute", "chinchilla+accuracy-loss-logistic"} <= set(of_accuracy)
    assert "accuracy-loss-linear" not in of_accuracy  # it reads the loss of the very run
    assert rivals_of("chinchilla+accuracy-loss-linear", rows) != []
    assert "kaplan" not in rivals_of("chinchilla", rows.drop(columns="tokens"))


def test_laws_that_hold_at_one_value_of_what_varies_are_no_rivals() -> None:
    rows = table()
    assert not {"mixture-domain", "mixture-general"} & set(rivals_of("chinchilla", rows))
    one = rows[rows["params"] == rows["params"].max()]
    assert {"mixture-domain", "mixture-general"} <= set(rivals_of("chinchilla", one))
    ratios = rows.assign(domain_ratio=np.tile([0.2, 0.4], 24))
    assert "kaplan" not in rivals_of("d-cpt", ratios) and "kaplan" in rivals_of("chinchilla", rows)


def test_a_rest_of_shares_follows() -> None:
    rows = table().assign(share_a=0.2, share_b=0.3)
    assert {"mixing", "optimal-mixture"} & set(rivals_of("chinchilla", rows))


def test_laws_that_a_table_has_rows_for() -> None:
    rows = table()
    assert {"chinchilla", "kaplan", "loss-compute", "mixture-domain"} <= set(fittable(rows))
    assert "loss-compute" in fittable(rows.drop(columns="flops"))
    assert not {"mixing", "repetition", "d-cpt", "accuracy-compute", "cmr"} & set(fittable(rows))
    assert "mixing" in fittable(rows.assign(share_a=0.2, share_b=0.8))
    halves = pd.concat([rows.drop(columns="loss"), rows[["loss"]]])
    assert fittable(halves) == []


def test_what_holds_out_the_same_rows_is_told_once() -> None:
    rows = table(6, 8)
    diagonal = rows[np.arange(48) // 6 == np.arange(48) % 8]
    labels = [split.held_out for split in rivals(["loss-compute", "kaplan"], diagonal).splits]
    assert len(labels) == len(set(labels)) and any(", " in label for label in labels)
    assert rivals(["kaplan", "chinchilla"], rows, holdout="params>6e9").splits[0].held_out == "params>6e9"


def test_faults_of_the_user_are_named() -> None:
    rows = table()
    with pytest.raises(UserError, match="no law 'chinchila'"):
        rivals(["chinchila"], rows)
    with pytest.raises(UserError, match="compare laws of one output"):
        rivals(["chinchilla", "cmr"], rows)
    with pytest.raises(UserError, match="holds no rows out"):
        rivals(["chinchilla", "kaplan"], rows, holdout="params>1e12")
    with pytest.raises(UserError, match="names 3 laws"):
        rivals(["a+b+c"], rows)
    with pytest.raises(UserError, match="no laws"):
        rivals([], rows)
