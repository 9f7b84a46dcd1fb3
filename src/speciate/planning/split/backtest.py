"""How far the split law is off beyond the rows it was fitted on, measured on those rows' own past."""

from __future__ import annotations

from collections.abc import Sequence
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
            f"{self.nats:.3f} nats ({100 * self.error:.2g}%) in {self.tested} rows"
        )


def backtest(
    table: pd.DataFrame,
    factor: float,
    *,
    params: float,
    domains: int,
    eval_on: str | None = None,
    fitted_from: float = 0.0,
    tested_from: float = 0.0,
) -> Backtest | None:
    """``factor``: the planned total over the largest of the rows (> 1). None where too few rows are left to fit.

    A row's total is D + K D', what such a split costs, whether or not it was meant to end there. Rows of models that
    have seen fewer tokens, D + D', than ``fitted_from`` are not fitted, fewer than ``tested_from`` not asked.
    """
    own, _ = of_number(table, domains, several=False)
    total = own["seed_tokens"].fillna(0.0) + domains * own["tokens"]
    largest = float(total.max())
    last = own[(total >= largest * (1 - SAME)) & (seen(own) >= tested_from)]
    if last.empty:
        return None
    try:
        early = own[(total <= largest / factor * (1 + SAME)) & (seen(own) >= fitted_from)]
        fitted, asked = fit_split(early, params, eval_on, None, 0, 0)
    except NotDecidable:
        return None
    value, _ = fitted.losses(asked, last["seed_tokens"].to_numpy(dtype=float), last["tokens"].to_numpy(dtype=float))
    measured = last["loss"].to_numpy(dtype=float)
    errors = np.log(measured / value)
    if not np.isfinite(errors).all():
        return None
    rms, nats = float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(measured - value)))
    return Backtest(factor, len(fitted.rows), len(last), rms, float(np.mean(errors)), nats)


def seen(rows: pd.DataFrame) -> pd.Series:
    """Tokens that the model of each row has been trained on itself, D + D'."""
    return rows["seed_tokens"].fillna(0.0) + rows["tokens"]


@dataclass(frozen=True)
class Start:
    """``tokens``: D + D' from which a model is taken to follow the law; ``tried``: the backtest of that choice."""

    tokens: float
    tried: Backtest | None

    @property
    def error(self) -> float:
        """Standard deviation of what the law has wrong of ln loss as far beyond its rows; 0 where that is not known."""
        return 0.0 if self.tried is None else self.tried.error


def law_start(
    table: pd.DataFrame,
    starts: Sequence[float],
    factor: float,
    *,
    params: float,
    domains: int,
    eval_on: str | None = None,
    tested_from: float = 0.0,
) -> Start:
    """Which of ``starts``, tokens that a model has seen (D + D'), backtests best when earlier rows are left out.

    The first steps of a model follow no power law, and what they do hides what comes after: losses then fall faster
    than the law can follow, and it promises too much beyond the rows. Every start is asked the same rows: of models
    that have seen ``tested_from`` or more, so that they are alike to what the plan will be asked. The first start,
    without a backtest, if none can be.
    """

    def tried(start: float) -> Backtest | None:
        span = {"fitted_from": start, "tested_from": tested_from}
        return backtest(table, factor, params=params, domains=domains, eval_on=eval_on, **span)

    found = [Start(start, one) for start in starts if (one := tried(start)) is not None]
    return min(found, key=lambda start: start.error, default=Start(starts[0], None))
