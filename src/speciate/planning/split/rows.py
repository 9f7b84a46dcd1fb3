"""Which rows of a table speak of which domains, and of how many."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from speciate.errors import Problem, UserError
from speciate.fitting.select import listed, matching

NUMBER = re.compile(r"/(\d+)$")  # web/16: a mixture split into 16 domains


def of_number(table: pd.DataFrame, count: int, several: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows of experts that were split into ``count`` domains, and of seeds; a note on the rows of other numbers.

    A ``train_on`` that ends in /16 is of an expert of 16 domains. Where no row says so, all are of the number asked.
    Raises UserError where several numbers are asked and rows do not say theirs, or where none is of this one.

    >>> rows = pd.DataFrame({"train_on": ["web", "web/4", "web/16"], "tokens": [0.0, 1e9, 1e9]})
    >>> of_number(rows, 16, several=False)[0]["train_on"].tolist()
    ['web', 'web/16']
    """
    names = table["train_on"].astype(object) if "train_on" in table.columns else pd.Series(None, table.index)
    numbers = names.map(lambda name: int(found[1]) if (found := NUMBER.search(str(name))) else None)
    known = sorted(int(number) for number in numbers.dropna().unique())
    if not known:
        if several:
            fix = "name what experts were trained on as in web/16 in train_on, or plan with one number and its rows"
            raise UserError(Problem("rows do not say into how many domains they were split", "train_on", fix))
        return table, ()
    if count not in known:
        have = ", ".join(map(str, known))
        what = f"no row is of an expert of {count} domains: no train_on ends in /{count}"
        raise UserError(Problem(what, "--domains", f"the rows have {have}"))
    seeds = numbers.isna() & (table["tokens"] == 0 if "tokens" in table.columns else True)
    mine = (numbers == count) | seeds
    lost = int((~mine).sum())
    return table[mine], (f"{lost} rows of other numbers of domains were left out",) if lost else ()


def domains_named(
    table: pd.DataFrame, where: str | None, counts: tuple[int, ...], weights: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Weights by domain, summing to 1, where the rows hold a loss for each; None where one loss speaks for all.

    Without ``weights``: several evaluation sets, as many as domains are asked for, all weighing the same.
    """
    rows = table[matching(table, where, "where")] if where else table
    sets = sorted(rows["eval_on"].dropna().astype(str).unique()) if "eval_on" in rows.columns else []
    if weights is not None:
        missing = [name for name in weights if name not in sets]
        if missing:
            fix = f"the rows have {listed(sets)}" if sets else "the rows have no eval_on"
            raise UserError([Problem(f"no row is evaluated on {name!r}", "--weights", fix) for name in missing])
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}
    if len(sets) < 2:
        return None
    if counts and counts != (len(sets),):
        fix = "choose one with --eval-on, or name the domains with --weights, as in law=2,code=1"
        asked = " and ".join(map(str, counts))
        raise UserError(
            Problem(f"rows hold {len(sets)} evaluation sets, {asked} domains are asked for", "eval_on", fix)
        )
    return dict.fromkeys(sets, 1 / len(sets))


def of_domain(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows that speak of one domain's specialist: seeds, and the experts trained on it where ``train_on`` names one."""
    if "train_on" not in table.columns or "tokens" not in table.columns:
        return table, ()
    domains = set(table["eval_on"].dropna().astype(str))
    trained = table["train_on"].astype(str)
    others = (table["tokens"] > 0) & trained.isin(domains) & (trained != name)
    lost = int((others & (table["eval_on"].astype(str) == name)).sum())
    return table[~others], (f"{lost} rows of other domains' experts were left out",) if lost else ()
