"""Routes tested on the largest runs: fitted to the smaller ones, asked for those held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.fitting.resample import cluster_weights, units
from speciate.laws.law import Array
from speciate.planning.accuracy.routes import Known, Route, fitted_below, one_ratio, smaller, thinned
from speciate.planning.accuracy.rows import SIZES, Asked, Benchmark

HELD_OUT = (0.2, 0.35, 0.5)  # shares of the different sizes held out by turns, the largest
MANY = 10  # different sizes up to which they are held out one by one
ALIKE = 1.25  # ten errors that share a fit do not tell a quarter apart
MOST_CUTS = 4
FEWEST_BELOW = 3  # rows left to fit two parameters with one to spare
SIZES_KNOWN = 3  # with two, a law holds at those and not beyond
PREFERRED = 1.5  # by how much another law must err less to be chosen over the source's law for such rows
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Cut:
    """``apart``: rows held out, all at least ``least`` along ``name``; ``distance`` (n,) is how far they lie beyond.

    Distances are ln(size / largest size fitted), the largest over params, tokens, flops, samples.
    """

    name: str
    apart: pd.DataFrame
    distance: Array

    @property
    def factor(self) -> float:
        """How many times the largest fitted run the furthest one is, along whatever it is furthest."""
        return float(np.exp(self.distance.max()))


@dataclass(frozen=True, eq=False)
class Trial:
    """A route's predictions on each cut, (n,) each. ``mre``, ``mae``: mean over cuts of the mean error of the rows."""

    route: Route
    predicted: tuple[Array, ...]
    errors: tuple[Array, ...]
    mre: float | None
    mae: float

    @property
    def name(self) -> str:
        return self.route.name

    @property
    def error(self) -> float:
        """What routes are ranked by: the relative error, the absolute one where an accuracy is 0."""
        return self.mae if self.mre is None else self.mre


def cuts(seen: Benchmark, asked: Asked) -> list[Cut]:
    """What is held out by turns: the largest runs along what the asked run exceeds the rows most in, then compute."""
    rows = seen.rows if asked.samples is None else judged(seen.rows, asked.samples)
    rows = thinned(rows)
    beyond = seen.factors(asked)
    first = max(beyond, key=lambda name: beyond[name])
    found: list[Cut] = []
    for name in dict.fromkeys((first if beyond[first] > 1 else "flops", "flops")):
        values = np.unique(rows[name].to_numpy(dtype=float))
        for least in starts(values):
            apart = rows[(rows[name] >= least).to_numpy()].reset_index(drop=True)
            below = seen.rows[smaller(seen.rows, apart, name)]
            if len(below) >= FEWEST_BELOW and not any(
                len(apart) == len(cut.apart) and cut.apart.equals(apart) for cut in found
            ):
                found.append(Cut(name, apart, distances(apart, below)))
    return found[:MOST_CUTS]


def judged(rows: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Rows at the asked k, or all where none is."""
    same = rows[(rows["samples"] == samples).to_numpy(dtype=bool)]
    return (same if len(same) > 1 else rows).reset_index(drop=True)


def starts(values: Array) -> list[float]:
    """Smallest sizes held out, of sorted different ones: the top one, two, ... of few, the top fifth ... of many.

    >>> starts(np.array([1.0, 2.0, 3.0, 4.0])), starts(np.arange(20.0))
    ([4.0, 3.0], [16.0, 13.0, 10.0])
    """
    count = len(values)
    if count <= MANY:
        places = list(range(count - 1, max(count // 2, 2) - 1, -1))
    else:
        places = [int(np.ceil((1 - share) * count)) for share in HELD_OUT]
    return [float(values[place]) for place in places]


def distances(apart: pd.DataFrame, below: pd.DataFrame) -> Array:
    """How far rows lie beyond others: ln(size / largest), the largest over kinds of size, at least 0: (n,)."""
    names = [name for name in SIZES if name in apart.columns and below[name].notna().any()]
    beyond = [np.log(apart[name].to_numpy(dtype=float) / float(below[name].max())) for name in names]
    return np.asarray(np.maximum(np.nanmax(beyond, axis=0), 0.0))


def tried(able: list[Route], held: list[Cut], known: Known) -> tuple[list[Trial], dict[str, str]]:
    """Every route's errors, best first, and why some could not be tested."""
    trials, refused = [], {}
    for route in able:
        try:
            predicted = tuple(fitted_below(route, cut.apart, cut.name, known).predict(cut.apart) for cut in held)
        except ValueError as error:
            refused[route.name] = str(error)
            continue
        if not all(np.isfinite(values).all() for values in predicted):
            refused[route.name] = "its predictions of the runs held out are not finite"
            continue
        measured = [cut.apart["accuracy"].to_numpy(dtype=float) for cut in held]
        errors = tuple(y - value for y, value in zip(measured, predicted, strict=True))
        mae = float(np.mean([np.mean(np.abs(miss)) for miss in errors]))
        relative = [np.mean(np.abs(miss / y)) for miss, y in zip(errors, measured, strict=True) if (y > 0).all()]
        mre = float(np.mean(relative)) if len(relative) == len(held) else None
        trials.append(Trial(route, predicted, errors, mre, mae))
    return sorted(trials, key=lambda trial: trial.error), refused


def ranked(trials: list[Trial], favourite: str | None) -> list[Trial]:
    """By error, the favourite first unless another errs less by PREFERRED.

    A few sizes held out are few pieces of evidence: the lowest of eight errors is often low by luck.
    """
    return sorted(trials, key=lambda trial: trial.error * (1.0 if trial.name == favourite else PREFERRED))


def favourite(rows: pd.DataFrame, asked: Asked) -> str | None:
    """The law that the source has for such rows, where they determine it (Krajewski et al. 2512.08894).

    Size and tokens where the ratio of the two differs between rows, compute where it does not, samples where k does.
    """
    if asked.samples is not None:
        return "accuracy-samples" if not (rows["samples"] == asked.samples).any() else None
    if asked.params is None or asked.tokens is None:
        return "accuracy-compute"
    ratios = (rows["tokens"] / rows["params"]).to_numpy(dtype=float)
    if one_ratio(ratios):
        return "accuracy-compute"
    enough = all(rows[name].nunique() >= SIZES_KNOWN for name in ("params", "tokens"))
    return "accuracy-params-tokens" if enough else None


def as_good(trials: list[Trial], held: list[Cut], level: float, seed: int) -> list[bool]:
    """Which routes' errors cannot be told from the first's: within a quarter, or the difference may be chance.

    The difference is the mean over rows held out of the absolute errors' difference, paired; its interval holds
    ``level`` of reweightings of whole trunks.
    """
    rows = pd.concat([cut.apart for cut in held], ignore_index=True)
    ids = units(rows[[name for name in ("run", "trunk") if name in rows.columns]].assign(at=0)).ids
    if "run" not in rows.columns:  # the same row held out twice is one
        ids = np.unique(rows[["flops", "accuracy"]].to_numpy(dtype=float), axis=0, return_inverse=True)[1].ravel()
    weights = cluster_weights(ids, DRAWS, np.random.default_rng(seed))
    misses = [np.abs(np.concatenate(trial.errors)) for trial in trials]
    found = []
    for trial, miss in zip(trials, misses, strict=True):
        gap = (weights @ (miss - misses[0])) / weights.sum(axis=1)
        chance = float(np.quantile(gap, (1 - level) / 2)) <= 0
        found.append(trial.error <= ALIKE * trials[0].error or chance)
    return found
