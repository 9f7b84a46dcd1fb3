"""The cheapest run that would settle an open question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speciate.planning.mixture.decision import Remedy
from speciate.planning.mixture.levels import Levels

Array = NDArray[np.float64]


def next_seed(levels: Levels) -> int:
    """A seed no run of this size has used."""
    return max((curve.seed for curve in levels.curves if curve.seed is not None), default=0) + 1


def second_seed(params: int, levels: Levels, near: float) -> Remedy:
    """A replicate at the tried ratio closest to the estimate."""
    ratio = float(levels.ratios[np.argmin(np.abs(levels.ratios - near))])
    return Remedy("a second seed shows the run-to-run noise", params, ratio, int(levels.longest), next_seed(levels))


def another_ratio(params: int, levels: Levels, upwards: bool) -> Remedy:
    """The next ratio above (half-way to 1) or below (half the least) those tried."""
    tried = levels.ratios
    if not upwards and tried[0] == 0:
        why = "even without domain text the loss ends above the tolerance: a longer run shows whether it comes down"
        return Remedy(why, params, 0.0, 2 * int(levels.longest), next_seed(levels))
    ratio = (float(tried[-1]) + 1) / 2 if upwards else float(tried[0]) / 2
    why = "a higher ratio shows where it stops" if upwards else "a lower ratio shows whether any is feasible"
    return Remedy(why, params, round(ratio, 4), int(levels.longest), next_seed(levels))


def between(params: int, levels: Levels) -> Remedy:
    """A ratio in the widest gap (counting 0 and 1 as its ends), where fewer than three were tried."""
    ends = np.concatenate([[0.0], levels.ratios, [1.0]])
    gap = int(np.argmax(np.diff(ends)))
    ratio = float(ends[gap : gap + 2].mean())
    return Remedy("a third ratio", params, round(ratio, 4), int(levels.longest), next_seed(levels))


def longer(params: int, levels: Levels, near: float, horizon: float) -> Remedy:
    """A pilot to the horizon at the tried ratio nearest to the estimate: whether its loss turns is then seen."""
    ratio = float(levels.ratios[np.argmin(np.abs(levels.ratios - near))])
    why = "a pilot as long as the horizon shows whether the loss turns"
    return Remedy(why, params, ratio, int(horizon), next_seed(levels))


def sharpen(params: int, levels: Levels, misfit: Array | None, near: float, horizon: float) -> Remedy:
    """What narrows a wide interval most: a longer pilot, a second seed, or a ratio at the estimate.

    Compares, at the tried ratio nearest to the estimate, the variances of the law's extrapolation,
    of run and trunk effects, and of the ratio law between the tried ratios.
    """
    assert levels.noise is not None, "only an interval can be wide"
    i = int(np.argmin(np.abs(levels.ratios - near)))
    at = np.array([horizon])
    doublings = float(levels.beyond(at)[levels.ratio_of == i].min())
    law = float(np.median((levels.noise.law_common + levels.noise.law_own[:, i]) ** 2)) * doublings**2
    runs = float(np.median(levels.noise.run_sd**2)) / float(np.sum(levels.ratio_of == i))
    span = float(np.ptp(levels.means(at)[:, 0]))
    shape = float(np.median(misfit) ** 2) * span**2 if misfit is not None else 0.0
    ratio, seed = float(levels.ratios[i]), next_seed(levels)
    if law >= max(runs, shape):
        return Remedy("a pilot as long as the horizon leaves nothing to extrapolate", params, ratio, int(horizon), seed)
    if runs >= shape:
        return Remedy("another seed narrows the run-to-run noise", params, ratio, int(levels.longest), seed)
    return Remedy(
        "a pilot at the estimate leaves less to interpolate", params, round(near, 3), int(levels.longest), seed
    )
