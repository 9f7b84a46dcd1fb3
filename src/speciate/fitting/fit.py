"""A law fitted to a table: parameters with intervals, predictions with intervals, and a status."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from speciate.errors import Problem, UserError
from speciate.fitting.objective import Loss
from speciate.fitting.resample import cluster_weights, units
from speciate.fitting.result import Fit, Holdout, Prediction, errors_of
from speciate.fitting.select import Chosen, choose, clusters, named, scarce
from speciate.fitting.solve import Solution, solve, solve_batch
from speciate.fitting.store import load_fit
from speciate.laws.law import Array, Law, Objective

__all__ = ["Fit", "Holdout", "Prediction", "fit", "load_fit"]

FAR = 30.0  # an input whose typical value is this many times its unit, or a part of it, gets another unit
FEW = 8  # independent runs below which an interval is called rough


@dataclass(frozen=True)
class Resampled:
    """Parameters refitted to resampled runs, (B, P), or None where there was nothing to resample."""

    draws: Array | None
    trunks: int
    runs: int
    note: str


def fit(
    law: str | Law,
    table: pd.DataFrame,
    *,
    eval_on: str | None = None,
    where: str | None = None,
    holdout: str | None = None,
    bootstrap: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    objective: Objective | None = None,
    delta: float = 1e-3,
) -> Fit:
    """Fit a law to a validated table (``speciate.read_table``).

    ``where`` and ``holdout`` are conditions such as "params>1e9, seed==0": rows to use, and rows to
    keep apart and predict. Intervals hold ``level`` of ``bootstrap`` refits on resampled trunks and
    runs. A law given by name gets units near the rows' own (see ``Fit.scales``).

    Raises UserError (what to choose or mend) and NotDecidable (which row would help).

    >>> sizes, tokens = np.meshgrid([1e8, 4e8, 1e9], [2e9, 8e9, 3e10])
    >>> loss = 1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37
    >>> table = pd.DataFrame({"params": sizes.ravel(), "tokens": tokens.ravel(), "loss": loss.ravel()})
    >>> result = fit("chinchilla", table, bootstrap=50)
    >>> round(result.parameters["alpha"]["value"], 4), result.status
    (0.35, 'converged')
    """
    began = time.perf_counter()
    check(bootstrap, level, delta)
    chosen = choose(named(law), table, eval_on, where, holdout)
    x = {given.name: chosen.fitted[given.name].to_numpy(dtype=float) for given in named(law).inputs}
    scaled = rescaled(named(law), x) if isinstance(law, str) else law
    y = chosen.fitted[scaled.output].to_numpy(dtype=float)
    loss = Loss(objective or scaled.objective, delta)
    if loss.logarithmic and not (y > 0).all():
        what = f"{int((y <= 0).sum())} rows have {scaled.output} <= 0, which has no logarithm"
        raise UserError(Problem(what, "objective log-huber", "use --objective huber or squared"))
    found = solve(scaled, x, y, None, loss.kind, delta)
    again = resampled(scaled, x, y, chosen.fitted, found.theta, loss, bootstrap, seed)
    result = assembled(scaled, x, y, chosen, found, again, loss, level, seed)
    held = held_out(result, chosen.held_out)
    return result.with_outcome(held, time.perf_counter() - began)


def assembled(
    law: Law,
    x: dict[str, Array],
    y: Array,
    chosen: Chosen,
    found: Solution,
    again: Resampled,
    loss: Loss,
    level: float,
    seed: int,
) -> Fit:
    """Everything found, as one frozen value; its status joins what the solver and the rows have to say."""
    value = law.predict(found.theta, x)
    mae, mre, r2 = errors_of(value, y)
    notes = (found.status, scarce(law, chosen.fitted), again.note)
    return Fit(
        law=law,
        theta=found.theta,
        draws=again.draws,
        residuals=-loss.residual(value, y),
        status="; ".join(note for note in notes if note),
        objective=found.objective,
        objective_kind=loss.kind,
        delta=loss.delta,
        rows=len(y),
        trunks=again.trunks,
        runs=again.runs,
        mae=mae,
        mre=mre,
        r2=r2,
        eval_on=chosen.eval_on,
        left_out=chosen.left_out,
        level=level,
        seed=seed,
    )


def check(bootstrap: int, level: float, delta: float) -> None:
    """Raise UserError, once, for options that make no sense."""
    problems = []
    if bootstrap < 0:
        problems.append(Problem(f"bootstrap is {bootstrap}", "options", "use 0 (no intervals) or about 1000"))
    if not 0 < level < 1:
        problems.append(Problem(f"level is {level}", "options", "use a share between 0 and 1, such as 0.9"))
    if not delta > 0:
        problems.append(Problem(f"delta is {delta}", "options", "use a positive corner, such as 0.001"))
    if problems:
        raise UserError(problems)


def rescaled(law: Law, x: dict[str, Array]) -> Law:
    """The law with units near the rows' own, a power of ten, where its unit is far from them.

    Only inputs that have a unit: Chinchilla's A and B stay in published units.
    """
    for given in law.inputs:
        typical = float(np.exp(np.mean(np.log(x[given.name]))))
        if given.scale != 1.0 and not 1 / FAR < typical / given.scale < FAR:
            law = law.with_scale(given.name, 10.0 ** round(math.log10(typical)))
    return law


def resampled(
    law: Law, x: dict[str, Array], y: Array, rows: pd.DataFrame, theta: Array, loss: Loss, count: int, seed: int
) -> Resampled:
    """Refit on resampled trunks and runs, from the optimum on all rows."""
    trunk_ids, run_ids = clusters(rows)
    trunks, runs = units(trunk_ids, run_ids)
    independent = trunks if trunks > 1 else runs
    if count == 0:
        return Resampled(None, trunks, runs, "")
    if independent < 2:
        return Resampled(None, trunks, runs, "no interval: all rows come from one run; add a run with another seed")
    weights = cluster_weights(trunk_ids, run_ids, count, np.random.default_rng(seed))
    draws, objectives = solve_batch(law, x, y, weights, theta, loss.kind, loss.delta)
    draws = draws[np.isfinite(objectives) & np.isfinite(draws).all(axis=1)]
    note = f"rough intervals: only {independent} independent runs" if independent < FEW else ""
    return Resampled(draws, trunks, runs, note)


def held_out(result: Fit, rows: pd.DataFrame | None) -> Holdout | None:
    """How well rows that the fit did not see are predicted."""
    if rows is None:
        return None
    x: dict[str, ArrayLike] = {given.name: rows[given.name].to_numpy(dtype=float) for given in result.law.inputs}
    y = rows[result.law.output].to_numpy(dtype=float)
    guess = result.predict(**x)
    mae, mre, r2 = errors_of(np.asarray(guess.value), y)
    inside = None
    if guess.low is not None and guess.high is not None:
        inside = float(np.mean((guess.low <= y) & (y <= guess.high)))
    return Holdout(len(y), mae, mre, r2, inside)
