"""The rows that speak about one benchmark, the run that is asked for, and how far it lies beyond the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.select import evaluated, matching, mixed
from speciate.fitting.usable import NEAR_CHANCE
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS
from speciate.laws.law import Array

WHERE = "rows for plan accuracy"
SIZES = ("params", "tokens", "flops", "samples")  # what says how large a run is; flops last of what training costs
LARGEST = 0.2  # share of the runs, the largest by compute, of which half must be above chance
FEWEST_LARGEST = 3
FEWEST = 4  # rows: three to fit two parameters with one to spare, one to hold out
ONE_RATIO = 1.5  # tokens per parameter within this factor count as the same
RATIO_REACH = 2.0  # how far beyond the ratios of the rows laws of size and tokens are believed


@dataclass(frozen=True)
class Asked:
    """The run whose accuracy is wanted: params (count), tokens, flops, samples (k); None where not given."""

    params: float | None
    tokens: float | None
    flops: float
    samples: int | None

    def of(self, name: str) -> float | None:
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True, eq=False)
class Benchmark:
    """``rows``: above chance, with flops and chance on each. ``every``: the same with those at chance, for losses.

    ``given``: the latter as the table has them, for the seal.
    """

    rows: pd.DataFrame
    every: pd.DataFrame
    given: pd.DataFrame
    chance: float
    eval_on: str | None
    left_out: dict[str, int]
    notes: tuple[str, ...]

    def factors(self, asked: Asked) -> dict[str, float]:
        """How many times larger the asked run is than the largest row, by name of size.

        >>> import pandas as pd
        >>> rows = pd.DataFrame({"flops": [1e18, 4e18], "accuracy": [0.4, 0.5]})
        >>> Benchmark(rows, rows, rows, 0.25, None, {}, ()).factors(Asked(None, None, 2e19, None))
        {'flops': 5.0}
        """
        found = {}
        for name in SIZES:
            value = asked.of(name)
            if value is not None and name in self.rows.columns:
                found[name] = value / float(self.rows[name].max())
        return found


def checked(
    params: float | None, tokens: float | None, flops: float | None, samples: int | None, level: float, draws: int
) -> None:
    """Raise UserError, once, for options that ask for no run."""
    problems = []
    for name, value in (("params", params), ("tokens", tokens), ("flops", flops)):
        if value is not None and not 1 <= value < 1e30:
            problems.append(Problem(f"{name} is {value}", "options", "give a number of 1 or more, such as 7e9"))
    if samples is not None and samples < 1:
        problems.append(Problem(f"samples is {samples}", "options", "give the k of pass@k, 1 or more"))
    if not 0 < level < 1:
        problems.append(Problem(f"level is {level}", "options", "give a share between 0 and 1, such as 0.9"))
    if draws < 100:
        problems.append(Problem(f"draws is {draws}", "options", "give at least 100"))
    if (params is None) != (tokens is None):
        given, other = ("params", "tokens") if tokens is None else ("tokens", "params")
        problems.append(
            Problem(f"{given} is given without {other}", "options", f"give --{other} too, or --flops alone")
        )
    if params is None and tokens is None and flops is None:
        problems.append(Problem("no run is asked for", "options", "give --params and --tokens, or --flops"))
    if problems:
        raise UserError(problems)


def benchmark(
    table: pd.DataFrame,
    params: float | None,
    tokens: float | None,
    flops: float | None,
    samples: int | None,
    eval_on: str | None,
    where: str | None,
) -> tuple[Benchmark, Asked]:
    """The rows of one task above chance, and the run asked for in their columns.

    Compute is 6 params tokens, of the rows and of the asked run alike, where the question has both; with --flops it
    is the table's own column. Rows within 5 % of the way from chance to 1 are left out.
    Raises UserError (no chance, mixed sets) and NotDecidable (a task still at chance, too few rows).
    """
    rows = table.reset_index(drop=True)
    rows = rows[matching(rows, where, "where")] if where else rows
    law = ACCURACY_PARAMS_TOKENS  # of accuracies, as all of them
    rows, eval_on, problems = evaluated(law, rows, eval_on) if "accuracy" in rows.columns else (rows, eval_on, [])
    rows, notes = costed(rows, by_size=flops is None)
    problems += missing(rows, params is not None, samples is not None) + mixed(law, rows) + of_samples(rows, samples)
    if "train_on" in rows.columns and rows["train_on"].nunique() > 1:
        names = ", ".join(sorted(map(str, rows["train_on"].dropna().unique())))
        what = f"rows mix {rows['train_on'].nunique()} training mixtures ({names})"
        problems.append(Problem(what, "train_on", f"keep one with --where train_on=={names.partition(',')[0]}"))
    if problems:
        raise UserError(problems)
    if samples is not None and "chance" not in rows.columns:
        rows, notes = rows.assign(chance=0.0), (*notes, "chance was taken as 0: samples are judged, not guessed")
    every, left_out = whole(rows, samples is not None)
    given = table.reset_index(drop=True).loc[every.index]
    every = every.reset_index(drop=True)
    values = every["chance"].unique()
    if len(values) > 1:
        what = f"chance has {len(values)} values ({', '.join(f'{v:g}' for v in values[:6])})"
        raise UserError(Problem(what, WHERE, "one task has one chance: keep its rows with --eval-on or --where"))
    chance = float(values[0]) if len(values) else 0.0
    kept = every[above(every)].reset_index(drop=True)
    if len(kept) < len(every):
        left_out["accuracy is not 5 % above chance"] = len(every) - len(kept)
    undecidable(every, kept, chance)
    size = flops if flops is not None else 6.0 * (params or 0.0) * (tokens or 0.0)
    return Benchmark(kept, every, given, chance, eval_on, left_out, notes), Asked(params, tokens, size, samples)


def costed(rows: pd.DataFrame, by_size: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows with flops: 6 params tokens if ``by_size`` or where there is no column."""
    known = {"params", "tokens"} <= set(rows.columns)
    if known and (by_size or "flops" not in rows.columns):
        replaced = " in place of the column" if "flops" in rows.columns else ""
        return rows.assign(flops=6.0 * rows["params"] * rows["tokens"]), (f"flops are 6 params tokens{replaced}",)
    return rows, ()


