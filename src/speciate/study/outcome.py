"""A study's sealed predictions against its ledger."""

from __future__ import annotations

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
    from speciate.planning.compare import compare
    from speciate.runs.ledger import read_ledger
    from speciate.study.analyse import load_plan
    from speciate.study.split.outcome import compare_split

    plan = load_plan(layout)
    assert plan is not None, "its file is there"
    return (compare_split if plan.get("kind") == "split" else compare)(plan, read_ledger(layout.ledger))
