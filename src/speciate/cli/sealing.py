"""Writing a sealed plan, and reading one: the same for every kind of decision."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speciate.errors import Problem, UserError

if TYPE_CHECKING:
    import pandas as pd

    from speciate.planning.predictions import Decision


def write_sealed(
    file: Path | None,
    decision: Decision,
    fitted: pd.DataFrame,
    asked: Mapping[str, Any],
    table: Path,
    as_json: bool,
) -> list[str]:
    """Seal a decision in ``file``, whole or not at all; lines to print under it, or [] once they are on stderr.

    ``asked``: the options it was asked with; ``fitted``: the rows it rests on; ``file`` None: nothing is done. To be
    called before anything is printed. A sealed plan is never overwritten: the same plan again leaves it, with its date;
    another plan, or any other file, is a UserError.
    """
    if file is None:
        return []
    from speciate.planning.predictions import sealed_plan
    from speciate.planning.seal import same_plan
    from speciate.storage import canonical_json, write_atomic

    plan = sealed_plan(decision, fitted, {"table": str(table), **asked})
    old = _there(file)
    if old is not None and not same_plan(json.loads(canonical_json(plan)), old):
        what = f"another plan was sealed here on {old.get('sealed_at')}: {_differ(plan, old)}"
        raise UserError(Problem(what, str(file), "name another file, or move this one away: it is a promise"))
    if old is None:
        write_atomic(file, canonical_json(plan) + "\n")
    lines = _sealed_words(file, plan, old)
    if as_json:
        print("\n".join(lines), file=sys.stderr)
    return [] if as_json else lines


def told(lines: Sequence[str], sealed: Sequence[str]) -> list[str]:
    """What a verb prints: its lines, without the advice to seal once that is done, and those of the seal.

    >>> told(["Choice: split.", "Next: seal it before it is run: ..."], ["Sealed from 76 rows: plan.json."])
    ['Choice: split.', 'Sealed from 76 rows: plan.json.']
    """
    return [line for line in lines if not (sealed and line.startswith("Next: seal it"))] + list(sealed)


def _there(file: Path) -> dict[str, Any] | None:
    """The sealed plan that is in the file already, None where there is no file; UserError for anything else."""
    from speciate.planning.seal import verify_seal

    if not file.exists():
        return None
    fix = "name another file, or move this one away"
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
        verify_seal(plan)
    except (ValueError, TypeError, AttributeError, RecursionError, IsADirectoryError):
        what = "there is a folder" if file.is_dir() else "there is a file that is no plan as it was sealed"
        raise UserError(Problem(what, str(file), fix)) from None
    return dict(plan)


def _differ(plan: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    """In what a sealed plan is another, for a person."""
    if plan["kind"] != old.get("kind"):
        return f"of kind {old.get('kind') or 'unknown'}, and this is {plan['kind']}"
    if plan["fitted_rows_sha256"] != old.get("fitted_rows_sha256"):
        return "fitted on other rows"
    new, before = ({**(one.get("request") or {}), "table": None} for one in (plan, old))
    names = sorted(name for name in new.keys() | before.keys() if new.get(name) != before.get(name))
    if names:
        return f"asked otherwise ({', '.join(names)})"
    return "the same question on the same rows, with other numbers (the order of the rows moves draws)"


def _sealed_words(file: Path, plan: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[str]:
    promises, rows = plan["predictions"], len(plan["fitted_row_digests"])
    when = f"already, on {old['sealed_at']}" if old is not None else f"from {rows:,} rows"
    count = f"{len(promises)} prediction{'s' * (len(promises) != 1)}"
    then = f" Once measured: speciate compare {file} TABLE" if promises else ""
    lines = [f"Sealed {when}: {file} ({count}).{then}"]
    known = sum(one["fitted_rows"] > 0 for one in promises)
    if known:
        who = f"{known} of {count}" if known < len(promises) else count
        lines.append(f"Note: {who} already measured in these rows; of those only further runs will count.")
    if not promises:
        lines.append("Note: it predicts no measurement, so there will be nothing to compare.")
    return lines


def read_sealed(file: Path) -> dict[str, Any]:
    """A JSON object from a file that should be a sealed plan; ``compare`` judges what is in it."""
    fix = "give a file that plan ... --seal FILE wrote"
    try:
        plan = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(Problem("no such file", str(file), fix)) from None
    except (ValueError, RecursionError) as error:
        what = "not text in UTF-8" if isinstance(error, UnicodeDecodeError) else f"not JSON ({error})"
        raise UserError(Problem(what, str(file), fix)) from None
    if not isinstance(plan, dict):
        raise UserError(Problem("not a JSON object", str(file), fix))
    return plan
