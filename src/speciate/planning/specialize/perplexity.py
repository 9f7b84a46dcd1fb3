"""Perplexity against model size, perplexity = A / n^alpha: each run's, at its size's best checkpoint, by regime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable
from speciate.fitting.descend import Rows
from speciate.fitting.fit import Fit, fit
from speciate.fitting.replicates import linearised
from speciate.fitting.resample import units
from speciate.fitting.space import from_free, to_free
from speciate.fitting.spread import spread_of
from speciate.planning.specialize.curves import Curve
from speciate.planning.specialize.minimum import Minimum

# Rows from which draws are Newton steps, not refits: on 60 tables of 200 and of 500 rows intervals were 5 to 10 % wider
# and held the truth in 88 to 97 % (refits: 90 to 95 %).
MANY = 200


def perplexity_law(
    regime: str,
    curves: Mapping[tuple[float, str], Curve],
    minima: Mapping[tuple[float, str], Minimum],
    level: float,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """The law of one regime: {regime, rows, upper_bounds, formula, parameters, r2, status}; None where it has none."""
    rows = []
    for (params, of), curve in curves.items():
        if of == regime:
            found = curve.run_perplexities(minima[params, of].checkpoint)
            named = zip(curve.runs, found, strict=True)
            rows += [(f"{params:.0f} {run}", params, value) for run, value in named if np.isfinite(value)]
    table = pd.DataFrame(rows, columns=["run", "params", "perplexity"])
    bounds = sum(found.censored for (_, of), found in minima.items() if of == regime)
    entry: dict[str, Any] = {"regime": regime, "rows": len(rows), "upper_bounds": bounds}
    refits = draws if 2 < len(rows) < MANY else 0
    try:
        result = fit("perplexity-size", table, bootstrap=refits, level=level, seed=seed)
    except NotDecidable as error:
        return {**entry, "formula": None, "parameters": None, "r2": None, "status": error.reason}
    if len(rows) >= MANY:
        result = stepped(result, table, draws, seed)
    values = {"formula": result.law.formula, "parameters": result.parameters, "r2": result.r2}
    return {**entry, **values, "status": result.status}


def stepped(result: Fit, table: pd.DataFrame, draws: int, seed: int) -> Fit:
    """A fit without draws, with one Newton step from its optimum for each reweighting of runs."""
    assert result.used is not None
    law, theta, rows = result.law, result.theta, result.used.weighted
    runs = units(table)
    residuals = -rows.loss.residual(law.predict(theta, rows.x), rows.y)
    whole = Rows(law.scaled(rows.x), rows.y, rows.weights[None])
    spread = spread_of(law, theta, whole, rows.loss, residuals, runs.ids)
    moves = linearised(rows, theta, runs, draws, np.random.default_rng(seed))
    moved = from_free(law, to_free(law, theta) + moves @ spread.turn.T)[0]
    return replace(result, draws=moved, inward=spread.inward, shares=spread.shares)
