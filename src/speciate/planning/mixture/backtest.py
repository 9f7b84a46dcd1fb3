"""How wrong extrapolated curves are, measured on the pilots themselves: cut a run short, predict its end.

The same errors choose the shape of curve (law, shared or own bend, weights) and afterwards give the
spread that is added to every prediction beyond the longest pilot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.curves import GroupFit, Shape, fit_group
from speciate.planning.mixture.observations import LEAST_POINTS, Curve

Array = NDArray[np.float64]
SIMPLER = 1.25  # how much less a curve that cannot turn must err to be preferred to the law
LEAST_REACH = 1.5  # even where nothing is extrapolated, shapes are compared this far beyond the cut


@dataclass(frozen=True)
class Backtest:
    """One size: errors = measured end - end predicted from the cut run, nats/token, one per run.

    ``doublings`` (R,) is how far that was: log2(end / last token count kept).
    """

    fit: GroupFit
    times: tuple[Array, ...]
    ends: Array  # (R,) tokens
    errors: Array  # (R,)
    doublings: Array  # (R,)


def backtest(shape: Shape, curves: Sequence[Curve], reach: float) -> Backtest:
    """Cut every run at end/reach (keeping at least five rows), fit, and predict the end."""
    kept = [_kept(curve, reach) for curve in curves]
    times = [curve.tokens[:n] for curve, n in zip(curves, kept, strict=True)]
    values = [curve.change[:n] for curve, n in zip(curves, kept, strict=True)]
    ends = np.array([curve.tokens[-1] for curve in curves])
    fit = fit_group(shape, times, values, float(ends.max()))
    predicted = fit.curves(ends[:, None])[:, 0]
    measured = np.array([curve.change[-1] for curve in curves])
    doublings = np.log2(ends / np.array([time[-1] for time in times]))
    return Backtest(fit, tuple(times), ends, measured - predicted, doublings)


def choose(
    shapes: Sequence[Shape], groups: Sequence[Sequence[Curve]], reach: float
) -> tuple[Shape, tuple[Backtest, ...], float]:
    """The shape whose predictions of the cut-off ends err least over all sizes, its backtests, its RMS error.

    The rise-and-fall law is kept unless a curve that cannot turn errs clearly less: ten correlated
    errors do not tell apart a quarter, and only the law says anything about turns still to come.
    Errors are per doubling of tokens predicted, so runs measured at coarser steps do not decide alone.
    """
    best: tuple[Shape, tuple[Backtest, ...], float] | None = None
    lowest = float("inf")
    for shape in shapes:
        tests = tuple(backtest(shape, curves, reach) for curves in groups)
        squares = np.concatenate([(test.errors / test.doublings) ** 2 for test in tests])
        score = float(np.sqrt(squares.mean()))
        handicap = SIMPLER if any(other.turns for other in shapes) and not shape.turns else 1.0
        if best is None or score * handicap < lowest:
            best, lowest = (shape, tests, score), score * handicap
    assert best is not None, "at least one shape"
    return best


def _kept(curve: Curve, reach: float) -> int:
    wanted = int(np.searchsorted(curve.tokens, curve.tokens[-1] / max(reach, LEAST_REACH) * (1 + 1e-9), side="right"))
    return min(max(wanted, LEAST_POINTS - 1), len(curve.tokens) - 1)
