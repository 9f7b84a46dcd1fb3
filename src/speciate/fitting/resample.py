"""Bootstrap weights that keep what was measured together together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from speciate.laws.law import Array


@dataclass(frozen=True)
class Units:
    """Which independent unit each row belongs to: ``ids`` (n,) from 0 to ``count`` - 1; trunks and runs there are."""

    ids: Array
    count: int
    level: Literal["trunk", "run"]
    trunks: int
    runs: int


def units(rows: pd.DataFrame) -> Units:
    """Trunks, or runs where all share one trunk; a row without a run is a run of its own.

    Whole trunks are the units, not trunks and then the runs within: a second stage would count
    the differences between trunks again as differences between their runs (measured: intervals of a
    data exponent then cover 100 % instead of 90; Davison and Hinkley 1997, section 3.8, strategy 1).

    >>> found = units(pd.DataFrame({"run": ["r1", "r2", "r3"], "trunk": ["a", "a", "b"]}))
    >>> found.ids.tolist(), found.level, found.trunks, found.runs
    ([0, 0, 1], 'trunk', 2, 3)
    """
    trunk_ids, run_ids = clusters(rows)
    trunks, by_trunk = np.unique(trunk_ids, return_inverse=True)
    runs, by_run = np.unique(run_ids, return_inverse=True)
    if len(trunks) > 1:
        return Units(by_trunk, len(trunks), "trunk", len(trunks), len(runs))
    return Units(by_run, len(runs), "run", len(trunks), len(runs))


def clusters(rows: pd.DataFrame) -> tuple[Array, Array]:
    """Trunk and run of every row, each (n,); a row without a run is a run of its own."""
    own = np.array([f"row {i}" for i in range(len(rows))], dtype=object)

    def column(name: str, otherwise: Array) -> Array:
        if name not in rows.columns:
            return otherwise
        given = rows[name]
        return np.where(given.isna(), otherwise, given.astype(str).to_numpy(dtype=object))

    runs = column("run", own)
    return column("trunk", runs).astype(str), runs.astype(str)


def cluster_weights(unit_ids: Sequence[Any] | Array, draws: int, rng: np.random.Generator) -> Array:
    """How much each row counts in each bootstrap replicate: (draws, n), the same for all rows of a unit.

    Exponential weights of mean 1 (the Bayesian bootstrap, Rubin 1981): as wide as drawing units with
    replacement, but no replicate loses a unit, and with it perhaps the only runs of a model size.

    >>> weights = cluster_weights(["a", "a", "b"], 4, np.random.default_rng(0))
    >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all()), bool((weights > 0).all())
    ((4, 3), True, True)
    """
    names, unit_of_row = np.unique(np.asarray(unit_ids), return_inverse=True)
    weights = rng.standard_exponential((draws, len(names)))
    weights *= len(names) / weights.sum(axis=1, keepdims=True)
    return weights[:, unit_of_row.reshape(-1)]
