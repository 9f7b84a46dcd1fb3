"""A law and a table brought together: the law for its columns, derived columns, rows inside the law's domain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from speciate.errors import Problem, UserError
from speciate.fitting.seeds import axis
from speciate.laws import LAWS
from speciate.laws.law import Array, Law

LOSSES = ("loss", "bits_per_byte", "perplexity")  # a law of one can be fitted to another
UNITS = {"loss": "nats/token", "bits_per_byte": "bits/byte", "perplexity": "1"}
NEAR_CHANCE = 0.05  # accuracies at most this far above chance, as a share of the way to 1, say nothing (2512.08894)
MOST_DOMAINS = 50
WHOLE = 1e-3  # shares that fall short of 1 by more leave a rest


def is_share(name: str) -> bool:
    """Whether an input is a part of a whole: at most 1."""
    return name in ("domain_ratio", "chance") or name.startswith("share_")


def suited(law: Law, rows: pd.DataFrame, output: str | None) -> tuple[Law, pd.DataFrame, tuple[str, ...]]:
    """The law for these rows (of their domains, of another column), the rows with derived columns, and notes."""
    rows, notes = with_rest(rows) if law.family is not None else (rows, ())
    law = of_output(of_domains(law, rows), output)
    rows, more = derived(law, rows)
    return law, rows, notes + more


def of_domains(law: Law, table: pd.DataFrame) -> Law:
    """A law of shares for the domains of the table; any other law as it is."""
    if law.family is not None and law is LAWS.get(law.name):  # as it is listed, for domains 1, 2, 3
        names = [str(name).removeprefix("share_") for name in table.columns if str(name).startswith("share_")]
        if len(names) < 2:
            raise UserError(
                Problem(
                    f"{len(names)} columns share_NAME",
                    f"rows for {law.name}",
                    "give the share of every domain, as share_law, share_web",
                )
            )
        if len(names) > MOST_DOMAINS:
            what = f"{len(names)} domains; {law.name} can tell at most {MOST_DOMAINS} apart"
            raise UserError(Problem(what, f"rows for {law.name}", "merge domains that are mixed alike"))
        law = law.family(names)
    return law


def of_output(law: Law, output: str | None) -> Law:
    """The law for another measured column, if it is a law of losses."""
    if output is None or output == law.output:
        return law
    if law.output not in LOSSES or output not in LOSSES:
        fix = f"it is fitted to one of {', '.join(LOSSES)}" if law.output in LOSSES else f"leave it at {law.output}"
        raise UserError(Problem(f"{law.name} is no law of {output!r}", "output", fix))
    told = tuple(replace(p, unit=UNITS[output]) if p.unit == UNITS["loss"] else p for p in law.parameters)
    formula = law.formula.replace(f"{law.output} = ", f"{output} = ", 1)
    return replace(law, output=output, parameters=told, formula=formula)


def with_rest(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows with share_rest, where the shares of the table leave one."""
    names = [name for name in rows.columns if str(name).startswith("share_")]
    rest = 1 - rows[names].sum(axis=1)
    if not names or "share_rest" in names or not (rest > WHOLE).any():
        return rows, ()
    return rows.assign(share_rest=rest.clip(lower=0.0)), ("share_rest was taken as what the other shares leave",)


def derived(law: Law, rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Columns that follow from others: flops = 6 params tokens, start_loss from the rows of 0 tokens; and a note."""
    names, notes = [given.name for given in law.inputs], []
    if "flops" in names and "flops" not in rows.columns and {"params", "tokens"} <= set(rows.columns):
        rows = rows.assign(flops=6.0 * rows["params"] * rows["tokens"])
        notes.append("flops were taken as 6 params tokens")
    if "start_loss" in names and "start_loss" not in rows.columns and {"tokens", law.output} <= set(rows.columns):
        rows = rows.assign(start_loss=start_losses(rows, law.output))
        notes.append("start_loss was taken from the rows of 0 tokens")
    return rows, tuple(notes)


def start_losses(rows: pd.DataFrame, output: str) -> pd.Series:
    """The mean of ``output`` over rows of 0 tokens: of the same trunk, or else of the same size and seed tokens."""
    found = pd.Series(np.nan, index=rows.index)
    for same in (("eval_on", "trunk", "params", "seed_tokens"), ("eval_on", "params", "seed_tokens")):
        of_start = [name for name in same if name in rows.columns]
        starts = rows["tokens"] == 0
        key = pd.Series(0, index=rows.index)
        if of_start:
            key = rows.groupby(of_start, dropna=False, sort=False).ngroup()
        found = found.fillna(key.map(rows.loc[starts, output].groupby(key[starts]).mean()).astype(float))
    return found


def usable(law: Law, rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with everything the law reads, inside its domain, and how many are not, by reason."""
    left_out: dict[str, int] = {}
    for name in [*(given.name for given in law.inputs), law.output]:
        finite = np.isfinite(rows[name].to_numpy(dtype=float, na_value=np.nan))
        rows = dropped(rows, finite, f"{name} is missing", left_out)
    for given in law.inputs:
        if not given.zero:
            rows = dropped(rows, (rows[given.name] != 0).to_numpy(), f"{given.name} is 0", left_out)
        rows = dropped(rows, (rows[given.name] >= 0).to_numpy(), f"{given.name} is below 0", left_out)
        if is_share(given.name):
            rows = dropped(rows, (rows[given.name] <= 1).to_numpy(), f"{given.name} is above 1", left_out)
    shares = [f"share_{name}" for name in law.domains]
    if shares:
        rows = dropped(rows, (rows[shares].sum(axis=1) <= 1 + WHOLE).to_numpy(), "shares sum to more than 1", left_out)
    if "chance" in {given.name for given in law.inputs}:
        chance = rows["chance"].fillna(0.0).to_numpy(dtype=float)
        above = rows["accuracy"].to_numpy(dtype=float) - chance > NEAR_CHANCE * (1 - chance)
        rows = dropped(rows, above, "accuracy is not 5 % above chance", left_out)
    if any(given.zero for given in law.inputs):
        rows = dropped(rows, defined(law, rows), "the law has no value there", left_out)
    return rows, left_out


def defined(law: Law, rows: pd.DataFrame) -> Array:
    """Where the law's terms are finite, in the middle of the range searched: (n,) bool."""
    x = {given.name: rows[given.name].to_numpy(dtype=float) for given in law.inputs}
    middle = [float(np.median(axis(law.parameters[column], 9))) for column in law.nonlinear]
    with np.errstate(all="ignore"):
        basis = law.basis(middle, x)
    return np.broadcast_to(np.isfinite(basis).all(axis=-1), len(rows))


def dropped(rows: pd.DataFrame, keep: Array, why: str, left_out: dict[str, int]) -> pd.DataFrame:
    """Rows to keep; what is left out is counted under its reason."""
    lost = int((~keep).sum())
    if lost:
        left_out[why] = lost
    return rows[keep]
