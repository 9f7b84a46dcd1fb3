"""What every study folder holds, read once and checked for being readable; a missing file is None."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speciate.errors import Problem, UserError
from speciate.planning.seal import verify_seal

if TYPE_CHECKING:
    import pandas as pd

JSON_FILES = ("plan.json", "comparison.json", "tree.json", "cost.json")


@dataclass(frozen=True)
class StudyFiles:
    """What a page of any study is made from. ``plan``, ``comparison``, ``tree``, ``cost`` are the files' JSON."""

    study: str
    ledger: pd.DataFrame | None
    plan: dict[str, Any] | None
    comparison: dict[str, Any] | None
    tree: dict[str, Any] | None
    cost: dict[str, Any] | None

    @property
    def decision(self) -> dict[str, Any]:
        return ((self.plan or {}).get("decision")) or {}

    @property
    def level(self) -> float:
        """What share of truths the intervals are meant to hold."""
        return float(self.decision.get("level") or (self.plan or {}).get("level") or 0.9)


def check_folder(study_dir: Path) -> None:
    """Raise UserError where there is no such folder."""
    if not study_dir.is_dir():
        raise UserError(Problem("no such folder", str(study_dir), "give the folder of a study (it holds study.yaml)"))


def check_seal(plan: Mapping[str, Any] | None, path: Path, problems: list[Problem]) -> None:
    """Note a plan that is not as it was sealed: a page must not show what was changed after the fact as foretold."""
    if plan is not None and "seal" in plan:
        try:
            verify_seal(plan)
        except UserError as error:
            problems += [Problem(p.what, str(path), p.fix) for p in error.problems]


def read_json(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file, or it cannot be read, which is then noted."""
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        problems.append(Problem(f"not readable as JSON ({error})", str(path), "delete it and run the study again"))
        return None
    if not isinstance(value, dict):
        problems.append(Problem("not a JSON object", str(path), "delete it and run the study again"))
        return None
    return value


def read_ledger(path: Path, columns: Sequence[str], problems: list[Problem]) -> pd.DataFrame | None:
    """The measurements; None where there are none, or they cannot be read or lack ``columns``, which is then noted."""
    if not path.exists():
        return None
    import pandas as pd

    try:
        ledger = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises a family of its own; whatever it is, the file is unreadable
        problems.append(Problem(f"not readable as Parquet ({error})", str(path), "delete it and run the study again"))
        return None
    missing = [name for name in columns if name not in ledger.columns]
    if missing:
        problems.append(Problem(f"columns {missing} are missing", str(path), "run the study again to rebuild it"))
        return None
    return ledger


def measured_later(files: StudyFiles) -> list[bool]:
    """For each row of the ledger: whether a sealed plan exists that was made without it."""
    from speciate.runs.columns import column_of
    from speciate.runs.table import row_digests

    ledger, sealed = files.ledger, (files.plan or {}).get("fitted_row_digests")
    assert ledger is not None
    if not sealed:
        return [False] * len(ledger)
    seen = set(sealed)
    return [row not in seen for row in row_digests(ledger[[name for name in ledger.columns if column_of(name)]])]
