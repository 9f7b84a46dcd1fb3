"""A table of measurements, arranged as the curves a mixture decision reads: change of loss against tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import NotDecidable, Problem, UserError
from speciate.planning.mixture.blocks import averaged

Array = NDArray[np.float64]
NEEDED = ("run", "params", "tokens", "domain_ratio", "eval_on", "loss")
LEAST_POINTS = 6  # four parameters of the general law, one to judge them by, one to hold back


@dataclass(frozen=True)
class Curve:
    """One run seen through one evaluation set: ``change`` = loss - ``start`` (nats/token) at ``tokens`` > 0.

    Of many measurements these are means of blocks (``blocks``), about which single ones scatter by ``within``.
    """

    run: str
    trunk: str
    domain_ratio: float
    seed: int | None
    tokens: Array  # (n,), increasing
    change: Array  # (n,)
    start: float  # loss of the starting model, nats/token
    measured: tuple[float, float]  # tokens of the first and of the last measurement
    within: float = 0.0  # sd, nats/token


@dataclass(frozen=True)
class SizeCurves:
    """All continued runs of one model size; ``general[i]`` and ``domain[i]`` belong to the same run."""

    params: int
    general: tuple[Curve, ...]
    domain: tuple[Curve, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ratios tried, increasing."""
        return tuple(sorted({curve.domain_ratio for curve in self.general}))

    @property
    def longest(self) -> float:
        """Tokens of the longest run."""
        return max(curve.measured[1] for curve in self.general)


@dataclass(frozen=True)
class Observations:
    """``sizes`` by increasing params; the names of the two evaluation sets."""

    general: str
    domain: str
    sizes: tuple[SizeCurves, ...]


def observe(table: pd.DataFrame, general: str = "general", domain: str | None = None) -> Observations:
    """Arrange a table (columns of ``docs/design.md``) as curves of the change of loss.

    Rows with tokens = 0 are the starting model. A run without one takes it from a run of the same
    trunk and size. Rows with ``seed_tokens`` = 0 are first-stage training and left out, unless all are 0.
    Where trunks are not told apart (no ``trunk`` column), runs whose starting losses are equal share one.

    Raises UserError for every fault of the table at once, NotDecidable when no run has enough rows.
    """
    problems = _missing(table)
    if problems:
        raise UserError(problems)
    domain = choose_domain(table, general, domain)
    numbers = pd.Series(np.arange(1, len(table) + 1), index=table.index)  # rows as the user counts them
    table = table[table["eval_on"].isin([general, domain])]
    if "seed_tokens" in table.columns and not (table["seed_tokens"] == 0).all():
        # 0 is first-stage training; a checkpoint from elsewhere may not say what it has seen (null)
        table = table[table["seed_tokens"] != 0]
    problems = _faults(table, numbers.loc[table.index].to_numpy()) or _mixed(table)
    if problems:
        raise UserError(problems)
    sizes, short = [], []
    for params, rows in table.groupby("params", sort=True):
        size, too_short = _size(int(params), rows, general, domain)
        short += too_short
        if size is not None:
            sizes.append(size)
    if not sizes:
        what = "; ".join(short[:3]) or "no row has tokens above 0 and a starting model to compare with"
        raise NotDecidable(
            f"no run can be read as a curve: {what}", f"measure a run at {LEAST_POINTS} or more token counts"
        )
    return Observations(general, domain, tuple(sizes))


def choose_domain(table: pd.DataFrame, general: str, domain: str | None) -> str:
    """The evaluation set that stands for the domain: the one named, or the only one that can be meant."""
    names = sorted(str(name) for name in table["eval_on"].unique())
    where = "column eval_on"
    if general not in names:
        raise UserError(Problem(f"no rows for the general set {general!r}", where, f"name one of {', '.join(names)}"))
    others = [name for name in names if name != general]
    if domain is not None:
        if domain not in others:
            raise UserError(
                Problem(f"no rows for the domain set {domain!r}", where, f"name one of {', '.join(others)}")
            )
        return domain
    if len(others) == 1:
        return others[0]
    if "domain" in others:
        return "domain"
    if "train_on" in table.columns:
        seen = {name for name in others if table["train_on"].astype(str).str.contains(name, regex=False).any()}
        if len(seen) == 1:
            return seen.pop()
    choices = ", ".join(others) if others else "none is there"
    raise UserError(Problem("the domain's evaluation set is not clear", where, f"name it; choices: {choices}"))


def _missing(table: pd.DataFrame) -> list[Problem]:
    """Columns that every decision needs, and rows at all."""
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        return [Problem(f"column {name} is missing", "the table", "add it, or map yours to it") for name in missing]
    if table.empty:
        return [Problem("no rows", "the table", "give at least three ratios of one model size")]
    return []


