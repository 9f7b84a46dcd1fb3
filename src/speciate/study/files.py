"""Reading the JSON files that a study keeps: what is damaged is said, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError


def read_object(path: Path, fix: str) -> dict[str, Any]:
    """The JSON object in a file of ours. Raises UserError, with ``fix`` as what to do, when it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: not JSON, or not UTF-8
        raise UserError(Problem(f"cannot be read as JSON ({error})", str(path), fix)) from None
    if not isinstance(value, dict):
        raise UserError(Problem(f"holds a JSON {type(value).__name__}, not an object", str(path), fix))
    return value
