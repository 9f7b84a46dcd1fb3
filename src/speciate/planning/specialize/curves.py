"""Exam perplexity along training, by model size and regime: one curve for each, its runs side by side."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.select import listed, mixed
from speciate.laws.perplexity_size import PERPLEXITY_SIZE

Array = NDArray[np.float64]
NEEDED = ("params", "tokens", "train_on", "eval_on", "perplexity")
ROUNDS = 20  # of alternating means; one is enough where every run has every checkpoint


@dataclass(frozen=True)
class Names:
    """The names by which a question is asked of a table: two regimes, the domain's exams, general sets or None."""

    general: str
    specialized: str
    eval_on: str
    original: str | None
    new: str | None

    @property
    def regimes(self) -> tuple[str, str]:
        """General first."""
        return self.general, self.specialized


@dataclass(frozen=True, eq=False)
class Curve:
    """One size under one regime, on one exam suite.

    ``tokens`` (n,) of the checkpoints, increasing, above 0; ``by_run`` (R, n) ln perplexity, NaN where a run was not
    measured; ``mean`` (n,) over the runs there, after each run's level was brought to their common one; ``counts`` (n,)
    runs behind it. ``start``: perplexity of the starting model, where the table has it.
    """

    params: float
    regime: str
    tokens: Array
    by_run: Array
    mean: Array
    counts: Array
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    start: float | None

    @property
    def x(self) -> Array:
        """ln tokens (n,)."""
        return np.log(self.tokens)

    @property
    def best(self) -> int:
        """The checkpoint of least perplexity."""
        return int(np.argmin(self.mean))

    def perplexity(self, tokens: Array) -> Array:
        """At token counts (m,), straight in ln perplexity against ln tokens; NaN beyond what was measured."""
        return np.exp(interpolated(self.tokens, self.mean, np.asarray(tokens, dtype=float)))

    def run_perplexities(self, tokens: float) -> Array:
        """Of every run at one token count, (R,); NaN where a run was not measured on both sides."""
        found = np.full(len(self.by_run), np.nan)
        for i, row in enumerate(self.by_run):
            known = np.isfinite(row)
            found[i] = np.exp(interpolated(self.tokens[known], row[known], np.array([tokens]))[0])
        return found


def interpolated(tokens: Array, values: Array, at: Array) -> Array:
    """Values at token counts (m,), straight in ln tokens, NaN outside (to one part in a million)."""
    inside = (at >= tokens[0] * (1 - 1e-6)) & (at <= tokens[-1] * (1 + 1e-6))
    safe = np.where(inside, at, tokens[0])
    return np.where(inside, np.interp(np.log(safe), np.log(tokens), values), np.nan)


def names_in(
    table: pd.DataFrame, general: str, specialized: str | None, eval_on: str | None, original: str | None,
    new: str | None,
) -> Names:  # fmt: skip
    """The names, those left out filled in where only one fits. Raises UserError with everything that does not."""
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        fix = "add it, or map yours with --columns"
        raise UserError([Problem(f"no column {name!r}", "the table", f"{fix} {name}=YOURS") for name in missing])
    trained = table["tokens"] > 0
    regimes = sorted(str(name) for name in table.loc[trained, "train_on"].dropna().unique())
    sets = sorted(str(name) for name in table.loc[table["perplexity"].notna(), "eval_on"].dropna().unique())
    problems = [
        _unknown(name, option, known)
        for option, name, known in [
            ("general", general, regimes), ("specialized", specialized, regimes), ("eval-on", eval_on, sets),
            ("original", original, sets), ("new", new, sets),
        ]
        if name is not None and name not in known
    ]  # fmt: skip
    if specialized is None:
        specialized, problem = _only([name for name in regimes if name != general], "specialized", "regimes", regimes)
        problems += problem
    elif specialized == general:
        problems.append(Problem(f"both regimes are {general!r}", "--specialized", f"name one of {listed(regimes)}"))
    if eval_on is None:
        eval_on, problem = _only([name for name in sets if name not in (original, new)], "eval-on", "exam suites", sets)
        problems += problem
    if problems or specialized is None or eval_on is None:
        raise UserError(problems)
    return Names(general, specialized, eval_on, original, new)


def _unknown(name: str, option: str, known: Sequence[str]) -> Problem:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    fix = f"did you mean {near[0]!r}?" if near else f"the table has {listed(known) or 'none'}"
    return Problem(f"no row has the name {name!r}", f"--{option}", fix)


def _only(left: Sequence[str], option: str, what: str, known: Sequence[str]) -> tuple[str | None, list[Problem]]:
    if len(left) == 1:
        return left[0], []
    fix = f"choose one with --{option}: {listed(left)}" if left else f"the table has {listed(known) or 'none'}"
    return None, [Problem(f"{len(left)} {what} could be meant", f"--{option}", fix)]


