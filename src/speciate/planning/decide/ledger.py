"""One table of runs of several kinds, told apart: continued runs, seeds and experts, and what the pilots cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.select import listed
from speciate.planning.mixture.observations import choose_domain
from speciate.planning.split.rows import NUMBER, of_domain, of_number

NEEDED = ("run", "params", "tokens", "eval_on")
MEASURES = {"loss": "nats per token", "perplexity": "ln perplexity", "accuracy": "-ln of the accuracy above chance"}


@dataclass(frozen=True, eq=False)
class Ledger:
    """Rows by what they can say. ``loss`` of every row is in nats, of ``measure`` on the domain.

    ``continued``: runs from one starting model a size, with their domain_ratio; ``split``: seeds and experts, on the
    domain's set. ``base``: tokens the starting model of a size has seen, None where the table does not say.
    ``general`` is None where nothing was measured on it. ``pilot_flops``: 6 N D of distinct runs.
    """

    general: str | None
    domain: str
    measure: str
    continued: pd.DataFrame
    split: pd.DataFrame
    base: Mapping[float, float | None]
    pilot_flops: float
    notes: tuple[str, ...]
    rows: pd.DataFrame

    def general_start(self, params: float) -> float | None:
        """General loss of a size's starting model, the mean over those measured; None where none was."""
        rows = self.continued
        losses = rows.loc[
            (rows["eval_on"] == self.general) & (rows["params"] == params) & (rows["tokens"] == 0), "loss"
        ]
        return float(losses.mean()) if self.general is not None and len(losses) else None


def ledger_of(table: pd.DataFrame, general: str, domain: str | None, domains: int | None) -> Ledger:
    """Sort a validated table. Raises UserError (columns, names), NotDecidable (no row with a value)."""
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise UserError([Problem(f"column {name} is missing", "the table", "add it, or map yours") for name in missing])
    known: str | None = general
    sets = table["eval_on"].dropna().astype(str).unique()
    if general not in sets:
        if domain is None and len(sets) != 1:
            fix = f"name the general set with --general; the table has {listed(sorted(sets))}"
            raise UserError(Problem(f"no rows for the general set {general!r}", "column eval_on", fix))
        domain = str(sets[0]) if domain is None else domain
        known = None
        if domain not in sets:
            fix = f"name one of {listed(sorted(sets))}"
            raise UserError(Problem(f"no rows for the domain set {domain!r}", "column eval_on", fix))
    else:
        domain = choose_domain(table, general, domain)
    asked = table[table["eval_on"].isin([general, domain])]
    losses, measure = in_nats(asked, domain)
    if known is not None:
        of_general, _ = in_nats(asked, known)
        losses = losses.fillna(of_general)
    whole = losses.notna() & asked["params"].notna() & asked["tokens"].notna() & asked["run"].notna()
    rows = ratios_told(asked.assign(loss=losses)[whole], general, domain)
    if not (rows["eval_on"] == domain).any():
        reason = f"no row on {domain!r} has a loss, a perplexity or an accuracy above chance"
        raise NotDecidable(reason, "measure the runs on it")
    lost = int((~whole).sum())
    notes = (f"{lost} rows without a value were left out",) if lost else ()
    base = bases(rows)
    split, more = seeds_and_experts(rows, domain, domains)
    continued = continued_rows(rows, base)
    used = pd.concat([continued, split])
    used = table.loc[used.index[~used.index.duplicated()].sort_values()]
    return Ledger(known, domain, measure, continued, split, base, pilot_flops(rows, base), notes + more, used)


def in_nats(rows: pd.DataFrame, eval_on: str) -> tuple[pd.Series, str]:
    """Values on one set as nats, NaN elsewhere, and of which measure they are: loss, else perplexity, else accuracy.

    ln of an exam's perplexity, and -ln of the accuracy above chance, fall with training as losses do.
    """
    mine = rows["eval_on"] == eval_on

    def column(name: str) -> pd.Series:
        return rows[name].where(mine) if name in rows.columns else pd.Series(np.nan, rows.index)

    if column("loss").notna().any():
        return column("loss"), "loss"
    if column("perplexity").notna().any():
        return np.log(column("perplexity")), "perplexity"
    chance = column("chance").fillna(0.0)
    above = (column("accuracy") - chance) / (1 - chance)
    return -np.log(above.where(above > 0)), "accuracy"


