"""The best parameters of a law for given rows: a projected grid, then damped Newton from its best points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from speciate.fitting.descend import Descent, Rows, descend
from speciate.fitting.diagnose import describe
from speciate.fitting.objective import Loss
from speciate.fitting.search import SAMPLE, agreement, joined, lifted, lower, search, without
from speciate.fitting.seeds import POINTS, seeds
from speciate.laws.law import Array, Law, Objective

CHUNK = 250  # fits whose grids are searched at a time
FINALISTS = 3  # ends of a search on a sample that then descend on all rows


@dataclass(frozen=True)
class Solution:
    """The optimum found. ``agreeing`` of ``starts`` descents reached it; ``status`` is a sentence.

    theta (P,) in the order of the law's parameters; ``objective`` is summed over rows.
    """

    theta: Array
    objective: float
    status: str
    iterations: int
    starts: int = 0
    agreeing: int = 0


def keep_memory() -> None:
    """Let the C library keep freed memory for the next array, in blocks of up to 32 MiB.

    glibc gives larger blocks back to the system at once, and getting their pages anew takes longer than filling
    them: a third of the time of a fit. Its limit rises to the largest block freed so far, and a block that nobody
    writes to costs nothing. Elsewhere this does nothing.
    """
    np.empty((32 << 20) - 8192, dtype=np.uint8)


def solve(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    weights: ArrayLike | None = None,
    objective: Objective | None = None,
    delta: float | Array = 1e-3,
    starts: int | None = None,
) -> Solution:
    """Fit one law to one set of rows.

    x holds the law's inputs in the tables' units, each (n,); y (n,); weights (n,) >= 0 or None for
    ones. ``objective`` defaults to the law's own; ``delta`` may differ by row, (n,). See
    speciate.fitting.objective for their meaning. ``starts`` descents at first: 12 from a grid of
    up to three nonlinear parameters, 36 where there are more or the law has candidates of its own;
    eight times as many where they disagree.
    """
    keep_memory()
    if starts is None:
        starts = 36 if law.candidates is not None or len(law.nonlinear) not in POINTS and law.nonlinear else 12
    loss = Loss(objective or law.objective, delta)
    measured = np.asarray(y, dtype=float)
    given = np.ones((1, measured.size)) if weights is None else np.asarray(weights, dtype=float).reshape(1, -1)
    rows = Rows(law.scaled(x), measured, given)
    found = search(law, rows, loss, starts)
    if measured.size > SAMPLE:
        order = np.argsort(found.objective)[:FINALISTS]
        found = joined([descend(law, rows, found.theta[[i]], loss) for i in order])
    found = without(law, rows, found, loss)
    best = int(np.argmin(found.objective))
    lowest = float(found.objective[best])
    agreeing = agreement(found, rows, loss)
    seen = {name: np.asarray(values, dtype=float)[given[0] > 0] for name, values in x.items()}
    status = describe(law, found.theta[best], seen, bool(found.converged[best]))
    if agreeing == 1 and len(found.theta) > starts:
        lonely = f"only 1 of {len(found.theta)} starts ended here: a lower optimum may exist"
        status = lonely if status == "converged" else f"{status}; {lonely}"
    return Solution(found.theta[best], lowest, status, int(found.steps.sum()), len(found.theta), agreeing)


def solve_batch(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    weights: ArrayLike,
    init: ArrayLike | None = None,
    objective: Objective | None = None,
    delta: float | Array = 1e-3,
) -> tuple[Array, Array]:
    """Fit one law under many weightings of its rows: thetas (B, P) and objectives (B,).

    weights (B, n); a weight of 0 leaves a row out (its values must still be finite and legal).
    x and y are (n,), or (B, n) when every fit has its own measurements. ``init``, (P,) or (B, P),
    is where descents start (the optimum on all rows is best for a bootstrap); None starts every fit
    from its own best grid point. Laws with one nonlinear parameter do both and keep the better.
    """
    keep_memory()
    loss = Loss(objective or law.objective, delta)
    given = np.asarray(weights, dtype=float)
    assert given.ndim == 2, "weights are (draws, rows)"
    rows = Rows(law.scaled(x), np.asarray(y, dtype=float), given)
    width = len(law.parameters)
    begin = None if init is None else np.broadcast_to(np.asarray(init, dtype=float), (len(given), width))
    found = batch(law, rows, begin, loss)
    return found.theta, found.objective


def batch(law: Law, rows: Rows, begin: Array | None, loss: Loss) -> Descent:
    """Descend from the given starts, from each fit's best grid point, or from both.

    Both where one bend makes a grid cheap: a replicate's optimum may lie in another valley than
    that of all rows (3 to 30 % of replicates when noise is as large as what the law explains).
    """
    warm = None if begin is None else descend(law, rows, begin, loss)
    if warm is not None and begin is not None:
        risen = lifted(law, rows, begin)
        warm = warm if risen is None else lower(warm, descend(law, rows, risen, loss))
        if len(law.nonlinear) > 1:
            return warm
    size = len(rows.weights)
    parts = [np.arange(first, min(first + CHUNK, size)) for first in range(0, size, CHUNK)]
    start = np.concatenate([seeds(law, rows.take(part), loss, 1)[:, 0] for part in parts])
    cold = descend(law, rows, start, loss)
    return cold if warm is None else lower(warm, cold)
