"""How wrong extrapolated curves are, measured on the pilots themselves: cut a run short, predict its end.

The same errors weigh the shapes of curve (law, shared or own bend, weights) against each other and give
the spread that is added to every prediction beyond the longest pilot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.curves import GroupFit, Shape, fit_group
from speciate.planning.mixture.observations import LEAST_POINTS, Curve

Array = NDArray[np.float64]
LEAST_REACH = 1.5  # even where nothing is extrapolated, shapes are compared this far beyond the cut
CONTENDERS = 6  # shapes that are weighed against each other, by least error


@dataclass(frozen=True)
class Backtest:
    """One size: errors = measured end - end predicted from the cut run, nats/token, one per run.

    ``doublings`` (R,) is how far that was, log2(end / last token count kept); ``depth`` (R,) how much
    of the whole run was hidden, log2(last token count of the run / last kept).
    """

    fit: GroupFit
    times: tuple[Array, ...]
    ends: Array  # (R,) tokens
    errors: Array  # (R,)
    doublings: Array  # (R,)
    depth: Array  # (R,)


@dataclass(frozen=True)
class Contender:
    """A shape, its backtests of every size (one or two each), and its RMS error in nats/token per doubling."""

    shape: Shape
    tests: tuple[tuple[Backtest, ...], ...]
    score: float


def backtest(shape: Shape, curves: Sequence[Curve], reach: float) -> Backtest:
    """Cut every run at end/reach (keeping at least five rows), fit, and predict the end."""
    return _cut(shape, curves, reach, np.array([curve.tokens[-1] for curve in curves]))


def again(test: Backtest, curves: Sequence[Curve], reach: float) -> tuple[Backtest, ...]:
    """``test`` and, where enough rows are left, one more on the runs that it has cut.

    A law's error may be smaller late in a run, when what it does not describe has died away, than early,
    or larger; only two cuts can tell.
    """
    if min(len(time) for time in test.times) <= LEAST_POINTS:
        return (test,)
    shorter = [
        replace(curve, tokens=curve.tokens[: len(time)], change=curve.change[: len(time)])
        for curve, time in zip(curves, test.times, strict=True)
    ]
    return test, _cut(test.fit.shape, shorter, reach, np.array([curve.tokens[-1] for curve in curves]))


def _cut(shape: Shape, curves: Sequence[Curve], reach: float, whole: Array) -> Backtest:
    kept = [_kept(curve, reach) for curve in curves]
    times = [curve.tokens[:n] for curve, n in zip(curves, kept, strict=True)]
    values = [curve.change[:n] for curve, n in zip(curves, kept, strict=True)]
    ends = np.array([curve.tokens[-1] for curve in curves])
    fit = fit_group(shape, times, values, float(ends.max()))
    predicted = fit.curves(ends[:, None])[:, 0]
    measured = np.array([curve.change[-1] for curve in curves])
    last = np.array([time[-1] for time in times])
    return Backtest(fit, tuple(times), ends, measured - predicted, np.log2(ends / last), np.log2(whole / last))


def contend(shapes: Sequence[Shape], groups: Sequence[Sequence[Curve]], reach: float) -> list[Contender]:
    """The shapes whose predictions of the cut-off ends err least over all sizes, the best first.

    Errors are per doubling of tokens predicted, so runs measured at coarser steps do not decide alone.
    """
    found: list[tuple[float, Shape, list[Backtest]]] = []
    for shape in shapes:
        tests = [backtest(shape, curves, reach) for curves in groups]
        squares = np.concatenate([(test.errors / test.doublings) ** 2 for test in tests])
        found.append((float(np.sqrt(squares.mean())), shape, tests))
    best = sorted(found, key=lambda one: one[0])[:CONTENDERS]
    return [
        Contender(shape, tuple(again(test, curves, reach) for test, curves in zip(tests, groups, strict=True)), score)
        for score, shape, tests in best
    ]


def _kept(curve: Curve, reach: float) -> int:
    wanted = int(np.searchsorted(curve.tokens, curve.tokens[-1] / max(reach, LEAST_REACH) * (1 + 1e-9), side="right"))
    return min(max(wanted, LEAST_POINTS - 1), len(curve.tokens) - 1)
