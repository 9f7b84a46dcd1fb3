"""Which rows of a table a law is fitted to, and the refusals that protect the answer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.usable import LOSSES, is_share, suited, usable
from speciate.laws import LAWS
from speciate.laws.law import Array, Law

MEASURED = (*LOSSES, "accuracy")  # outputs that depend on what they were evaluated on
NEVER_MIXED = ("tokenizer", "eval_hash")  # rows that differ here are in different units
PARTS = re.compile(r"""(?:"[^"]*"|'[^']*'|[^,])+""")  # what stands between commas; one within quotes is no end
CONDITION = re.compile(r"""\s*([^\s<>=!"']+)\s*(<=|>=|==|!=|<|>|=)\s*("[^"]*"|'[^']*'|[^\s"'<>=!]\S*)\s*""")
COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True)
class Chosen:
    """The rows used (a table with a plain index), those held out, how many were left out and why, what was derived.

    ``places`` (n,) are the positions of the used rows in the table.
    """

    law: Law
    fitted: pd.DataFrame
    held_out: pd.DataFrame | None
    left_out: dict[str, int]
    eval_on: str | None
    places: Array
    notes: tuple[str, ...] = ()


def named(law: str | Law) -> Law:
    """A law by its name, or the law itself."""
    if isinstance(law, Law):
        return law
    if law not in LAWS:
        near = difflib.get_close_matches(law, LAWS, 1, 0.3)
        fix = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(Problem(f"there is no law {law!r}", "law", f"{fix}known laws: {', '.join(LAWS)}"))
    return LAWS[law]


def matching(table: pd.DataFrame, expression: str, where: str) -> Array:
    """Rows for which all comma-separated conditions hold: "params>1e9, train_on==law" -> (n,) bool.

    A condition compares one column with one value by < <= > >= == != (or =). A value with blanks or commas
    stands in quotes: "run=='small, second'".

    >>> matching(pd.DataFrame({"params": [1e8, 2e9]}), "params > 1e9", "holdout").tolist()
    [False, True]
    """
    chosen, problems = np.ones(len(table), dtype=bool), []
    for part in PARTS.findall(expression) or [expression]:
        found = CONDITION.fullmatch(part)
        if not found or is_number(found[1]):
            fix = "write column>value as in params>1e9, several with commas between them, text with blanks in quotes"
            problems.append(Problem(f"cannot read {part.strip()!r}", where, fix))
            continue
        name, sign, text = found.groups()
        if name not in table.columns:
            near = difflib.get_close_matches(name, list(table.columns), 1, 0.3)
            fix = f"did you mean {near[0]!r}?" if near else f"columns are {', '.join(table.columns)}"
            problems.append(Problem(f"there is no column {name!r}", where, fix))
            continue
        numeric = pd.api.types.is_numeric_dtype(table[name])
        if numeric and not is_number(text):
            problems.append(Problem(f"{name} holds numbers, {text!r} is not one", where, "compare with a number"))
            continue
        if not numeric and sign[0] in "<>":
            problems.append(Problem(f"{name} holds text, which has no order", where, f"write {name}== or {name}!="))
            continue
        value = float(text) if numeric else text.strip("'\"")
        column = table[name].to_numpy(dtype=float, na_value=np.nan) if numeric else table[name].astype(str).to_numpy()
        chosen &= COMPARE["==" if sign == "=" else sign](column, value)
    if problems:
        raise UserError(problems)
    return chosen


def is_number(text: str) -> bool:
    """Whether a word is a number."""
    try:
        return not np.isnan(float(text))
    except ValueError:
        return False


def choose(
    law: Law,
    table: pd.DataFrame,
    eval_on: str | None,
    where: str | None,
    holdout: str | None,
    output: str | None = None,
) -> Chosen:
    """The rows that the law is fitted to and those held out.

    Raises UserError for missing columns, mixed tokenizers or evaluation sets, several values of a
    column that the law holds constant; NotDecidable when the rows cannot determine the law.
    """
    rows = table.reset_index(drop=True)
    if where:
        rows = rows[matching(rows, where, "where")]
        if rows.empty:
            raise UserError(Problem(f"no row has {where}", "where", "loosen the condition"))
    law, rows, notes = suited(law, rows, output)
    needed = [given.name for given in law.inputs] + [law.output]
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        fix = "name your own with --columns params=N,tokens=D"
        raise UserError([Problem(f"there is no column {name!r}", f"rows for {law.name}", fix) for name in missing])
    rows, chosen_set, problems = evaluated(law, rows, eval_on)
    rows, left_out = usable(law, rows)
    problems += mixed(law, rows)
    if problems:
        raise UserError(problems)
    held = None
    if holdout:
        apart = matching(rows, holdout, "holdout")
        rows, held = rows[~apart], rows[apart].reset_index(drop=True)
        if rows.empty and len(held):
            raise UserError(Problem(f"{holdout!r} holds all rows out", "holdout", "tighten the condition"))
        if held.empty:
            raise UserError(Problem(f"{holdout!r} holds no rows out", "holdout", "loosen the condition"))
    enough(law, rows, left_out)
    return Chosen(law, rows.reset_index(drop=True), held, left_out, chosen_set, rows.index.to_numpy(), notes)


