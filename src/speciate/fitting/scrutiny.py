"""A closer look at a fit, for which its rows are needed: what it hangs on, and profile intervals.

A fit keeps the rows it was made from as long as it lives; a saved one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from speciate.fitting.influence import Sensitivity, Span, Without, sensitivity
from speciate.fitting.profile import Interval, profile
from speciate.fitting.replicates import Weighted
from speciate.fitting.resample import clusters, units
from speciate.laws.law import Array

MOST_CELLS = 5_000_000  # rows times parameters beyond which some thirty more refits would take a minute


@dataclass(frozen=True, eq=False)
class Used:
    """The rows of a fit: as it weighed them, and each (n,) what is independent, the run, the place in the table."""

    weighted: Weighted
    units: Array
    runs: Array
    places: Array

    @classmethod
    def of(cls, weighted: Weighted, rows: pd.DataFrame, places: Array) -> Used:
        return cls(weighted, units(rows).ids, clusters(rows)[1], places)


def sensitivity_of(used: Used, theta: Array, intervals: Mapping[str, Span], level: float) -> Sensitivity | None:
    """What the parameters hang on, rows named by their place in the table; None where there are too many to refit."""
    rows = used.weighted
    if len(rows.y) * len(theta) > MOST_CELLS:
        return None
    try:
        with np.errstate(all="ignore"):
            found = sensitivity(rows.law, rows.x, rows.y, rows.weights, theta, rows.loss, used.runs, intervals, level)
    except np.linalg.LinAlgError:  # rows that no refit can be computed on
        return None

    def placed(refits: tuple[Without, ...]) -> tuple[Without, ...]:
        return tuple(replace(one, rows=tuple(int(used.places[row]) for row in one.rows)) for one in refits)

    return replace(found, points=placed(found.points), without=placed(found.without))


def profiles_of(used: Used, theta: Array, level: float) -> dict[str, Interval]:
    """Profile intervals of every parameter by name, trunks (or runs, if there is one trunk) being independent."""
    rows = used.weighted
    return profile(rows.law, rows.x, rows.y, rows.weights, theta, rows.loss, used.units, level)
