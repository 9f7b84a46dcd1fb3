"""A table of runs on mixtures of several domains, arranged as curves: one per run and evaluation set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.mixture.observations import Curve
from speciate.runs.columns import SHARE

Array = NDArray[np.float64]
NEEDED = ("run", "params", "tokens", "eval_on", "loss")
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class DomainRuns:
    """The runs of one size. ``curves[name][i]`` is run i seen through an evaluation set, None if it was not measured.

    ``shares`` (n, K) in the order of ``domains``, the rest is general text. ``sets`` are the general one, then every
    domain that has a held-out set. ``starts``: mean loss of the starting models, 0.0 where it is not known
    (then a curve's change is its loss). ``unique`` (n,): unique tokens of a run's whole text, NaN if unknown.
    """

    params: int
    general: str
    domains: tuple[str, ...]
    sets: tuple[str, ...]
    shares: Array
    runs: tuple[str, ...]
    trunks: tuple[str, ...]
    curves: dict[str, tuple[Curve | None, ...]]
    starts: dict[str, float]
    unique: Array
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    rows: pd.DataFrame = field(repr=False)

    @property
    def longest(self) -> float:
        """Tokens of the longest run."""
        return max(float(curve.tokens[-1]) for curve in self.curves[self.general] if curve is not None)


def domains_of(table: pd.DataFrame, general: str, named: Sequence[str] | None) -> tuple[str, ...]:
    """The domains: those named, or every share_NAME but the general one's; domain_ratio serves for a single one."""
    there = [str(name).removeprefix(SHARE) for name in table.columns if str(name).startswith(SHARE)]
    there = [name for name in there if name != general]
    if named is None:
        if not there:
            fix = "add the share of every domain, as share_law and share_code"
            raise UserError(Problem("no column share_NAME", "the table", fix))
        return tuple(there)
    problems = []
    if len(set(named)) < len(named) or not named:
        problems.append(Problem("domains are given twice, or none is", "--domains", "name each once, as in law,code"))
    for name in dict.fromkeys(named):
        if name == general:
            problems.append(Problem(f"{name!r} is the general text", "--domains", "name the domains only"))
        elif name not in there and not (len(named) == 1 and not there and "domain_ratio" in table.columns):
            have = ", ".join(there) or "none"
            problems.append(Problem(f"no column {SHARE}{name}", "--domains", f"the table has shares of: {have}"))
    if problems:
        raise UserError(problems)
    return tuple(named)


def observe_domains(
    table: pd.DataFrame, general: str, named: Sequence[str] | None = None, params: int | None = None
) -> DomainRuns:
    """Arrange a table (columns of ``docs/design.md``) as curves of one size: ``params``, or the largest.

    A row with tokens = 0 is the starting model; a run without one takes that of its trunk, or the only one there is.
    Rows with an empty loss, rows of other sizes and of first-stage training (``seed_tokens`` = 0 beside others) and
    runs with text of a domain that was not named are left out; the notes count them.
    Raises UserError for every fault at once, NotDecidable where no run is left.
    """
    missing = [name for name in NEEDED if name not in table.columns]
    if missing or table.empty:
        problems = [Problem(f"column {name} is missing", "the table", "add it, or map yours to it") for name in missing]
        raise UserError(problems or [Problem("no rows", "the table", "give runs on several mixtures")])
    domains = domains_of(table, general, named)
    table, notes = _chosen(table, params)
    names = {str(name) for name in table["eval_on"].dropna().unique()}
    sets = (general, *(name for name in domains if name in names))
    problems = []
    if general not in names:
        fix = f"name one of {', '.join(sorted(names))} with --general"
        problems.append(Problem(f"no rows for the general set {general!r}", "column eval_on", fix))
    if len(sets) == 1:
        have = ", ".join(sorted(names - {general})) or "none"
        fix = f"name the sets as the domains ({', '.join(domains)}); the other sets are: {have}"
        problems.append(Problem("no domain has an evaluation set of its own name", "column eval_on", fix))
    problems += _mixed(table[table["eval_on"].isin(sets)])
    if problems:
        raise UserError(problems)
    unseen = [name for name in domains if name not in names]
    if unseen:
        notes.append(f"{', '.join(unseen)} has no evaluation set of its name: its loss is not in what is minimised")
    other = sorted(names - set(sets))
    if other:
        notes.append(f"the evaluation sets {', '.join(other)} have no domain of their name and were not used")
    return _arranged(table[table["eval_on"].isin(sets)], general, domains, sets, notes)


def _chosen(table: pd.DataFrame, params: int | None) -> tuple[pd.DataFrame, list[str]]:
    """Rows of one size's second stage that can be read, and notes on the others."""
    notes = []
    usable = table[["params", "tokens", "loss"]].notna().all(axis=1) & table["eval_on"].notna() & table["run"].notna()
    if not usable.all():
        notes.append(f"{int((~usable).sum())} rows without run, params, tokens, eval_on or loss were left out")
    table = table[usable]
    if "seed_tokens" in table.columns and not (table["seed_tokens"] == 0).all():
        table = table[table["seed_tokens"] != 0]
    sizes = sorted(int(size) for size in table["params"].unique())
    if not sizes:
        raise NotDecidable("no row has a run, params, tokens, eval_on and a loss", "measure runs on several mixtures")
    if params is not None and params not in sizes:
        have = ", ".join(f"{size:,}" for size in sizes)
        fix = f"choose one of {have}: several domains are planned for a size that was run"
        raise UserError(Problem(f"no run has {params:,} params", "--params", fix))
    size = sizes[-1] if params is None else params
    if len(sizes) > 1:
        notes.append(f"planned for {size:,} params; the other sizes ({len(sizes) - 1}) were not used")
    return table[table["params"] == size], notes


def _mixed(table: pd.DataFrame) -> list[Problem]:
    """What must not be mixed within one decision, and losses that cannot be."""
    problems = []
    if not np.isfinite(table["loss"].to_numpy(dtype=float)).all() or (table["tokens"] < 0).any():
        problems.append(Problem("a loss is not finite, or tokens are below 0", "the table", "mend or remove the row"))
    if "tokenizer" in table.columns and table["tokenizer"].dropna().nunique() > 1:
        problems.append(Problem("losses of different tokenizers", "column tokenizer", "keep one of them"))
    if "eval_hash" in table.columns:
        several = table.groupby("eval_on")["eval_hash"].nunique()
        for name in several[several > 1].index:
            problems.append(Problem(f"{name} was measured on different texts", "column eval_hash", "keep one of them"))
    if "seed_tokens" in table.columns and table["seed_tokens"].dropna().nunique() > 1:
        fix = "keep the runs of one starting model"
        problems.append(Problem("runs were continued from different numbers of seed_tokens", "column seed_tokens", fix))
    return problems


def _arranged(
    table: pd.DataFrame, general: str, domains: tuple[str, ...], sets: tuple[str, ...], notes: list[str]
) -> DomainRuns:
    run = table["run"].astype(str)
    told = "trunk" in table.columns and not (table["trunk"].astype(str) == run).all()
    table = table.assign(run=run, trunk=table["trunk"].astype(str) if told else run)
    trained = table[table["tokens"] > 0]
    shares, notes_of_shares = _shares(table, trained, general, domains)
    notes += notes_of_shares
    if shares.empty:
        raise NotDecidable("no run has tokens above 0 on text of these domains", "measure runs on several mixtures")
    starts = {name: _starts(table[table["eval_on"] == name], shares, told) for name in sets}
    _need_start(starts[general], shares, general)
    curves: dict[str, tuple[Curve | None, ...]] = {}
    means: dict[str, float] = {}
    seeds = trained.groupby("run")["seed"].first() if "seed" in trained.columns else pd.Series(dtype=float)
    for name in sets:
        known = {r: value for r, value in starts[name].items() if value is not None}
        whole = len(known) == len(shares)
        trunk_of = dict(zip(shares.index, shares["trunk"], strict=True))
        means[name] = float(np.mean(list({trunk_of[r]: v for r, v in known.items()}.values()))) if whole else 0.0
        part = trained[trained["eval_on"] == name]
        groups = {str(r): g for r, g in part.groupby("run")}
        curves[name] = tuple(
            _curve(r, row, groups.get(r), (starts[name][r] or 0.0) if whole else 0.0, domains)
            for r, row in shares.iterrows()
        )
    unique = np.full(len(shares), np.nan)
    if "unique_tokens" in trained.columns:
        last = trained.sort_values("tokens").groupby("run")["unique_tokens"].last()
        unique = last.reindex(shares.index).to_numpy(dtype=float)
    numbers = tuple(int(value) for value in seeds.dropna().unique())
    return DomainRuns(int(table["params"].iloc[0]), general, domains, sets, shares[list(domains)].to_numpy(dtype=float),
                      tuple(map(str, shares.index)), tuple(shares["trunk"]), curves, means, unique, numbers,
                      tuple(notes), table)  # fmt: skip


def _shares(
    table: pd.DataFrame, trained: pd.DataFrame, general: str, domains: tuple[str, ...]
) -> tuple[pd.DataFrame, list[str]]:
    """Shares of the domains by run, with the trunk, in the order of shares; notes on runs left out."""
    columns = [str(name) for name in table.columns if str(name).startswith(SHARE)]
    others = [name for name in columns if name.removeprefix(SHARE) not in (*domains, general)]
    frame = trained[columns].copy() if columns else trained[["domain_ratio"]].set_axis([SHARE + domains[0]], axis=1)
    silent = frame.isna().all(axis=1)
    if silent.any():
        names = ", ".join(trained.loc[silent, "run"].unique()[:3])
        fix = "give the share of every domain (0 where there is none of it)"
        raise UserError(Problem(f"{int(silent.sum())} rows with tokens above 0 have no shares (run {names})",
                                "columns share_NAME", fix))  # fmt: skip
    frame = frame.fillna(0.0).assign(run=trained["run"], trunk=trained["trunk"])
    first = frame.groupby("run").first()
    several = frame.drop(columns="trunk").groupby("run").nunique().max(axis=1) > 1
    if several.any():
        names = ", ".join(several[several].index[:3])
        raise UserError(Problem(f"shares change within a run ({names})", "columns share_NAME", "name each run apart"))
    foreign = (first[others] > ROUNDING).any(axis=1) if others else pd.Series(False, index=first.index)
    notes = [f"{int(foreign.sum())} runs with text of other domains were left out"] if foreign.any() else []
    first = first[~foreign].rename(columns={SHARE + name: name for name in domains})
    return first.sort_values([*domains, "trunk"]), notes


def _starts(rows: pd.DataFrame, shares: pd.DataFrame, told: bool) -> dict[str, float | None]:
    """Loss of every run's starting model on one set; None where it is not known."""
    zero = rows[rows["tokens"] == 0]
    by_run = zero.groupby("run")["loss"].first()
    by_trunk = zero.groupby("trunk")["loss"].first()
    only = float(zero["loss"].iloc[0]) if zero["loss"].nunique() == 1 else None
    noted = rows.groupby("run")["start_loss"].first() if "start_loss" in rows.columns else pd.Series(dtype=float)
    found: dict[str, float | None] = {}
    for run, trunk in zip(shares.index, shares["trunk"], strict=True):
        values = [series.get(key) for series, key in ((by_run, run), (by_trunk, trunk), (noted, run))]
        known = [float(value) for value in values if value is not None and np.isfinite(value)]
        found[str(run)] = known[0] if known else (None if told else only)
    return found


def _need_start(starts: dict[str, float | None], shares: pd.DataFrame, general: str) -> None:
    lacking = [run for run in shares.index if starts[str(run)] is None]
    if lacking:
        what = f"{len(lacking)} runs (such as {lacking[0]}) have no start on {general}, nor has their trunk"
        fix = "add the starting model's loss: a row with tokens = 0, or the column start_loss"
        raise UserError(Problem(what, "the table", fix))


def _curve(
    run: str, row: pd.Series, group: pd.DataFrame | None, start: float, domains: tuple[str, ...]
) -> Curve | None:
    if group is None:
        return None
    means = group.groupby("tokens")["loss"].mean()  # a token count measured twice counts once
    tokens = means.index.to_numpy(dtype=float)
    measured = (float(tokens[0]), float(tokens[-1]))
    total = float(row[list(domains)].sum())
    return Curve(str(run), str(row["trunk"]), total, None, tokens, means.to_numpy(dtype=float) - start, start,
                 measured)  # fmt: skip