def rows_of(table: pd.DataFrame, eval_on: str, names: Names) -> pd.DataFrame:
    """Rows of one suite that both regimes' curves are made of, with their starting models (0 tokens)."""
    usable = table["perplexity"].notna() & table["params"].notna() & table["tokens"].notna()
    regime = table["train_on"].isin(names.regimes) | (table["tokens"] == 0)
    rows = table[(table["eval_on"] == eval_on) & usable & regime]
    problems = mixed(PERPLEXITY_SIZE, rows)
    if problems:
        raise UserError(problems)
    return rows


def curves_of(rows: pd.DataFrame, names: Names) -> dict[tuple[float, str], Curve]:
    """A curve for each size and regime in the rows of one suite."""
    starts = rows[rows["tokens"] == 0].groupby("params")["perplexity"].apply(lambda p: float(np.exp(np.log(p).mean())))
    trained = rows[(rows["tokens"] > 0) & rows["train_on"].isin(names.regimes)]
    return {
        (params, regime): _curve(float(params), regime, part, starts.get(params))
        for (params, regime), part in trained.groupby(["params", "train_on"])
    }


def _curve(params: float, regime: str, rows: pd.DataFrame, start: float | None) -> Curve:
    tokens, column = np.unique(rows["tokens"].to_numpy(dtype=float), return_inverse=True)
    runs, first, row = np.unique(labels(rows), return_index=True, return_inverse=True)
    total, times = np.zeros((len(runs), len(tokens))), np.zeros((len(runs), len(tokens)))
    np.add.at(total, (row, column), np.log(rows["perplexity"].to_numpy(dtype=float)))
    np.add.at(times, (row, column), 1.0)
    by_run = np.where(times > 0, total / np.maximum(times, 1.0), np.nan)
    seeds: tuple[int | None, ...] = (None,) * len(runs)
    if "seed" in rows.columns:
        given = rows["seed"].to_numpy(dtype=float, na_value=np.nan)[first]
        seeds = tuple(None if np.isnan(seed) else int(seed) for seed in given)
    counts = (times > 0).sum(axis=0).astype(float)
    return Curve(params, regime, tokens, by_run, levelled(by_run), counts, tuple(map(str, runs)), seeds, start)


def labels(rows: pd.DataFrame) -> NDArray[np.str_]:
    """The run of every row of a curve: ``run``, unless that names single checkpoints; then ``seed``; else one for all.

    >>> labels(pd.DataFrame({"run": ["a1", "a2"], "tokens": [1, 2], "seed": [0, 0]})).tolist()
    ['seed 0', 'seed 0']
    """
    if "run" in rows.columns and rows["run"].notna().all():
        runs: NDArray[np.str_] = rows["run"].to_numpy(dtype=str)
        measured = set(zip(runs.tolist(), rows["tokens"].tolist(), strict=True))
        if len(measured) > len({run for run, _ in measured}) or len({tokens for _, tokens in measured}) == 1:
            return runs
    if "seed" in rows.columns and rows["seed"].notna().any():
        return np.array([f"seed {seed}" for seed in rows["seed"]])
    return np.full(len(rows), "run")


def levelled(by_run: Array) -> Array:
    """Mean over runs (R, n) -> (n,) of an additive fit: a run that lacks checkpoints does not bend it by its level.

    >>> levelled(np.array([[1.0, 2.0, 3.0], [3.0, 4.0, np.nan]])).round(6)
    array([2., 3., 4.])
    """
    mean = np.nanmean(by_run, axis=0)
    if np.isfinite(by_run).all():
        return np.asarray(mean)
    for _ in range(ROUNDS):
        offsets = np.nanmean(by_run - mean, axis=1)
        offsets -= offsets.mean()
        mean = np.nanmean(by_run - offsets[:, None], axis=0)
    return np.asarray(mean)


def sizes_in(curves: dict[tuple[float, str], Curve], names: Names) -> list[float]:
    """Sizes that both regimes have, increasing. Raises NotDecidable where there is none."""
    sizes = {regime: {params for params, of in curves if of == regime} for regime in names.regimes}
    both = sorted(sizes[names.general] & sizes[names.specialized])
    if not both:
        have = ", ".join(
            f"{regime}: {listed([f'{params:,.0f}' for params in sorted(sizes[regime])]) or 'none'}"
            for regime in names.regimes
        )
        raise NotDecidable(
            f"no model size was trained in both regimes and examined on {names.eval_on!r} ({have})",
            f"run {names.general!r} and {names.specialized!r} at one size, and examine their checkpoints",
        )
    return both
