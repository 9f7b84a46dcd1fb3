"""What the split law says of given runs, and between which ends one new measurement of each will lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from speciate.planning.predictions import with_noise
from speciate.planning.split.fit import fit_split
from speciate.planning.split.plan import around
from speciate.planning.split.rows import of_number


def losses_at(
    table: pd.DataFrame,
    runs: Sequence[tuple[float, float]],
    *,
    params: float,
    domains: int,
    eval_on: str | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    beyond: float = 0.0,
) -> list[dict[str, float | None]]:
    """{value, low, high} of the loss of ``runs``, each (seed tokens, expert tokens), fitted as ``plan_split`` does.

    The interval holds one new measurement: the law's own error and the scatter of measurements about it. Where rows are
    means over K experts, so is that measurement, and the scatter is that of such means. ``beyond``: standard deviation
    of what the law has wrong (of ln loss) as far beyond the rows as ``runs`` are. None where all rows come from one
    run. Raises UserError and NotDecidable as ``plan_split`` does.
    """
    own, _ = of_number(table, domains, several=False)
    fitted, asked = fit_split(own, params, eval_on, None, draws, seed)
    seeds, tokens = (np.array(column, dtype=float) for column in zip(*runs, strict=True))
    value, slopes = fitted.losses(asked, seeds, tokens)
    wide = fitted.widened(slopes, level)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = (None, None) if wide.moves is None else np.quantile(wide.drawn(value, slopes), tails, axis=0)
    found = []
    for i, loss in enumerate(value):
        ends = (None, None) if low is None or high is None else (float(low[i]), float(high[i]))
        spread = math.hypot(fitted.noise, beyond)
        found.append(with_noise(float(loss), around(float(loss), ends), spread, len(fitted.rows), level))
    return found
