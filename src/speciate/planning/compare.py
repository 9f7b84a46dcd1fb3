"""Was the plan right? Sealed predictions against what was measured afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.matching import amounts, check_columns, closest, faults, keys_of, match, output_of
from speciate.planning.regret import regrets
from speciate.planning.seal import FORMAT, fitted_on, verify_seal

Pairs = list[tuple[int, int]]  # places of a prediction and of a row
ASIDE = {"trunk", "domains", "tokenizer", "eval_hash"}  # keys that a compared row does not repeat


def compare(plan: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """Predicted against measured.

    {kind, rows, coverage, mae, mre, bias, relative_bias, regret, verdict, left_out, seal}.

    ``plan``: as sealed, with ``decision`` (a decision's JSON) and ``predictions`` (rows of ``planning.predictions``).
    ``table``: measurements made since; rows the plan was fitted on may be among them, except those it had to predict.
    Where the plan says that it knew such measurements (``fitted_rows``), those of further runs count, and the known
    are ``left_out``. ``bias`` is the mean of measured less predicted, ``mae`` of its size, in the output's unit;
    ``relative_bias`` and ``mre`` are those of the errors as shares of what was predicted. Missing is None.

    Raises UserError (an altered plan, or one whose fitted rows hold the outcome), NotDecidable (nothing
    measured yet that was predicted).
    """
    check_plan(plan)
    predicted = list(plan["predictions"])
    table = table.drop_duplicates(ignore_index=True)
    check_columns(predicted, table)
    pairs, left_out = unseen(plan, predicted, match(predicted, table), table)
    if not pairs:
        remedy = "carry the plan out, then compare again"
        near = closest(predicted, table)
        raise NotDecidable("none of the planned runs has been measured" + (f": {near}" if near else ""), remedy)
    rows = [_row(i, predicted[i], table, place) for i, place in pairs]
    decision = plan["decision"]
    coverage = _coverage(rows, float(decision["level"]))
    errors = np.array([row["error"] for row in rows])
    shares = np.array([row["relative_error"] for row in rows if row["relative_error"] is not None])
    return {
        "kind": decision.get("kind", "mixture"),
        "rows": rows,
        "coverage": coverage,
        "mae": float(np.mean(np.abs(errors))),
        "mre": float(np.mean(np.abs(shares))) if len(shares) else None,
        "bias": float(np.mean(errors)),
        "relative_bias": float(np.mean(shares)) if len(shares) else None,
        "regret": regrets(plan, rows, table),
        "verdict": coverage["verdict"],
        "left_out": left_out,
        "seal": plan["seal"],
    }


def check_plan(plan: Mapping[str, Any]) -> None:
    """Raise UserError unless this is a plan that can be compared: of this format, as sealed, with predictions."""
    named = plan.get("format", FORMAT if {"seal", "predictions"} & plan.keys() else "no plan")
    if named != FORMAT:
        other = str(named).startswith(FORMAT.rstrip("0123456789"))
        what = f"its format is {named}, and this is for {FORMAT}" if other else "this is no sealed plan"
        fix = "use the version of Speciate that sealed it" if other else "give a file that plan ... --seal FILE wrote"
        raise UserError(Problem(what, "plan", fix))
    verify_seal(plan)
    if not plan.get("predictions"):
        what = "the plan holds no predictions: nothing was decided, or not of a size that was run"
        raise UserError(Problem(what, "plan", "add the run that its explanation names, plan again and seal that"))
    if problems := _form(plan):
        raise UserError(problems)


def _form(plan: Mapping[str, Any]) -> list[Problem]:
    """What of a plan, sealed by whomever, is not as ``sealed_plan`` makes it."""
    fix = "seal it with plan ... --seal FILE, or with speciate.planning.predictions.sealed_plan"
    decision, listed = plan.get("decision"), plan["predictions"]
    level = decision.get("level") if isinstance(decision, Mapping) else None
    problems = []
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        problems.append(Problem(f"its decision has the level {level!r:.40}", "plan", fix))
    if not isinstance(listed, list):
        return [*problems, Problem(f"its predictions are {listed!r:.40}, no list", "plan", fix)]
    problems += [
        Problem(f"prediction {i + 1}: {what}", "plan", fix) for i, one in enumerate(listed) for what in faults(one)
    ]
    for name in ("fitted_values", "fitted_measurements"):
        known = plan.get(name)
        if known is not None and not (isinstance(known, Mapping) and {"columns", "digests"} <= known.keys()):
            problems.append(Problem(f"{name} are not columns and digests", "plan", fix))
    return problems


def unseen(
    plan: Mapping[str, Any], predicted: Sequence[Mapping[str, Any]], pairs: Pairs, table: pd.DataFrame
) -> tuple[Pairs, int]:
    """The pairs whose row the plan was not fitted on, and how many were passed because the plan says that it was.

    Raises UserError where the plan was fitted on rows that it had to predict.
    """
    if not pairs:
        return [], 0
    places = [place for _, place in pairs]
    exact, known = fitted_on(plan, table.iloc[places])
    fresh = [pair for pair, old in zip(pairs, known, strict=True) if not old]
    secret = np.array([not predicted[i].get("fitted_rows") for i, _ in pairs])
    wrong = known & (secret if fresh else True)
    if not wrong.any():
        return fresh, int(known.sum())
    count, alike = int(wrong.sum()), int((wrong & ~exact).sum())
    what = f"the plan was fitted on {count} of the rows it predicts"
    if alike:
        what += f" ({alike} of them as other values of the same measurement: same run, tokens and evaluation set)"
    name = "run" if "run" in table.columns else None
    told = [str(table.at[p, name]) if name else f"row {p + 1}" for p, bad in zip(places, wrong, strict=True) if bad]
    runs = sorted(set(told))
    where = f"{'runs ' if name else ''}{', '.join(runs[:6])}" + (f" and {len(runs) - 6} more" if len(runs) > 6 else "")
    raise UserError(Problem(what, where, "compare with runs that were measured after the plan was sealed"))


def _row(number: int, prediction: Mapping[str, Any], table: pd.DataFrame, place: int) -> dict[str, Any]:
    """One measurement beside its prediction; ``prediction`` is the place in the plan's list."""
    measured = table.iloc[place]
    value, low, high = float(prediction["value"]), prediction.get("low"), prediction.get("high")
    output = output_of(prediction)
    found = float(measured[output])
    keys = {name: key for name, key in keys_of(prediction).items() if name not in ASIDE}
    keys |= {name: float(amounts(table, name)[place]) for name in ("seed_tokens", "tokens", "flops") if name in keys}
    return {
        "run": str(measured["run"]) if "run" in table.columns else f"row {place + 1}",
        "prediction": number,
        "option": prediction.get("option"),
        **{name: int(key) if isinstance(key, float) and name == "params" else key for name, key in keys.items()},
        "output": output,
        "predicted": value,
        "low": low,
        "high": high,
        "measured": found,
        "error": found - value,
        "relative_error": (found - value) / value if value else None,
        "inside": None if low is None or high is None else bool(low <= found <= high),
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
        return {"inside": None, "rows": 0, "runs": 0, "share": None, "expected": None, "low": None, "high": None,
                "level": level, "verdict": verdict}  # fmt: skip
    inside = sum(bool(row["inside"]) for row in judged)
    low, high = (float(q) / runs * n for q in binom.ppf([0.025, 0.975], runs, level))
    counted = f"{inside} of {n} measured {_noun(judged)} lie inside their {level:.0%} intervals"
    few, many = (f"{round(end, 1):,g}" for end in (low, high))
    expected = f"{few} to {many} were to be expected from {runs} independent run{'s' if runs != 1 else ''}"
    if inside < low:
        verdict = f"{counted}; {expected}: the intervals were too narrow."
    elif inside > high:
        verdict = f"{counted}; {expected}: the intervals were wider than they had to be."
    elif low <= 0:
        verdict = f"{counted}; {expected}: too few runs to tell."
    else:
        verdict = f"{counted}; {expected}: as often as they said."
    return {
        "inside": inside, "rows": n, "runs": runs, "share": inside / n, "expected": level * n, "low": low, "high": high,
        "level": level, "verdict": verdict,
    }  # fmt: skip


def _noun(rows: Sequence[Mapping[str, Any]]) -> str:
    nouns = {"loss": "losses", "perplexity": "perplexities", "accuracy": "accuracies"}
    outputs = {row["output"] for row in rows}
    return nouns.get(outputs.pop(), "values") if len(outputs) == 1 else "values"