def ratios_told(rows: pd.DataFrame, general: str, domain: str) -> pd.DataFrame:
    """Rows whose train_on is the general or the domain set's name have that ratio, where none is given."""
    ratio = rows["domain_ratio"] if "domain_ratio" in rows.columns else pd.Series(np.nan, rows.index)
    if "train_on" in rows.columns:
        told = rows["train_on"].map({general: 0.0, domain: 1.0})
        ratio = ratio.fillna(told.where(rows["tokens"] > 0))
    seen = rows["seed_tokens"] if "seed_tokens" in rows.columns else pd.Series(np.nan, rows.index)
    return rows.assign(domain_ratio=ratio.astype(float), seed_tokens=seen.astype(float))


def marked(rows: pd.DataFrame) -> pd.Series:
    """Experts: trained on one of K domains (train_on ends in /K), or with no domain_ratio at all."""
    trained = rows["tokens"] > 0
    named = pd.Series(False, rows.index)
    if "train_on" in rows.columns:
        named = rows["train_on"].astype(object).map(lambda name: NUMBER.search(str(name)) is not None).astype(bool)
    return trained & (rows["domain_ratio"].isna() | named)


def bases(rows: pd.DataFrame) -> dict[float, float | None]:
    """The starting model of every size: the seed_tokens from which most ratios were continued, then the largest."""
    runs = rows[(rows["tokens"] > 0) & ~marked(rows)]
    found: dict[float, float | None] = {}
    for params, mine in runs.groupby("params"):
        groups = mine.groupby("seed_tokens", dropna=False)["domain_ratio"].nunique()
        filtered_alone = bool((mine["domain_ratio"] == 1).all())
        if filtered_alone and len(groups) > 1:  # experts from several seeds, not runs continued from one model
            continue
        best = max(groups.items(), key=lambda one: (one[1], -1.0 if np.isnan(one[0]) else one[0]))[0]
        found[float(params)] = None if np.isnan(best) else float(best)
    return found


def continued_rows(rows: pd.DataFrame, base: Mapping[float, float | None]) -> pd.DataFrame:
    """Runs continued from each size's starting model, with its own rows (tokens = 0)."""
    start = rows["params"].map({size: np.nan if seen is None else seen for size, seen in base.items()})
    same = (rows["seed_tokens"] == start) | (rows["seed_tokens"].isna() & ((rows["tokens"] == 0) | start.isna()))
    return rows[rows["params"].isin(base) & same & ~marked(rows)]


def seeds_and_experts(rows: pd.DataFrame, domain: str, domains: int | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Seeds and experts on the domain's set. Filtered runs stand for experts where no row is marked as one."""
    own = rows[rows["eval_on"] == domain]
    experts = marked(own)
    if not experts.any():
        experts = (own["tokens"] > 0) & (own["domain_ratio"] == 1)
    seeds = (own["tokens"] == 0) & (own["seed_tokens"] > 0)
    own = own[seeds | (experts & own["seed_tokens"].notna())].drop(columns="domain_ratio")
    again = [name for name in ("params", "trunk", "seed_tokens", "loss") if name in own.columns]
    own = own[~((own["tokens"] == 0) & own.duplicated(again))]  # a starting model that every run lists
    own, notes = of_domain(own, domain)
    if domains is None or own.empty:
        return own, notes
    own, more = of_number(own, domains, several=False)
    return own, notes + more


def pilot_flops(rows: pd.DataFrame, base: Mapping[float, float | None]) -> float:
    """6 N D over distinct runs (their own flops where given), and over trunks beyond the starting models.

    A starting model is there before the pilots and costs nothing. Seeds are checkpoints: of each trunk, or of each
    size where trunks are not told apart, the longest is paid once.
    """
    total = 0.0
    for (params, _), run in rows[rows["tokens"] > 0].groupby(["params", "run"]):
        given = run["flops"].max() if "flops" in run.columns else np.nan
        total += float(6 * params * run["tokens"].max() if np.isnan(given) else given)
    apart = rows["trunk"].fillna("").where(rows["trunk"] != rows["run"], "") if "trunk" in rows.columns else ""
    for (params, _), group in rows.assign(trunk=apart).groupby(["params", "trunk"]):
        longest = float(group["seed_tokens"].max())
        if np.isfinite(longest):
            total += 6 * float(params) * max(longest - (base.get(float(params)) or 0.0), 0.0)
    return total
