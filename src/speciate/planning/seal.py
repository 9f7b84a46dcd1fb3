"""Sealing a plan before it is carried out, so that nobody can say afterwards that it was fitted to the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from speciate.errors import Problem, UserError
from speciate.runs.table import row_digests
from speciate.storage import digest


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