def _faults(table: pd.DataFrame, row_numbers: NDArray[np.int_]) -> list[Problem]:
    """Values that cannot be, in the rows that this decision reads."""
    problems = []
    bounds: dict[str, tuple[float, float]] = {
        "params": (1, np.inf),
        "tokens": (0, np.inf),
        "domain_ratio": (0, 1),
        "loss": (-np.inf, np.inf),
    }
    for name, (low, high) in bounds.items():
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
        bad = ~(np.isfinite(numbers) & (numbers >= low) & (numbers <= high))
        if name == "domain_ratio" and "tokens" in table.columns:  # the starting model has no mixture yet
            bad &= ~(np.isnan(numbers) & (pd.to_numeric(table["tokens"], errors="coerce").to_numpy(dtype=float) == 0))
        if bad.any():
            rows = ", ".join(map(str, row_numbers[bad][:3]))
            what = f"{name} is {table[name].iloc[int(np.flatnonzero(bad)[0])]} ({int(bad.sum())} such rows)"
            problems.append(Problem(what, f"row {rows}", f"give a finite number within [{low}, {high}]"))
    return problems


def _mixed(table: pd.DataFrame) -> list[Problem]:
    """What must not be mixed within one decision."""
    problems = []
    if "tokenizer" in table.columns and table["tokenizer"].dropna().nunique() > 1:
        names = ", ".join(sorted(map(str, table["tokenizer"].dropna().unique())))
        problems.append(Problem(f"losses of different tokenizers ({names})", "column tokenizer", "keep one of them"))
    if "eval_hash" in table.columns:
        for name, rows in table.groupby("eval_on"):
            if rows["eval_hash"].dropna().nunique() > 1:
                problems.append(
                    Problem(f"{name} was measured on different texts", "column eval_hash", "keep one of them")
                )
    trained = table[table["tokens"] > 0]
    for name in ("params", "domain_ratio"):
        several = trained.groupby("run")[name].nunique()
        for run in several[several > 1].index[:3]:
            problems.append(Problem(f"run {run} has several values of {name}", f"column {name}", "name each run apart"))
    if "seed_tokens" in table.columns:
        several = table.groupby("params")["seed_tokens"].nunique()
        for params in several[several > 1].index[:3]:
            what = f"size {params} was continued from different numbers of seed_tokens"
            problems.append(Problem(what, "column seed_tokens", "keep the runs of one starting model"))
    return problems


def _starts(rows: pd.DataFrame, trunk: pd.Series[Any]) -> tuple[dict[Any, float], dict[Any, float], float | None]:
    """Losses of starting models by run, by trunk, and the only one there is (None when they differ)."""
    zero = rows[rows["tokens"] == 0]
    by_run = zero.groupby("run")["loss"].first().to_dict()
    by_trunk = zero.groupby(trunk.loc[zero.index])["loss"].first().to_dict()
    values = zero["loss"].unique()
    return by_run, by_trunk, float(values[0]) if len(values) == 1 else None


def _size(params: int, rows: pd.DataFrame, general: str, domain: str) -> tuple[SizeCurves | None, list[str]]:
    told = "trunk" in rows.columns and not (rows["trunk"].astype(str) == rows["run"].astype(str)).all()
    trunk = rows["trunk"].astype(str) if told else rows["run"].astype(str)
    found: dict[str, dict[Any, Curve]] = {general: {}, domain: {}}
    problems, short = [], []
    for eval_on, part in rows.groupby("eval_on"):
        by_run, by_trunk, only = _starts(part, trunk)
        trained = part[part["tokens"] > 0]
        if trained.empty:
            continue
        known = trained[[name for name in ("run", "domain_ratio", "seed") if name in trained.columns]]
        first = known.assign(trunk=trunk.loc[trained.index]).groupby("run").first()  # nulls skipped
        means = trained.groupby(["run", "tokens"])["loss"].mean()  # a token count measured twice counts once
        ends = np.cumsum(means.groupby(level="run").size().to_numpy())[:-1]
        tokens = np.split(means.index.get_level_values("tokens").to_numpy(dtype=float), ends)
        losses = np.split(means.to_numpy(dtype=float), ends)
        for run, name, time, loss in zip(first.index, first["trunk"], tokens, losses, strict=True):
            start = by_run.get(run, by_trunk.get(name, None if told else only))
            if start is None:
                what = f"run {run} ({params} params) has no row with tokens = 0 on {eval_on}, nor has its trunk"
                problems.append(Problem(what, "the table", "add the loss of the starting model (tokens = 0)"))
                continue
            if len(time) < LEAST_POINTS:
                short.append(f"run {run} has {len(time)} token counts on {eval_on}, {LEAST_POINTS} are needed")
                continue
            found[str(eval_on)][run] = _curve(first.loc[run], str(name) if told else f"{start:.9g}", time, loss, start)
    if problems:
        raise UserError(problems)
    runs = [run for run in found[general] if run in found[domain]]
    runs.sort(key=lambda run: (found[general][run].domain_ratio, str(run)))
    if not runs:
        return None, short
    # A trunk told by its starting loss is named by the general set's.
    domains = tuple(replace(found[domain][run], trunk=found[general][run].trunk) for run in runs)
    return SizeCurves(params, tuple(found[general][run] for run in runs), domains), short


def _curve(run: pd.Series, trunk: str, tokens: Array, loss: Array, start: float) -> Curve:
    """``run``: the first row of the run; tokens increasing."""
    at, mean, within = averaged(tokens, loss)
    seed = run.get("seed")
    return Curve(
        run=str(run.name),
        trunk=trunk,
        domain_ratio=float(run["domain_ratio"]),
        seed=None if pd.isna(seed) else int(seed),
        tokens=at,
        change=mean - start,
        start=start,
        measured=(float(tokens[0]), float(tokens[-1])),
        within=within,
    )
