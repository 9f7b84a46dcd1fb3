"""Sealing a plan before it is carried out, so that nobody can say afterwards that it was fitted to the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.runs.table import row_digests
from speciate.storage import digest

Bools = NDArray[np.bool_]
FORMAT = "speciate-plan-1"
IDENTITY = ("run", "seed", "params", "seed_tokens", "tokens", "domain_ratio", "train_on", "eval_on", "samples")
"""Columns that say which measurement a row is, whatever its value."""
VALUES = ("loss", "perplexity")  # to their last digit no two runs agree in them; accuracies do
AS_WRITTEN = ("seed", *VALUES)
ALIKE = 3  # significant digits to which other numbers name the same measurement


def seal(plan: Mapping[str, Any], fitted: pd.DataFrame) -> dict[str, Any]:
    """The plan with the digests of the rows it was fitted on, the time, and a hash over all of it.

    Adds fitted_rows_sha256, fitted_row_digests, fitted_measurements {columns, digests} (the same rows without their
    values), fitted_values [digest] (their values, without names), sealed_at (ISO, UTC) and ``seal`` = SHA-256 of the
    canonical JSON of everything else. Sealing an altered or sealed plan again makes a new seal.

    >>> table = pd.DataFrame({"run": ["a"], "tokens": [0], "loss": [3.0]})
    >>> sealed = seal({"kind": "mixture"}, table)
    >>> verify_seal(sealed)
    """
    digests = sorted(row_digests(fitted))
    columns = [name for name in IDENTITY if name in fitted.columns]
    body = {name: value for name, value in plan.items() if name != "seal"}
    body |= {
        "fitted_rows_sha256": digest(digests),
        "fitted_row_digests": digests,
        "fitted_measurements": {"columns": columns, "digests": sorted(set(identities(fitted, columns)))},
        "fitted_values": sorted({one for name in VALUES for one in valued(fitted, name) if one}),
        "sealed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {**body, "seal": digest(body)}


def verify_seal(plan: Mapping[str, Any]) -> None:
    """Raise UserError unless the plan is exactly what was sealed."""
    fix = "use the plan.json that was sealed, or plan again"
    if "seal" not in plan:
        raise UserError(Problem("the plan was never sealed", "plan", fix))
    body = {name: value for name, value in plan.items() if name != "seal"}
    if digest(body) != plan["seal"]:
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


def valued(table: pd.DataFrame, output: str) -> list[str]:
    """What each row measured, at which size after how many tokens, as a hash, whatever its run is called; "" for none.

    >>> rows = pd.DataFrame({"run": ["a", "b"], "params": [1e9, 1e9], "tokens": [1e9, 1e9], "loss": [3.01, 3.01]})
    >>> len(set(valued(rows, "loss"))), valued(rows, "perplexity")
    (1, ['', ''])
    """
    if not {"params", "tokens", output} <= set(table.columns):
        return [""] * len(table)
    found = identities(table, ("params", "tokens", output))
    return [one if there else "" for one, there in zip(found, table[output].notna(), strict=True)]


def fitted_on(plan: Mapping[str, Any], table: pd.DataFrame) -> tuple[Bools, Bools]:
    """Which rows of a table a sealed plan was fitted on: (n,) bool as they are, and (n,) by what they measure.

    As they are: the same digest, or the same size, tokens and value under another name. The second holds rows of the
    same run, tokens and evaluation set that have another value, or more columns.
    """
    exact = np.isin(row_digests(table), plan["fitted_row_digests"])
    for name in VALUES:
        exact |= np.isin(valued(table, name), plan.get("fitted_values") or [])
    measured = plan.get("fitted_measurements") or {"columns": [], "digests": []}
    alike = np.isin(identities(table, measured["columns"]), measured["digests"]) if measured["columns"] else exact
    return exact, alike | exact
