from __future__ import annotations

import copy
import json
from typing import Any

import pandas as pd
import pytest

from speciate.errors import NotDecidable, UserError
from speciate.planning.compare import compare
from speciate.planning.mixture.decision import predictions
from speciate.planning.mixture.plan import plan_mixture
from speciate.planning.mixture.simulate import Setup, simulate
from speciate.planning.seal import seal, verify_seal

SETUP = Setup(sizes=(35_552,))


def outcome(
    seed: int = 0, ratios: tuple[float, ...] = (0.5, 0.75)
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """A sealed plan, the table it was fitted on, and that table with the outcome added."""
    study = simulate(SETUP, seed)
    decision = plan_mixture(study.table, horizon_tokens=SETUP.horizon, draws=200)
    predicted = predictions(decision, ratios, [SETUP.horizon], trunk="A35552")
    plan = {"decision": decision.to_json(), "predictions": predicted}
    sealed = json.loads(json.dumps(seal(plan, study.table)))
    rows = []
    for ratio in ratios:
        for eval_on, loss in zip(("general", "code"), study.measure(35_552, ratio), strict=True):
            rows.append((f"final-{ratio}", "A35552", 35_552, ratio, 9, eval_on, SETUP.horizon, loss))
    final = pd.DataFrame(rows, columns=study.table.columns)
    return sealed, study.table, pd.concat([study.table, final], ignore_index=True)


def test_a_sealed_plan_is_compared() -> None:
    plan, _, after = outcome()
    result = compare(plan, after)
    assert len(result["rows"]) == 4 and result["coverage"]["runs"] == 2 and result["coverage"]["rows"] == 4
    row = result["rows"][0]
    assert row["error"] == pytest.approx(row["measured"] - row["predicted"])
    assert row["inside"] == (row["low"] <= row["measured"] <= row["high"])
    assert result["mae"] < 0.2 and "independent runs" in result["verdict"]
    (regret,) = result["regret"]
    assert regret["chosen_ratio"] in (0.5, 0.75) and regret["best_ratio"] == 0.5
    json.dumps(result, allow_nan=False)


def test_too_narrow_intervals_are_called_so() -> None:
    plan, table, after = outcome(ratios=(0.25, 0.5, 0.75))
    for row in plan["predictions"]:
        row["low"], row["high"] = row["value"] + 1, row["value"] + 2
    assert "too narrow" in compare(seal(plan, table), after)["verdict"]
    for row in plan["predictions"]:
        row["low"] = row["high"] = None
    result = compare(seal(plan, table), after)
    assert result["coverage"]["inside"] is None and "no intervals" in result["verdict"]


def test_an_altered_or_fitted_plan_is_refused() -> None:
    plan, table, after = outcome()
    verify_seal(plan)
    altered = copy.deepcopy(plan)
    altered["decision"]["models"][0]["tolerance"] = 0.2
    with pytest.raises(UserError, match="altered"):
        compare(altered, after)
    with pytest.raises(UserError, match="never sealed"):
        compare({"predictions": []}, after)
    with pytest.raises(UserError, match="fitted on 4"):
        compare(seal(plan, after), after)
    with pytest.raises(NotDecidable):
        compare(plan, table)
    with pytest.raises(UserError, match="no predictions"):
        compare(seal({}, table), after)
