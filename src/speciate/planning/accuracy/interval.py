"""What a new run may score: the law's own error, how it grows beyond the rows, which law it is, and the run's noise.

Errors of laws are told on the scale z = ln(-ln Q'), Q' the accuracy above chance as a share of the way to 1, on which
the direct law is a straight line in ln C. There they grow with distance, and no draw passes 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speciate.laws.law import Array
from speciate.planning.accuracy.routes import EDGE, Fitted, share_spread
from speciate.planning.accuracy.tests import Cut, Trial

TYPICAL = 0.05  # a law's error in z per e-fold beyond its rows, before any test: typical of published tables
GRID = np.concatenate([[1e-3], np.geomspace(0.005, 2.0, 40)])
FREEDOM = 8  # of the t draws of a law's own uncertainty
WIDEST = 3.0  # standard error in z beyond which it means "anything"
FLAT = 0.02  # shares of the way to 1 nearer than this to an end are read as here, where z has a slope
NEAR = 0.05  # runs held out that lie less than this beyond the others test no extrapolation


@dataclass(frozen=True, eq=False)
class Contender:
    """A route that may be the right one: fitted to all rows, how it did in the tests, and its share of the draws."""

    trial: Trial
    fitted: Fitted
    value: float
    share: float


def shares(errors: Sequence[float]) -> Array:
    """Of the draws, by 1/error^2, summing to 1.

    >>> shares([0.01, 0.02]).round(2)
    array([0.8, 0.2])
    """
    weight = 1 / np.maximum(np.asarray(errors, dtype=float), 1e-9) ** 2
    return np.asarray(weight / weight.sum())


def drawn(
    contenders: Sequence[Contender],
    held: Sequence[Cut],
    point: pd.DataFrame,
    chance: float,
    distance: float,
    rng: np.random.Generator,
    draws: int,
) -> Array:
    """Accuracies that a new run at ``point`` may show, (draws,), within 0 to 1."""
    counts = rng.multinomial(draws, [one.share for one in contenders])
    reach = max((float(cut.distance.max()) for cut in held), default=0.0)
    further = distance * max(1.0, distance / reach) if reach > 0 else distance  # untested: as the square of distance
    found = []
    for one, count in zip(contenders, counts, strict=True):
        centre = np.clip(one.value, chance + EDGE, 1 - EDGE)
        own = min(one.fitted.uncertainty(point) / float(slope(centre, chance)), WIDEST)
        drift = rng.choice(GRID, size=count, p=drift_odds(one, held, chance)) * further
        z = to_z(centre, chance) + own * rng.standard_t(FREEDOM, count) + drift * rng.standard_normal(count)
        accuracy = chance + (1 - chance) * np.exp(-np.exp(z))
        weights = one.fitted.weights[-1]
        noise = rng.choice(one.fitted.noise(), size=count, p=weights / weights.sum())
        found.append(np.clip(accuracy + noise * share_spread(accuracy), 0.0, 1.0))
    return np.concatenate(found)


def drift_odds(one: Contender, held: Sequence[Cut], chance: float) -> Array:
    """Posterior odds over GRID of the standard deviation of a law's error in z per e-fold beyond its rows.

    A law that has drifted from its rows has done so for all runs of a cut together: each cut is one piece of evidence,
    its mean drift known to within the noise of its rows. Half-Cauchy prior of scale TYPICAL.
    """
    noise = float(np.sqrt(np.average(one.fitted.noise() ** 2, weights=one.fitted.weights[-1])))
    log = -np.log1p((GRID / TYPICAL) ** 2) + np.log(np.gradient(GRID))
    for cut, error in zip(held, one.trial.errors, strict=True):
        far = cut.distance > NEAR
        if not far.any():
            continue
        accuracy = cut.apart["accuracy"].to_numpy(dtype=float)[far]
        lever = slope(accuracy, chance) * cut.distance[far]
        drift = float(lever @ error[far] / (lever @ lever))
        blur = noise**2 * float(np.sum((lever * share_spread(accuracy)) ** 2)) / float(lever @ lever) ** 2
        log += -0.5 * np.log(GRID**2 + blur) - 0.5 * drift**2 / (GRID**2 + blur)
    odds = np.exp(log - log.max())
    return np.asarray(odds / odds.sum())


def to_z(accuracy: Array | float, chance: float) -> Array:
    """ln(-ln Q') of accuracies strictly between chance and 1."""
    return np.asarray(np.log(-np.log((np.asarray(accuracy) - chance) / (1 - chance))))


def slope(accuracy: Array | float, chance: float) -> Array:
    """|d accuracy / d z|, with shares Q' read within FLAT of neither end: (1 - chance) Q' (-ln Q').

    >>> float(slope(0.25 + 0.75 * np.exp(-1.0), 0.25).round(4))  # 0.75 / e
    0.2759
    """
    share = np.clip((np.asarray(accuracy, dtype=float) - chance) / (1 - chance), FLAT, 1 - FLAT)
    return np.asarray((1 - chance) * share * -np.log(share))
