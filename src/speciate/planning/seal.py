"""Sealing a plan before it is carried out, so that nobody can say afterwards that it was fitted to the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.runs.columns import SHARE
from speciate.runs.table import row_digests
from speciate.storage import digest

Bools = NDArray[np.bool_]
FORMAT = "speciate-plan-1"
NAMED = ("run", "seed")
PLACE = ("params", "seed_tokens", "tokens", "domain_ratio", "train_on", "eval_on", "samples")
"""Columns that say, with NAMED, which measurement a row is, whatever its value; shares of domains do too."""
VALUES = ("loss", "perplexity")  # to their last digit no two runs agree in them; accuracies do
AS_WRITTEN = ("seed", *VALUES)
ALIKE = 3  # significant digits to which other numbers name the same measurement


def seal(plan: Mapping[str, Any], fitted: pd.DataFrame) -> dict[str, Any]:
    """The plan with the digests of the rows it was fitted on, the time, and a hash over all of it.

    Adds fitted_rows_sha256, fitted_row_digests, fitted_measurements {columns, digests} (the same rows without their
    values), fitted_values {columns, digests} (with their values, without names), sealed_at (ISO, UTC) and ``seal`` =
    SHA-256 of the canonical JSON of everything else. Sealing an altered or sealed plan again makes a new seal.

    >>> table = pd.DataFrame({"run": ["a"], "tokens": [0], "loss": [3.0]})
    >>> sealed = seal({"kind": "mixture"}, table)
    >>> verify_seal(sealed)
    """
    digests = sorted(row_digests(fitted))
    place = _place(fitted)
    columns = [*(name for name in NAMED if name in fitted.columns), *place]
    body = {name: value for name, value in plan.items() if name != "seal"}
    body |= {
        "fitted_rows_sha256": digest(digests),
        "fitted_row_digests": digests,
        "fitted_measurements": {"columns": columns, "digests": sorted(set(identities(fitted, columns)))},
        "fitted_values": {
            "columns": place,
            "digests": sorted({one for name in VALUES for one in valued(fitted, name, place) if one}),
        },
        "sealed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {**body, "seal": digest(body)}


def verify_seal(plan: Mapping[str, Any]) -> None:
    """Raise UserError unless the plan is exactly what was sealed."""
    fix = "use the plan.json that was sealed, or plan again"
    if "seal" not in plan:
        raise UserError(Problem("the plan was never sealed", "plan", fix))
    try:
        found = digest({name: value for name, value in plan.items() if name != "seal"})
    except (ValueError, RecursionError):  # a NaN, or half a character: nothing that was sealed holds one
        found = None
    if found is None or found != plan["seal"]:
        raise UserError(Problem("the plan was altered after it was sealed", "plan", fix))
    if digest(plan.get("fitted_row_digests")) != plan.get("fitted_rows_sha256"):
        raise UserError(Problem("the digests of the fitted rows do not agree", "plan", fix))


def same_plan(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sealed plans promise the same from the same rows, whenever, and from whatever file, it was done."""

    def meant(plan: Mapping[str, Any]) -> str:
        asked = {name: value for name, value in (plan.get("request") or {}).items() if name != "table"}
        return digest({k: v for k, v in plan.items() if k not in ("seal", "sealed_at")} | {"request": asked})

    return meant(one) == meant(other)


def identities(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Which measurement each row is, as a hash: ``columns`` of it, numbers to three digits, and not its value.

    A table written anew with rounded losses keeps them; ``row_digests`` does not.

    >>> rows = pd.DataFrame({"run": ["a", "a"], "tokens": [1e9, 1000000512], "loss": [3.0, 3.1]})
    >>> len(set(identities(rows, ["run", "tokens"])))
    1
    """
    if not columns:
        return [""] * len(table)
    known = table.reindex(columns=list(columns)).reset_index(drop=True)
    for name in known.columns:
        if pd.api.types.is_numeric_dtype(known[name].dtype) and name not in AS_WRITTEN:
            values = known[name].to_numpy(dtype=float, na_value=np.nan)
            values = np.nan_to_num(values) if name == "seed_tokens" else values  # none is the same as no seed
            known[name] = pd.Series([float(f"{v:.{ALIKE - 1}e}") for v in values])
    return row_digests(known)


def valued(table: pd.DataFrame, output: str, place: Sequence[str]) -> list[str]:
    """What each row measured, and where, by the columns of ``place``, as a hash, whatever its run is called; "": none.

    Where is more than size and tokens: losses that were rounded agree by chance between ratios and evaluation sets.

    >>> rows = pd.DataFrame({"run": ["a", "b"], "params": [1e9, 1e9], "tokens": [1e9, 1e9], "loss": [3.01, 3.01]})
    >>> len(set(valued(rows, "loss", ("params", "tokens")))), valued(rows, "perplexity", ("params", "tokens"))
    (1, ['', ''])
    """
    if output not in table.columns or not {"params", "tokens"} <= set(place):
        return [""] * len(table)
    found = identities(table, (*place, output))
    return [one if there else "" for one, there in zip(found, table[output].notna(), strict=True)]


def _place(table: pd.DataFrame) -> list[str]:
    """The columns that say where its rows were measured, names aside; FLOPs where they stand for size and tokens."""
    names = [name for name in table.columns if str(name).startswith(SHARE)]
    flops = () if {"params", "tokens"} <= set(table.columns) else ("flops",)
    return [name for name in (*PLACE, *flops) if name in table.columns] + sorted(names)


def fitted_on(plan: Mapping[str, Any], table: pd.DataFrame) -> tuple[Bools, Bools]:
    """Which rows of a table a sealed plan was fitted on: (n,) bool as they are, and (n,) by what they measure.

    As they are: the same digest, or the same value at the same place under another name. The second holds rows of the
    same run, tokens and evaluation set that have another value, or more columns.
    """
    nothing: dict[str, list[str]] = {"columns": [], "digests": []}
    exact = np.isin(row_digests(table), plan["fitted_row_digests"])
    values, measured = (plan.get(name) or nothing for name in ("fitted_values", "fitted_measurements"))
    for name in VALUES:
        exact |= np.isin(valued(table, name, values["columns"]), values["digests"])
    alike = np.isin(identities(table, measured["columns"]), measured["digests"]) if measured["columns"] else exact
    return exact, alike | exact
