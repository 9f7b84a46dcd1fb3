"""Every run's change of loss at the horizon, and how wrong carrying it there may be.

A run that reaches the horizon is read off its own measurements (linear in ln T between two). A shorter one is
extrapolated by the curve (``curves``) that errs least in backtests: all runs are cut at end / (horizon / end), refitted
and asked for their ends. Of an extrapolation's error, what differs from run to run shows as scatter about the mixing
law. What all runs share, or what changes evenly with their shares, does not: it is read off the backtests, as the part
of their errors that is linear in the shares, and drawn beside everything else, as is the choice among curves nearly as
good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.errors import NotDecidable
from speciate.planning.domains.rows import DomainRuns
from speciate.planning.mixture.curves import DOMAIN_SHAPES, GENERAL_SHAPES, Shape, fit_group
from speciate.planning.mixture.observations import LEAST_POINTS, Curve

Array = NDArray[np.float64]
REACHED = 1.01  # a run this many times short of the horizon is taken to have reached it: whole steps
TAME = 2.0  # degrees of freedom added to a spread read off few of them, at the same value
LEAST_COMMON = 0.3  # of the backtests' RMS error that is always taken to be common to all runs
LEAST_REACH = 1.5  # curves are compared at least this far beyond the cut
RIVALS, AS_GOOD = 4, 1.5  # curves that are drawn among, and by how many times they may err more than the best


@dataclass(frozen=True, eq=False)
class AtHorizon:
    """One evaluation set: change (n,) at the horizon, NaN where a run says nothing about it.

    ``doublings`` (n,) each was carried beyond its end; ``common_sd`` (nats/token per doubling, None where nothing was
    extrapolated) of the error that scatter about the mixing law cannot show, with ``freedom``; ``rmse`` of
    the backtests per doubling; ``curve`` names what was extrapolated with; ``rivals`` (C, n): how much lower or higher
    curves nearly as good end, the first of them 0.
    """

    change: Array
    doublings: Array
    common_sd: float | None
    freedom: float
    rmse: float | None
    curve: str | None
    rivals: Array

    def common_draws(self, shares: Array, rng: np.random.Generator, draws: int) -> Array:
        """Draws (B, n) of the common error at runs of these shares (n, K): linear in them, RMS ``common_sd``."""
        if self.common_sd is None or not self.doublings.any():
            return np.zeros((draws, len(shares)))
        basis, _ = np.linalg.qr(np.column_stack([np.ones(len(shares)), shares]))
        sd = self.common_sd * np.sqrt((self.freedom + TAME) / rng.chisquare(self.freedom + TAME, draws))
        scale = np.sqrt(len(shares) / basis.shape[1])
        field = rng.standard_normal((draws, basis.shape[1])) @ basis.T * scale
        which = rng.integers(len(self.rivals), size=draws)
        return np.asarray(sd[:, None] * field * self.doublings + self.rivals[which], dtype=float)


def at_horizon(runs: DomainRuns, name: str, horizon: float) -> AtHorizon:
    """Changes of one evaluation set at the horizon. Raises NotDecidable where no run can be carried there."""
    curves = runs.curves[name]
    change = np.full(len(curves), np.nan)
    doublings = np.zeros(len(curves))
    short: list[int] = []
    for i, curve in enumerate(curves):
        if curve is None or curve.tokens[0] > horizon * REACHED:
            continue
        if curve.tokens[-1] * REACHED >= horizon:
            change[i] = np.interp(np.log(horizon), np.log(curve.tokens), curve.change)
        elif len(curve.tokens) >= LEAST_POINTS:
            short.append(i)
    found = AtHorizon(change, doublings, None, 0.0, None, None, np.zeros((1, len(change))))
    if short:
        found = _extrapolated(runs, name, [c for i in short if (c := curves[i]) is not None], short, change, horizon)
    if np.isfinite(found.change).sum() < 2:
        reason = f"no two runs on {name} reach {horizon:,.0f} tokens or have {LEAST_POINTS} token counts to carry on"
        raise NotDecidable(reason, f"measure the runs at {LEAST_POINTS} or more token counts")
    return found


def _extrapolated(
    runs: DomainRuns, name: str, curves: list[Curve], short: list[int], change: Array, horizon: float
) -> AtHorizon:
    ends = np.array([curve.tokens[-1] for curve in curves])
    times, values = [curve.tokens for curve in curves], [curve.change for curve in curves]
    shapes = GENERAL_SHAPES if name == runs.general else DOMAIN_SHAPES
    tests = [_backtest(shape, curves, float((horizon / ends).max())) for shape in shapes]
    scores = np.array([np.sqrt(np.mean(np.square(errors))) for errors in tests])
    order = np.argsort(scores, kind="stable")[:RIVALS]
    good = order[scores[order] <= AS_GOOD * scores[order[0]] + 1e-12]
    at = np.full((len(short), 1), horizon)
    ended = np.stack([fit_group(shapes[i], times, values, float(ends.max())).curves(at)[:, 0] for i in good])
    change, doublings, rivals = change.copy(), np.zeros(len(change)), np.zeros((len(good), len(change)))
    change[short], doublings[short], rivals[:, short] = ended[0], np.log2(horizon / ends), ended - ended[0]
    common, freedom = _common(tests[order[0]], runs.shares[short])
    rmse = float(scores[order[0]])
    return AtHorizon(change, doublings, common, freedom, rmse, shapes[order[0]].describe(), rivals)


def _backtest(shape: Shape, curves: Sequence[Curve], reach: float) -> Array:
    """Measured less predicted ends (R,) of runs cut at end / reach (at least five rows), nats/token per doubling."""
    ends = np.array([curve.tokens[-1] for curve in curves])
    kept = []
    for curve in curves:
        wanted = int(np.searchsorted(curve.tokens, curve.tokens[-1] / max(reach, LEAST_REACH) * (1 + 1e-9), "right"))
        kept.append(min(max(wanted, LEAST_POINTS - 1), len(curve.tokens) - 1))
    times = [curve.tokens[:n] for curve, n in zip(curves, kept, strict=True)]
    values = [curve.change[:n] for curve, n in zip(curves, kept, strict=True)]
    predicted = fit_group(shape, times, values, float(ends.max())).curves(ends[:, None])[:, 0]
    measured = np.array([curve.change[-1] for curve in curves])
    return np.asarray((measured - predicted) / np.log2(ends / np.array([time[-1] for time in times])), dtype=float)


def _common(errors: Array, shares: Array) -> tuple[float, float]:
    """RMS over the runs of the part of backtest errors (n,) that is linear in the shares, less what scatter puts there.

    >>> round(_common(np.array([0.1, 0.1, 0.1, 0.1]), np.array([[0.0], [0.2], [0.4], [0.6]]))[0], 3)
    0.1
    """
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(shares)), shares]))
    inside = basis.T @ errors
    width, n = basis.shape[1], len(errors)
    total = float(errors @ errors)
    own = max(total - float(inside @ inside), 0.0) / max(n - width, 1)
    least = LEAST_COMMON**2 * total / n
    return float(np.sqrt(max((float(inside @ inside) - width * own) / n, least))), float(min(width, n))
