"""Was the plan right? Sealed predictions against what was measured afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.seal import verify_seal
from speciate.runs.table import row_digests

TOKENS_APART = 0.005  # a measurement within half a percent of the planned tokens is the planned one


def compare(plan: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """Predicted against measured: {rows, coverage, mae, regret, verdict}; missing is None.

    ``plan``: as sealed, with ``decision`` (the JSON of a ``MixtureDecision``) and ``predictions`` (rows of
    ``planning.decision.predictions``). ``table``: measurements made since; rows the plan was fitted
    on may be among them, except those it had to predict.

    Raises UserError (an altered plan, or one whose fitted rows hold the outcome), NotDecidable (nothing
    measured yet that was predicted).
    """
    verify_seal(plan)
    predicted = list(plan.get("predictions") or [])
    if not predicted:
        raise UserError(Problem("the plan holds no predictions", "plan", "seal it with its predictions"))
    matches = _match(predicted, table)
    known = set(plan["fitted_row_digests"])
    digests = dict(zip(table.index, row_digests(table), strict=True))
    seen = [index for _, index in matches if digests[index] in known]
    if seen:
        runs = ", ".join(sorted({str(table.loc[index, "run"]) for index in seen}))
        fix = "compare with runs that were measured after the plan was sealed"
        raise UserError(Problem(f"the plan was fitted on {len(seen)} of the rows it predicts", f"runs {runs}", fix))
    if not matches:
        raise NotDecidable("none of the planned runs has been measured", "carry the plan out, then compare again")
    rows = [_row(prediction, table.loc[index]) for prediction, index in matches]
    decision = plan["decision"]
    level = float(decision["level"])
    coverage = _coverage(rows, level)
    errors = [abs(row["error"]) for row in rows]
    return {
        "rows": rows,
        "coverage": coverage,
        "mae": float(np.mean(errors)),
        "regret": _regrets(decision, rows, table),
        "verdict": coverage["verdict"],
        "seal": plan["seal"],
    }


def _match(predicted: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> list[tuple[Mapping[str, Any], Any]]:
    """Pairs of a prediction and the index of a row that it predicted; a row measured by two seeds gives two."""
    pairs = []
    for prediction in predicted:
        tokens = float(prediction["tokens"])
        fits = (
            (table["params"] == prediction["params"])
            & ((table["domain_ratio"] - prediction["domain_ratio"]).abs() < 1e-6)
            & ((table["tokens"] - tokens).abs() <= TOKENS_APART * tokens)
            & (table["eval_on"] == prediction["eval_on"])
        )
        if prediction.get("trunk") is not None and "trunk" in table.columns:
            fits &= table["trunk"].astype(str) == str(prediction["trunk"])
        pairs += [(prediction, index) for index in table.index[fits]]
    return pairs


def _row(prediction: Mapping[str, Any], measured: pd.Series[Any]) -> dict[str, Any]:
    value, low, high = prediction["value"], prediction.get("low"), prediction.get("high")
    loss = float(measured["loss"])
    return {
        "run": str(measured["run"]),
        "params": int(prediction["params"]),
        "domain_ratio": float(prediction["domain_ratio"]),
        "tokens": float(measured["tokens"]),
        "eval_on": prediction["eval_on"],
        "predicted": float(value),
        "low": low,
        "high": high,
        "measured": loss,
        "error": loss - float(value),
        "inside": None if low is None or high is None else bool(low <= loss <= high),
    }


def _coverage(rows: Sequence[Mapping[str, Any]], level: float) -> dict[str, Any]:
    """How many measurements lie inside, and the range in which that number should be (95 %, binomial).

    Rows of one run (its evaluation sets, its token counts) share the run's luck, so the range is that of
    as many independent trials as there are runs, scaled up to the rows.
    """
    judged = [row for row in rows if row["inside"] is not None]
    runs = len({row["run"] for row in judged})
    n = len(judged)
    if not n:
        verdict = "The plan had no intervals (run-to-run noise was unknown), so there is nothing to check."
        return {"inside": None, "rows": 0, "runs": 0, "expected": None, "low": None, "high": None, "level": level,
                "verdict": verdict}  # fmt: skip
    inside = sum(bool(row["inside"]) for row in judged)
    low, high = (float(q) / runs * n for q in binom.ppf([0.025, 0.975], runs, level))
    counted = f"{inside} of {n} measured losses lie inside their {level:.0%} intervals"
    expected = f"{low:.3g} to {high:.3g} were to be expected from {runs} independent run{'s' if runs != 1 else ''}"
    if inside < low:
        verdict = f"{counted}; {expected}: the intervals were too narrow."
    else:
        verdict = f"{counted}; {expected}: as often as they said."
    return {
        "inside": inside, "rows": n, "runs": runs, "expected": level * n, "low": low, "high": high, "level": level,
        "verdict": verdict,
    }  # fmt: skip


def _regrets(
    decision: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], table: pd.DataFrame
) -> list[dict[str, Any]]:
    """Per size: the planned ratio's domain loss against the best measured ratio that turned out feasible.

    The chosen ratio is the measured one closest to the planned critical ratio. ``loss_difference``
    (nats/token, 0 or more) is None when the chosen ratio broke the tolerance or nothing was feasible.
    """
    found = []
    for model in decision["models"]:
        critical, start = model.get("critical_ratio"), (model.get("start_loss") or {}).get("general")
        mine = [row for row in rows if row["params"] == model["params"]]
        general = _by_ratio(mine, decision["general"])
        domain = _by_ratio(mine, decision["domain"])
        shared = sorted(set(general) & set(domain))
        if critical is None or start is None or not shared:
            continue
        start = _start_measured(table, model["params"], decision["general"], mine, start)
        feasible = [ratio for ratio in shared if general[ratio] - start <= model["tolerance"]]
        chosen = min(shared, key=lambda ratio: abs(ratio - critical))
        best = min(feasible, key=lambda ratio: domain[ratio]) if feasible else None
        kept = chosen in feasible
        found.append({
            "params": model["params"],
            "planned_ratio": critical,
            "chosen_ratio": chosen,
            "chosen_feasible": kept,
            "general_change": general[chosen] - start,
            "tolerance": model["tolerance"],
            "best_ratio": best,
            "loss_difference": domain[chosen] - domain[best] if kept and best is not None else None,
        })  # fmt: skip
    return found


def _by_ratio(rows: Sequence[Mapping[str, Any]], eval_on: str) -> dict[float, float]:
    """Mean measured loss by ratio."""
    losses: dict[float, list[float]] = {}
    for row in rows:
        if row["eval_on"] == eval_on:
            losses.setdefault(row["domain_ratio"], []).append(row["measured"])
    return {ratio: float(np.mean(values)) for ratio, values in losses.items()}


def _start_measured(
    table: pd.DataFrame, params: int, general: str, rows: Sequence[Mapping[str, Any]], otherwise: float
) -> float:
    """Loss of the starting models of the compared runs, from their own rows with tokens = 0 where there are any."""
    runs = {row["run"] for row in rows}
    zero = table[(table["params"] == params) & (table["eval_on"] == general) & (table["tokens"] == 0)]
    own = zero[zero["run"].astype(str).isin(runs)]
    if own.empty and "trunk" in table.columns:
        trunks = set(table.loc[table["run"].astype(str).isin(runs), "trunk"].astype(str))
        own = zero[zero["trunk"].astype(str).isin(trunks)]
    return float(own["loss"].mean()) if len(own) else otherwise
