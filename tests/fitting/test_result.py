from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.fitting.fit import Fit, fit, load_fit
from speciate.laws import LAWS


@pytest.fixture(scope="module")
def result() -> Fit:
    tokens = np.tile(np.geomspace(1e6, 1e8, 8), 9)
    law = LAWS["mixture-domain"].with_scale("tokens", 1e7)
    loss = law.predict([3.0, -0.05, -0.1], {"tokens": tokens}) + np.random.default_rng(0).normal(0, 0.002, 72)
    rows = {"tokens": tokens, "loss": loss, "run": np.repeat([f"r{i}" for i in range(9)], 8), "eval_on": "law"}
    return fit("mixture-domain", pd.DataFrame(rows), bootstrap=80, holdout="run==r8")


def test_predictions_have_the_shape_of_their_inputs(result: Fit) -> None:
    one = result.predict(tokens=2e7)
    assert isinstance(one.value, float) and one.low < one.value < one.high
    many = result.predict(tokens=[1e6, 2e7])
    assert many.value.shape == many.low.shape == (2,)
    assert many.value[1] == one.value


def test_an_interval_holds_noise_as_well_as_parameters(result: Fit) -> None:
    guess = result.predict(tokens=2e7)
    assert 0.75 < (guess.high - guess.low) / (2 * 1.645 * 0.002) < 1.4
    parameters_alone = np.quantile(result.law.predict(result.draws, {"tokens": [2e7]}), [0.05, 0.95])
    assert guess.high - guess.low > 2 * np.diff(parameters_alone)[0]


def test_inputs_are_checked_at_once(result: Fit) -> None:
    with pytest.raises(UserError) as caught:
        result.predict(params=1e9)
    assert [problem.what for problem in caught.value.problems] == ["tokens is not given", "params is not an input"]
    with pytest.raises(UserError, match="finite number above 0"):
        result.predict(tokens=[1e6, 0.0])


def test_json_has_the_designs_keys_and_no_nan(result: Fit) -> None:
    value = json.loads(json.dumps(result.to_json(), allow_nan=False))
    wanted = {"law", "status", "parameters", "objective", "rows", "trunks", "mae", "mre", "r2", "holdout", "seconds"}
    assert wanted <= set(value) and set(value["holdout"]) == {"rows", "mae", "mre", "r2", "coverage"}
    assert set(value["parameters"]["s"]) == {"value", "low", "high"}


def test_saved_and_loaded_is_the_same_fit(result: Fit, tmp_path: Path) -> None:
    path = result.save(tmp_path / "fits" / "domain.json")
    again = load_fit(path)
    assert again.to_json() == result.to_json()
    assert again.predict(tokens=2e7) == result.predict(tokens=2e7)
    assert again.law == result.law and again.draws is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "speciate fit 1"}', '{"a": NaN', "\x00"])
def test_what_is_not_a_fit_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        load_fit(path)
    with pytest.raises(UserError, match="no such file"):
        load_fit(tmp_path / "absent.json")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        load_fit(path)


def test_explain_says_all_that_matters(result: Fit) -> None:
    text = "\n".join(result.explain())
    for part in ("mixture-domain: loss = c", "units of 2e+08", "64 rows of 8 runs", "on law", "held out: 8 rows"):
        assert part in text
    assert result.explain()[-1] == f"status: {result.status}"


def test_sensitivity_names_rows_of_the_table(result: Fit, tmp_path: Path) -> None:
    found = result.sensitivity
    assert found is not None and found is result.sensitivity, "refitted once"
    assert set(found.intervals) == {"c", "k", "s"} and {one.run for one in found.runs} <= {f"r{i}" for i in range(8)}
    for name, (low, high) in found.intervals.items():
        assert (low, high) == (result.parameters[name]["low"], result.parameters[name]["high"])
    assert load_fit(result.save(tmp_path / "fit.json")).sensitivity is None, "a saved fit has no rows"


def test_rows_left_out_do_not_shift_the_names() -> None:
    tokens = np.geomspace(1e6, 1e8, 30)
    loss = 3 - 0.05 * np.log(tokens) + np.where(np.arange(30) == 20, 0.3, 0.0)
    table = pd.DataFrame({"tokens": tokens, "loss": np.where(np.arange(30) % 4 == 1, np.nan, loss)})
    found = fit("mixture-domain", table, bootstrap=0, objective="squared").sensitivity
    assert found is not None and found.points[0].rows == (20,)
    assert found.words().startswith("without row 21 ")


def test_profile_intervals_replace_those_of_parameters_only(result: Fit, tmp_path: Path) -> None:
    profiled = result.profiled()
    assert profiled.predict(tokens=2e7) == result.predict(tokens=2e7)
    for name, found in profiled.parameters.items():
        drawn = result.parameters[name]
        assert found["value"] == drawn["value"] and found["low"] != drawn["low"]
        assert found["low"] is not None and found["high"] is not None and found["low"] < found["value"] < found["high"]
    again = load_fit(profiled.save(tmp_path / "fit.json"))
    assert again.parameters == profiled.parameters and again.to_json() == profiled.to_json()
    with pytest.raises(UserError, match="bootstrap or profile"):
        fit("mixture-domain", pd.DataFrame({"tokens": [1e6], "loss": [3.0]}), intervals="both")  # type: ignore[arg-type]


def test_an_end_that_the_rows_do_not_set_is_said() -> None:
    tokens = np.geomspace(1e6, 1e8, 12)
    loss = 3 - 0.002 * np.log(tokens) + np.random.default_rng(1).normal(0, 0.05, 12)
    result = fit("mixture-domain", pd.DataFrame({"tokens": tokens, "loss": loss}), bootstrap=20, intervals="profile")
    assert result.parameters["s"]["low"] is None and any(note.startswith("s: no end below") for note in result.notes)
    assert "note: s: no end below" in "\n".join(result.explain())
