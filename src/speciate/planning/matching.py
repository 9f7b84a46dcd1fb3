"""Which measured rows are those that a sealed plan predicted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.runs.columns import SHARE
from speciate.runs.table import LARGEST

Bools = NDArray[np.bool_]
APART = 0.005  # sizes, tokens and FLOPs within half a percent of the planned ones are the planned ones
SHARES_APART = 1e-3  # of a mixture's domains: plans are carried out to a tenth of a percent
AMOUNTS = ("params", "seed_tokens", "tokens", "flops")
OUTPUTS = ("loss", "perplexity", "accuracy")
NAMES = ("train_on", "eval_on", "tokenizer", "eval_hash", "trunk")
IF_THERE = ("tokenizer", "eval_hash", "trunk")  # columns that count only where the table has them
_NUMBER = re.compile(r"/(\d+)$")  # web/16: an expert of 16 domains


def keys_of(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a prediction that says which rows it is about."""
    shares = sorted(name for name in prediction if name.startswith(SHARE))
    names = (*AMOUNTS, "domain_ratio", *shares, "domains", *NAMES, "samples")
    return {name: prediction[name] for name in names if prediction.get(name) is not None}


def faults(prediction: Any) -> list[str]:
    """What keeps it from being compared, [] where nothing does: the form of an entry of a plan's ``predictions``.

    >>> faults({"params": 1e9, "value": 2.7, "low": 2.6, "high": None}), faults({"params": "big", "output": "lass"})
    ([], ["params is 'big'", 'value is None', "output is 'lass'"])
    """
    if not isinstance(prediction, Mapping):
        return [f"is {prediction!r:.40}"]
    wanted = {name: key for name, key in keys_of(prediction).items() if name not in NAMES}
    wanted |= {name: prediction[name] for name in ("low", "high", "weight") if prediction.get(name) is not None}
    wanted["value"] = prediction.get("value")
    found = [f"{name} is {key!r:.40}" for name, key in wanted.items() if not _is_number(key)]
    output = output_of(prediction)
    return found if output in OUTPUTS else [*found, f"output is {output!r:.40}"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def output_of(prediction: Mapping[str, Any]) -> str:
    """The column that a prediction is of."""
    return str(prediction.get("output", "loss"))


def check_columns(predictions: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> None:
    """Raise UserError naming every column that is needed to find the predicted rows, and absent."""
    aside = {*IF_THERE, "domains", "seed_tokens"}
    needed = {name for one in predictions for name in (*keys_of(one), output_of(one)) if name not in aside}
    fix = "add it, or map yours with --columns"
    missing = [name for name in sorted(needed) if name not in table.columns]
    if missing:
        raise UserError([Problem(f"no column {name!r}", "the table", f"{fix} {name}=YOURS") for name in missing])


def match(predictions: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs (place of a prediction, place of a row that it is about). A row measured by two seeds gives two pairs.

    Of several rows of one run within reach of the planned tokens the nearest counts. Rows without the value are passed.
    """
    pairs = []
    for i, prediction in enumerate(predictions):
        fits = table[output_of(prediction)].notna().to_numpy(dtype=bool, copy=True)
        for name, value in keys_of(prediction).items():
            fits &= agrees(table, name, value)
        pairs += [(i, int(row)) for row in nearest(table, np.flatnonzero(fits), prediction.get("tokens"))]
    return pairs


def agrees(table: pd.DataFrame, name: str, value: Any) -> Bools:
    """Rows (n,) whose ``name`` is the planned value, to rounding."""
    if name == "domains":
        return _of_number(table, int(value))
    if name not in table.columns:
        return np.full(len(table), name in IF_THERE or (name == "seed_tokens" and value == 0))
    if name in NAMES:
        return np.asarray(table[name].astype(object).map(str) == str(value), dtype=bool)
    found = amounts(table, name)
    if name in AMOUNTS:
        return np.asarray(np.abs(found - value) <= APART * abs(value), dtype=bool)
    return np.asarray(np.abs(found - value) < (SHARES_APART if name.startswith(SHARE) else 1e-6), dtype=bool)


def amounts(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column of numbers (n,); no seed_tokens are 0."""
    if name not in table.columns:
        return np.zeros(len(table))
    found: NDArray[np.float64] = table[name].to_numpy(dtype=float, na_value=np.nan)
    return np.nan_to_num(found) if name == "seed_tokens" else found


def _of_number(table: pd.DataFrame, count: int) -> Bools:
    """Rows of experts of so many domains, and rows that do not say of how many."""
    if "train_on" not in table.columns:
        return np.full(len(table), True)
    ends = (_NUMBER.search(str(name)) for name in table["train_on"])
    return np.array([end is None or int(end[1]) == count for end in ends], dtype=bool)


def nearest(table: pd.DataFrame, places: NDArray[np.intp], tokens: float | None) -> list[int]:
    """Of every run's rows those nearest to the planned tokens."""
    if tokens is None or "run" not in table.columns or "tokens" not in table.columns:
        return [int(place) for place in places]
    names = [name for name in ("run", "seed", "train_on", "eval_on") if name in table.columns]
    rows = table.iloc[places]
    away = (rows["tokens"] - tokens).abs()
    least = away.groupby([rows[name].astype(object).map(str) for name in names]).transform("min")
    return [int(place) for place, keep in zip(places, away == least, strict=True) if keep]


def closest(predictions: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> str:
    """The row that comes nearest to a prediction, and in what it differs, for a person."""
    best: tuple[float, str] = (np.inf, "")
    for prediction in predictions:
        keys = keys_of(prediction)
        score = np.zeros(len(table))
        for name, value in keys.items():
            wrong = ~agrees(table, name, value)
            score += wrong * (1.0 + (_far(amounts(table, name), float(value)) if _is_amount(name) else 1.0))
        place = int(np.argmin(score))
        if score[place] < best[0]:
            row = table.iloc[[place]]
            differ = [(name, value) for name, value in keys.items() if not agrees(row, name, value)[0]]
            best = (float(score[place]), _told(row.iloc[0], place, differ, output_of(prediction)))
    return best[1]


def _is_amount(name: str) -> bool:
    return name in AMOUNTS or name in ("domain_ratio", "samples") or name.startswith(SHARE)


def _far(found: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """How far amounts are from the planned one: below 1, growing with the ratio of the two."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.abs(np.log(found / value)) if value > 0 else np.where(found > 0, 20.0, 0.0)
    return np.asarray(np.minimum(np.nan_to_num(logs, nan=20.0, posinf=20.0) / 30.0, 0.9))


def _told(row: pd.Series[Any], place: int, differ: Sequence[tuple[str, Any]], output: str) -> str:
    who = f"run {row['run']}" if "run" in row.index else f"row {place + 1}"
    if not differ:
        return f"{who} has no {output}"
    parts = []
    for name, value in differ:
        if name == "domains":
            parts.append(f"is not of {value} domains")
            continue
        found = row.get(name, 0 if name == "seed_tokens" else None)
        shown = f"{found:.6g}" if isinstance(found, float | int | np.number) else str(found)
        parts.append(f"has {name} {shown}, planned {value:.6g}" if _is_amount(name) else
                     f"has {name} {shown}, planned {value}")  # fmt: skip
    return f"{who} comes nearest, but {', '.join(parts)}"
