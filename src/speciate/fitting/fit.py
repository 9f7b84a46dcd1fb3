"""A law fitted to a table: parameters with intervals, predictions with intervals, and a status."""

from __future__ import annotations

import math
import time
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from speciate.errors import NotDecidable, Problem, UserError
from speciate.fitting.diagnose import undetermined
from speciate.fitting.noise import Noise, along, from_stderr
from speciate.fitting.objective import Loss
from speciate.fitting.replicates import Weighted, doubts, resampled
from speciate.fitting.resample import units
from speciate.fitting.result import Fit, Holdout, Intervals, Prediction, Shown, errors_of
from speciate.fitting.scrutiny import Used
from speciate.fitting.select import Chosen, choose, named, scarce
from speciate.fitting.solve import Solution, solve
from speciate.fitting.store import load_fit
from speciate.laws.law import Array, Law, Objective

__all__ = ["Fit", "Holdout", "Prediction", "fit", "load_fit"]

FAR = 30.0  # an input whose typical value is this many times its unit, or a part of it, gets another unit
LEAST_DELTA = 1e-12  # a corner in which no residual's digits are left
SHOWN = 2000  # rows a fit keeps for plots


def fit(
    law: str | Law,
    table: pd.DataFrame,
    *,
    eval_on: str | None = None,
    where: str | None = None,
    holdout: str | None = None,
    output: str | None = None,
    noise_by: str | None = None,
    bootstrap: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    objective: Objective | None = None,
    delta: float = 1e-3,
    intervals: Intervals = "bootstrap",
) -> Fit:
    """Fit a law to a validated table (``speciate.read_table``).

    ``where`` and ``holdout`` are conditions such as "params>1e9, seed==0": rows to use, and rows to
    keep apart and predict. ``output`` names another column for a law of losses: bits_per_byte or
    perplexity. Rows count by their ``stderr``, if all have one, beside the run-to-run noise that the
    residuals show; ``noise_by`` lets the noise change along an input (domain_ratio, a share, params).
    Intervals hold ``level`` of ``bootstrap`` refits under random weights of trunks (runs, if there is
    one trunk), corrected for leverage and few trunks; ``intervals`` "profile" takes those of the parameters
    from how far each can go before the rows object. A law given by name gets units near the rows' own.

    Raises UserError (what to choose or mend) and NotDecidable (which row would help).

    >>> sizes, tokens = np.meshgrid([1e8, 4e8, 1e9], [2e9, 8e9, 3e10])
    >>> loss = 1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37
    >>> table = pd.DataFrame({"params": sizes.ravel(), "tokens": tokens.ravel(), "loss": loss.ravel()})
    >>> result = fit("chinchilla", table, bootstrap=50)
    >>> round(result.parameters["alpha"]["value"], 4), result.status
    (0.35, 'converged')
    """
    began = time.perf_counter()
    check(bootstrap, level, delta, intervals)
    chosen = choose(named(law), table, eval_on, where, holdout, output)
    x = {given.name: chosen.fitted[given.name].to_numpy(dtype=float) for given in chosen.law.inputs}
    scaled = rescaled(chosen.law, x) if isinstance(law, str) else chosen.law
    y = chosen.fitted[scaled.output].to_numpy(dtype=float)
    loss = Loss(objective or scaled.objective, delta)
    if loss.logarithmic and not (y > 0).all():
        what = f"{int((y <= 0).sum())} rows have {scaled.output} <= 0, which has no logarithm"
        raise UserError(Problem(what, "objective log-huber", "use --objective huber or squared"))
    stderr = stderr_of(chosen.fitted, y, loss)
    try:
        with np.errstate(all="ignore"):  # what no float can hold shows in the result
            found, noise, scale = weighed(scaled, x, y, loss, noise_by, stderr)
            weighted = Weighted(scaled, x, y, scale**-2.0, Loss(loss.kind, delta * scale if np.ptp(scale) else delta))
            result = assembled(weighted, chosen, found, noise, loss, bootstrap, level, seed)
            result = result.profiled() if intervals == "profile" else result
            result = result.with_outcome(held_out(result, chosen.held_out), time.perf_counter() - began)
    except np.linalg.LinAlgError:
        raise unbounded(scaled, x, y) from None
    if not (np.isfinite(result.theta).all() and np.isfinite(result.objective) and np.isfinite(result.mae)):
        raise unbounded(scaled, x, y)
    return result


def unbounded(law: Law, x: dict[str, Array], y: Array) -> NotDecidable:
    """Rows so far apart that no parameters give numbers a float can hold."""
    spans = [f"{name} from {v.min():.3g} to {v.max():.3g}" for name, v in {**x, law.output: y}.items()]
    reason = f"{law.name} cannot be computed over these rows: {', '.join(spans)}"
    return NotDecidable(reason, "look for wrong units or a faulty row, and leave it out with --where")


