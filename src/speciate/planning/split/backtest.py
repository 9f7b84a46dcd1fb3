"""How far the split law is off beyond the rows it was fitted on, measured on those rows' own past."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from speciate.errors import NotDecidable
from speciate.planning.split.fit import fit_split
from speciate.planning.split.rows import of_number

SAME = 1e-6  # totals this near to the largest are the largest


@dataclass(frozen=True)
class Backtest:
    """A fit on rows whose total is at most the largest divided by ``factor``, asked for those of the largest.

    ``error``: root mean square of ln(measured / predicted) over ``tested`` rows; ``bias``: their mean; ``nats``: the
    mean size of the error.
    """

    factor: float
    fitted: int
    tested: int
    error: float
    bias: float
    nats: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> str:
        """One line for a person."""
        return (
            f"on the pilots' own past, {self.factor:.3g} times beyond what it was fitted on, the law was off by "
            f"{self.nats:.3f} nats ({100 * self.error:.2g}%) in {self.tested} rows; the sealed intervals hold that too"
        )


def backtest(
    table: pd.DataFrame, factor: float, *, params: float, domains: int, eval_on: str | None = None
) -> Backtest | None:
    """``factor``: the planned total over the largest of the rows (> 1). None where too few rows are left to fit.

    A row's total is D + K D', what such a split costs, whether or not it was meant to end there.
    """
    own, _ = of_number(table, domains, several=False)
    total = own["seed_tokens"].fillna(0.0) + domains * own["tokens"]
    largest = float(total.max())
    last = own[total >= largest * (1 - SAME)]
    try:
        fitted, asked = fit_split(own[total <= largest / factor * (1 + SAME)], params, eval_on, None, 0, 0)
    except NotDecidable:
        return None
    value, _ = fitted.losses(asked, last["seed_tokens"].to_numpy(dtype=float), last["tokens"].to_numpy(dtype=float))
    measured = last["loss"].to_numpy(dtype=float)
    errors = np.log(measured / value)
    if not np.isfinite(errors).all():
        return None
    rms, nats = float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(measured - value)))
    return Backtest(factor, len(fitted.rows), len(last), rms, float(np.mean(errors)), nats)
