"""A study's sealed predictions against its ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.study.layout import Layout


def compare_study(directory: Path) -> dict[str, Any]:
    """``planning.compare`` on the plan and the ledger of a study's folder; UserError when one is absent."""
    layout = Layout(directory)
    fix = f"run the study: speciate run {layout.config}"
    absent = [Problem("no such file", str(path), fix) for path in (layout.plan, layout.ledger) if not path.exists()]
    if absent:
        raise UserError(absent)
    try:
        plan = json.loads(layout.plan.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(Problem(f"not valid JSON ({error})", str(layout.plan), fix)) from None
    from speciate.planning.compare import compare
    from speciate.runs.table import read_table

    found: dict[str, Any] = compare(plan, read_table(layout.ledger))
    return found
