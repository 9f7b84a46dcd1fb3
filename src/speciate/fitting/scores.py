"""Laws scored on rows held out, and whether the best of them is the best by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import pandas as pd

from speciate.fitting.resample import cluster_weights, units
from speciate.fitting.result import errors_of
from speciate.laws.law import Array


@dataclass(frozen=True)
class Score:
    """A law's errors on the rows held out, or why it has none."""

    law: str
    mae: float | None
    mre: float | None
    r2: float | None
    reason: str | None

    @property
    def error(self) -> float:
        """What laws are ranked by: the relative error, the absolute one where a measurement is 0."""
        return float("inf") if self.mae is None else self.mae if self.mre is None else self.mre


@dataclass(frozen=True)
class Split:
    """One set of rows held out. ``scores``: best first, then those that could not be fitted.

    ``difference``: error of the second less that of the best, in the unit of the ranking, ``low`` and ``high``
    its interval over runs; ``decided`` if that excludes 0; ``statement`` says so.
    """

    held_out: str
    rows: int
    runs: int
    fitted_rows: int
    scores: tuple[Score, ...]
    difference: float | None
    low: float | None
    high: float | None
    decided: bool
    statement: str


def told(score: Score) -> str:
    """Errors in words: 'error 0.52 %, 0.0123, R2 0.981'."""
    if score.mae is None:
        return f"not fitted: {score.reason}"
    share = "" if score.mre is None else f"{100 * score.mre:.3g} %, "
    return f"error {share}{score.mae:.3g}" + ("" if score.r2 is None else f", R2 {score.r2:.3f}")


def scored(
    label: str,
    apart: pd.DataFrame,
    fitted_rows: int,
    output: str,
    predicted: Mapping[str, Array | str],
    bootstrap: int,
    level: float,
    seed: int,
) -> Split:
    """Scores of laws on the rows apart, from their predictions (m,) or the reason why there are none.

    The difference of the two best is the mean over rows of the difference of their errors; its interval holds
    ``level`` of ``bootstrap`` reweightings of whole trunks (runs where there is one trunk), the same for both laws.
    """
    y = apart[output].to_numpy(dtype=float)
    scores = [
        Score(name, None, None, None, value) if isinstance(value, str) else Score(name, *errors_of(value, y), None)
        for name, value in predicted.items()
    ]
    scores.sort(key=lambda score: score.error)
    independent = units(apart)
    able = [score.law for score in scores if score.reason is None]

    def said(difference: float | None, low: float | None, high: float | None, statement: str) -> Split:
        decided = low is not None and low > 0
        return Split(
            label, len(y), independent.runs, fitted_rows, tuple(scores), difference, low, high, decided, statement
        )

    if len(able) < 2:
        return said(
            None, None, None, f"only {able[0]} can be fitted" if able else "not decidable: no law can be fitted"
        )
    size = np.abs(y) if (y != 0).all() else np.ones_like(y)
    gap = (np.abs(np.asarray(predicted[able[1]]) - y) - np.abs(np.asarray(predicted[able[0]]) - y)) / size
    fewest = 1 + ceil(log2(1 / (1 - level)))  # with fewer, even signs that all agree may be chance
    if independent.count < fewest:
        unit = "run" if independent.count == independent.runs else independent.level
        held = f"{independent.count} {unit}{'s' * (independent.count != 1)}"
        why = f"{held} held out, and it takes {fewest} to tell laws apart"
        return said(float(gap.mean()), None, None, f"not decidable: {why}")
    weights = cluster_weights(independent.ids, bootstrap, np.random.default_rng(seed))
    low, high = np.quantile((weights @ gap) / weights.sum(axis=1), ((1 - level) / 2, (1 + level) / 2))
    return said(
        float(gap.mean()), float(low), float(high), verdict(able, float(low), float(high), (y != 0).all(), level)
    )


def verdict(able: list[str], low: float, high: float, relative: bool, level: float) -> str:
    """Whether the best law is better than the second, in words.

    >>> verdict(["a", "b"], -0.001, 0.02, True, 0.9)
    'not decidable: a comes before b, and the difference may be chance (-0.1 .. 2 % of the value at 90%)'
    """
    span = f"{100 * low:.2g} .. {100 * high:.2g} % of the value" if relative else f"{low:.3g} .. {high:.3g}"
    if low > 0:
        return f"{able[0]}'s error is below {able[1]}'s by {span} (at {level:.0%})"
    return f"not decidable: {able[0]} comes before {able[1]}, and the difference may be chance ({span} at {level:.0%})"