def evaluated(law: Law, rows: pd.DataFrame, eval_on: str | None) -> tuple[pd.DataFrame, str | None, list[Problem]]:
    """Rows of one evaluation set, its name, and what is wrong with the choice."""
    if law.output not in MEASURED or "eval_on" not in rows.columns:
        if eval_on is None or law.output not in MEASURED:
            return rows, None, []
        return rows, None, [Problem("the table has no column 'eval_on'", f"eval_on {eval_on!r}", "leave it out")]
    names = sorted(str(name) for name in rows["eval_on"].dropna().unique())
    if eval_on is None:
        if len(names) <= 1:
            return rows, names[0] if names else None, []
        fix = f"choose one with --eval-on: {listed(names)}"
        return rows, None, [Problem(f"rows hold {len(names)} evaluation sets", "eval_on", fix)]
    if eval_on not in names:
        return rows, None, [Problem(f"no row is evaluated on {eval_on!r}", "eval_on", f"choose one of {listed(names)}")]
    return rows[rows["eval_on"] == eval_on], eval_on, []


def mixed(law: Law, rows: pd.DataFrame) -> list[Problem]:
    """Columns that must agree over the rows of one fit and do not."""
    problems = []
    for name in NEVER_MIXED:
        values = sorted(str(v) for v in rows[name].dropna().unique()) if name in rows.columns else []
        if len(values) > 1:
            what = f"rows mix {len(values)} values of {name} ({listed(values)}): their losses do not compare"
            problems.append(Problem(what, name, f"keep one with --where {name}=={values[0]}"))
    for name in law.constant:
        values = [f"{v:g}" for v in sorted(rows[name].dropna().unique())] if name in rows.columns else []
        if len(values) > 1:
            what = f"{law.name} holds at one {name}, the rows have {len(values)} ({listed(values)})"
            problems.append(Problem(what, name, f"keep one with --where {name}=={values[0]}"))
    return problems


def enough(law: Law, rows: pd.DataFrame, left_out: dict[str, int]) -> None:
    """Raise NotDecidable, naming a row that would help, when the rows cannot determine the law."""
    lost = ", ".join(f"{count} where {why}" for why, count in left_out.items())
    aside = f" (left out: {lost})" if lost else ""
    for given in law.inputs:
        values = rows[given.name].unique()
        if len(values) == 1 and given.values > 1:
            value = float(values[0])
            share = is_share(given.name)
            other = value / (2 if share else 4) if value else 0.5 if share else 10.0 * given.scale
            reason = f"all {len(rows)} rows have {given.name} = {value:.4g}, and {law.name} needs it to vary{aside}"
            raise NotDecidable(reason, f"measure at another value, cheapest at {given.name} = {other:.4g}")
    count = len(law.parameters)
    if len(rows) < count:
        reason = f"{law.name} has {count} parameters and there are {len(rows)} usable rows{aside}"
        near = ", ".join(f"{g.name} = {float(rows[g.name].median()) / 2:.4g}" for g in law.inputs) if len(rows) else ""
        remedy = f"add at least {count - len(rows)} rows"
        raise NotDecidable(reason, f"{remedy}, for instance at {near}" if near else remedy)
    places = len(rows[[given.name for given in law.inputs]].drop_duplicates())
    if places < count:
        reason = f"{law.name} has {count} parameters and the {len(rows)} rows have {places} different inputs{aside}"
        raise NotDecidable(reason, f"measure at {count - places} other inputs at least")


def scarce(law: Law, rows: pd.DataFrame) -> str:
    """What the rows know only at the few values they have, or "" (terms in between are not pinned down)."""
    notes = []
    for given in law.inputs:
        count = rows[given.name].nunique()
        if count < given.values:
            notes.append(f"only {count} values of {given.name}: predictions hold at those, not between or beyond")
    return "; ".join(notes)


def listed(values: Sequence[str], most: int = 6) -> str:
    """A few of many: 'a, b, c and 4 more'."""
    text = ", ".join(values[:most])
    return text if len(values) <= most else f"{text} and {len(values) - most} more"