def assembled(
    rows: Weighted, chosen: Chosen, found: Solution, noise: Noise, loss: Loss, bootstrap: int, level: float, seed: int
) -> Fit:
    """The fit with its intervals and all that is said about it."""
    law, x, y = rows.law, rows.x, rows.y
    independent = units(chosen.fitted)
    again = resampled(rows, found.theta, independent, bootstrap, seed)
    value = law.predict(found.theta, x)
    mae, mre, r2 = errors_of(value, y)
    few = "" if again.draws is None else doubts(independent)
    notes = (found.status, scarce(law, chosen.fitted), again.note, few)
    keep = np.linspace(0, len(y) - 1, min(len(y), SHOWN)).round().astype(int)
    return Fit(
        law=law,
        theta=found.theta,
        draws=again.draws,
        residuals=again.residuals * np.sqrt(rows.weights),
        inward=again.inward,
        shares=again.shares,
        noise=noise,
        status="; ".join(dict.fromkeys(note for note in notes if note)),
        objective=found.objective,
        objective_kind=loss.kind,
        delta=float(loss.delta),
        rows=len(y),
        trunks=independent.trunks,
        runs=independent.runs,
        mae=mae,
        mre=mre,
        r2=r2,
        eval_on=chosen.eval_on,
        left_out=chosen.left_out,
        notes=(*chosen.notes, *ignored(chosen.fitted, noise)),
        undetermined=tuple(undetermined(law, found.theta, x)),
        level=level,
        seed=seed,
        defaults={g.name: float(x[g.name][0]) for g in law.inputs if g.values == 1 and np.ptp(x[g.name]) == 0},
        shown=Shown({name: values[keep] for name, values in x.items()}, y[keep], value[keep]),
        used=Used.of(rows, chosen.fitted, chosen.places),
    )


def stderr_of(rows: pd.DataFrame, y: Array, loss: Loss) -> Array | None:
    """Standard errors in the space of the residuals (n,), NaN where missing; None if fewer than half are known.

    0 counts as missing: all questions right, or one seed; nothing is measured exactly.
    """
    if "stderr" not in rows.columns:
        return None
    given = rows["stderr"].to_numpy(dtype=float, na_value=np.nan)
    given = np.where(np.isfinite(given) & (given > 0), given, np.nan)
    if np.mean(np.isfinite(given)) < 0.5:
        return None
    return np.asarray(given / y if loss.logarithmic else given)


def weighed(
    law: Law, x: dict[str, Array], y: Array, loss: Loss, noise_by: str | None, stderr: Array | None
) -> tuple[Solution, Noise, Array]:
    """The fit with every row counting by its noise, which the residuals of an even fit show: solution, noise, scale."""
    names = [given.name for given in law.inputs]
    if noise_by is not None and noise_by not in names:
        raise UserError(Problem(f"noise_by is {noise_by!r}", "options", f"name one of {', '.join(names)}"))
    even = np.ones(len(y))
    found = solve(law, x, y, None, loss.kind, loss.delta)
    if noise_by is None and stderr is None:
        return found, Noise(), even
    residuals = loss.residual(law.predict(found.theta, x), y)
    if noise_by is not None:
        noise = along(noise_by, x[noise_by], residuals)
        scale = np.asarray(noise.scale(x))
    else:
        assert stderr is not None
        noise, scale = from_stderr(stderr, residuals)
    return solve(law, x, y, scale**-2.0, loss.kind, loss.delta * scale), noise, scale


def check(bootstrap: int, level: float, delta: float, intervals: Intervals) -> None:
    """Raise UserError, once, for options that make no sense."""
    problems = []
    fewest = fewest_draws(level) if 0 < level < 1 else 1
    if bootstrap < 0:
        problems.append(Problem(f"bootstrap is {bootstrap}", "options", "use 0 (no intervals) or about 1000"))
    elif 0 < bootstrap < fewest:
        what = f"{bootstrap} draws have no {level:g} interval"
        problems.append(Problem(what, "options", f"use 0 (no intervals) or at least {fewest}"))
    if not 0 < level < 1:
        problems.append(Problem(f"level is {level}", "options", "use a share between 0 and 1, such as 0.9"))
    if not LEAST_DELTA <= delta < math.inf:
        fix = f"use a corner of at least {LEAST_DELTA:g}, such as 0.001; objective squared has none"
        problems.append(Problem(f"delta is {delta}", "options", fix))
    if intervals not in get_args(Intervals):
        problems.append(Problem(f"intervals is {intervals!r}", "options", f"use {' or '.join(get_args(Intervals))}"))
    if problems:
        raise UserError(problems)


def fewest_draws(level: float) -> int:
    """So many that one is expected beyond either end of the interval.

    >>> fewest_draws(0.9)
    20
    """
    return math.ceil(2 / (1 - level) - 1e-6)


def ignored(rows: pd.DataFrame, noise: Noise) -> tuple[str, ...]:
    """A note where standard errors stand beside a noise that was asked for otherwise."""
    if noise.column is None or "stderr" not in rows.columns or not rows["stderr"].notna().any():
        return ()
    return (f"stderr was not used: rows count by a noise that changes with {noise.column}",)


def rescaled(law: Law, x: dict[str, Array]) -> Law:
    """The law with units near the rows' own, a power of ten, where its unit is far from them.

    Only inputs that have a unit: Chinchilla's A and B stay in published units.
    """
    for given in law.inputs:
        positive = x[given.name][x[given.name] > 0]
        typical = float(np.exp(np.mean(np.log(positive)))) if len(positive) else given.scale
        if given.scale != 1.0 and not 1 / FAR < typical / given.scale < FAR:
            law = law.with_scale(given.name, 10.0 ** round(math.log10(typical)))
    return law


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
        known = np.isfinite(guess.low) & np.isfinite(guess.high)
        inside = float(np.mean(((guess.low <= y) & (y <= guess.high))[known])) if known.any() else None
    return Holdout(len(y), mae, mre, r2, inside)
