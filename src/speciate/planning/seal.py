"""Sealing a plan before it is carried out, so that nobody can say afterwards that it was fitted to the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import Problem, UserError
from speciate.storage import digest

# What makes two rows the same measurement. Other columns (notes, stderr) may be added later without harm.
IDENTITY = ("run", "params", "tokens", "domain_ratio", "eval_on", "loss")


def row_digests(table: pd.DataFrame) -> list[str]:
    """One digest (16 hexadecimal digits) per row, of the columns that identify a measurement.

    Missing columns and values count as null; numbers are compared at 12 significant digits, so a trip
    through CSV changes nothing.
    """
    columns = [table[name].tolist() if name in table.columns else [None] * len(table) for name in IDENTITY]
    return [digest([_plain(value) for value in row])[:16] for row in zip(*columns, strict=True)]


def _plain(value: object) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (int, float, np.integer, np.floating)):
        return f"{float(value):.12g}"
    return str(value)


def seal(plan: Mapping[str, Any], fitted: pd.DataFrame) -> dict[str, Any]:
    """The plan with the digests of the rows it was fitted on, the time, and a hash over all of it.

    Adds fitted_rows_sha256, fitted_row_digests, sealed_at (ISO, UTC) and ``seal`` = SHA-256 of the
    canonical JSON of everything else. Sealing an altered or sealed plan again makes a new seal.

    >>> table = pd.DataFrame({"run": ["a"], "tokens": [0], "loss": [3.0]})
    >>> sealed = seal({"kind": "mixture"}, table)
    >>> verify_seal(sealed)
    """
    digests = sorted(row_digests(fitted))
    body = {name: value for name, value in plan.items() if name != "seal"}
    body |= {
        "fitted_rows_sha256": digest(digests),
        "fitted_row_digests": digests,
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