def missing(rows: pd.DataFrame, by_size: bool, sampled: bool) -> list[Problem]:
    """Columns that the question needs and the table lacks."""
    needed = ["accuracy", *(["params", "tokens"] if by_size else ["flops"]), *(["samples"] if sampled else [])]
    fix = "add it, or map yours with --columns params=N,tokens=D"
    problems = [Problem(f"there is no column {name!r}", WHERE, fix) for name in needed if name not in rows.columns]
    if "chance" not in rows.columns and not sampled:
        fix = "add the accuracy of guessing: 0.25 with four choices, 0 where guessing never succeeds"
        problems.append(Problem("there is no column 'chance'", WHERE, fix))
    return problems


def of_samples(rows: pd.DataFrame, samples: int | None) -> list[Problem]:
    """Rows of several k and no k asked for."""
    if samples is None and "samples" in rows.columns and rows["samples"].nunique() > 1:
        values = ", ".join(f"{v:g}" for v in sorted(rows["samples"].dropna().unique())[:6])
        return [Problem(f"rows hold pass@k at several samples ({values})", "samples", "ask for one with --samples")]
    return []


def whole(rows: pd.DataFrame, sampled: bool) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with all that the question needs on them, and how many have not, by reason."""
    left_out: dict[str, int] = {}
    for name in ("accuracy", "chance", "flops", *(("samples",) if sampled else ())):
        values = rows[name].to_numpy(dtype=float, na_value=np.nan)
        fine = np.isfinite(values) & ((values > 0) | (name in ("accuracy", "chance")))
        if not fine.all():
            left_out[f"{name} is missing or 0"] = int((~fine).sum())
        rows = rows[fine]
    hopeless = rows["chance"].to_numpy(dtype=float) < 1
    return rows[hopeless], left_out


def above(rows: pd.DataFrame) -> Array:
    """Rows whose accuracy is more than 5 % of the way from chance to 1: (n,) bool (Krajewski et al. 2512.08894)."""
    chance = rows["chance"].to_numpy(dtype=float)
    return np.asarray(rows["accuracy"].to_numpy(dtype=float) - chance > NEAR_CHANCE * (1 - chance))


def undecidable(every: pd.DataFrame, kept: pd.DataFrame, chance: float) -> None:
    """Raise NotDecidable for a task still at chance in most of the largest runs, or with too few rows above it."""
    if every.empty:
        raise NotDecidable("no row has an accuracy, its chance and its compute", "measure the task on a few runs")
    count = min(len(every), max(FEWEST_LARGEST, int(np.ceil(LARGEST * len(every)))))
    largest = every.nlargest(count, "flops")
    over = int(above(largest).sum())
    mark = chance + NEAR_CHANCE * (1 - chance)
    dear = float(every["flops"].max())
    if 2 * over < count:
        reason = f"the task is still at chance: {over} of the {count} largest runs are above {mark:.3f}"
        raise NotDecidable(reason, f"measure larger runs (beyond {dear:.3g} FLOPs), or an easier task of the same kind")
    if len(kept) < FEWEST or kept["flops"].nunique() < FEWEST - 1:
        many = f"{len(kept)} row{'s' * (len(kept) != 1)} above {mark:.3f}"
        reason = f"{many} at {kept['flops'].nunique()} values of compute are too few to fit a law and to test it"
        low = float(kept["flops"].min()) if len(kept) else dear
        raise NotDecidable(reason, f"add runs between {low:.3g} and {dear:.3g} FLOPs, cheapest first")


def ratio_problem(seen: Benchmark, asked: Asked) -> str | None:
    """Why the rows say nothing about the asked tokens per parameter, or None."""
    if asked.params is None or asked.tokens is None:
        return None
    ratios = seen.rows["tokens"].to_numpy(dtype=float) / seen.rows["params"].to_numpy(dtype=float)
    low, high, wanted = float(ratios.min()), float(ratios.max()), asked.tokens / asked.params
    if high > RATIO_REACH * low or low / RATIO_REACH <= wanted <= high * RATIO_REACH:
        return None
    return f"all rows have about {np.median(ratios):.3g} tokens per parameter and none shows what {wanted:.3g} do"
