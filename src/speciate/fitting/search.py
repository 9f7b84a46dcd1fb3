"""The search for a global optimum: descents from the best points of a grid, and where a term may be 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speciate.fitting.descend import Descent, Rows, descend, spread
from speciate.fitting.objective import Loss
from speciate.fitting.seeds import seeds
from speciate.fitting.space import LOG_FLOOR
from speciate.laws.law import Array, Law

SAMPLE = 4000  # rows on which the search runs when there are more; its best ends then descend on all rows
MORE = 8  # times as many starts where fewer than a quarter of the first agree
FAINT = 0.02  # a term this small beside the largest may be better left out
SAME = 1e-8  # descents whose objectives differ by less than this share found the same optimum


def search(law: Law, rows: Rows, loss: Loss, starts: int) -> Descent:
    """Descents from the best points of a grid, from more of them if they disagree, on at most SAMPLE rows."""
    count = rows.y.size
    if count > SAMPLE:
        chosen = np.random.default_rng(0).choice(count, SAMPLE, replace=False)
        loss = Loss(loss.kind, loss.delta if np.ndim(loss.delta) == 0 else np.asarray(loss.delta)[chosen])
        x = {name: values[chosen] for name, values in rows.x.items()}
        rows = Rows(x, rows.y[chosen], rows.weights[:, chosen])
    begin = seeds(law, rows, loss, starts * MORE)[0]
    many = replace(rows, weights=np.broadcast_to(rows.weights, (len(begin), rows.y.size)))
    first = np.arange(min(starts, len(begin)))
    found = descend(law, many.take(first), begin[first], loss)
    if agreement(found, rows, loss) * 4 >= len(first) or len(begin) == len(first):
        return found
    rest = np.arange(len(first), len(begin))
    return joined([found, descend(law, many.take(rest), begin[rest], loss)])


def agreement(found: Descent, rows: Rows, loss: Loss) -> int:
    """How many descents reached the lowest objective."""
    lowest = float(np.min(found.objective))
    return int(np.sum(found.objective <= lowest * (1 + SAME) + 1e-16 * float(spread(rows, loss)[0])))


def without(law: Law, rows: Rows, found: Descent, loss: Loss) -> Descent:
    """The descents, and more from the best of them with each faint non-negative term left out.

    The logarithm of such a parameter has its optimum at minus infinity where the term plays no part: a descent
    only creeps there, and at the floor it rests, so that the others can settle.
    """
    best = found.theta[int(np.argmin(found.objective))]
    if not np.isfinite(best).all():
        return found
    sizes = term_sizes(law, rows, best)
    faint = [
        column
        for column, size in zip(law.linear, sizes, strict=True)
        if law.parameters[column].sign == ">=0" and size < FAINT * sizes.max()
    ]
    starts = np.tile(best, (len(faint), 1))
    starts[np.arange(len(faint)), faint] = 0.0
    return joined([found, *(descend(law, rows, start[None], loss) for start in starts)])


def joined(ends: Sequence[Descent]) -> Descent:
    """Several descents as one."""
    fields = ("theta", "objective", "converged", "steps")
    return Descent(*(np.concatenate([getattr(end, name) for end in ends]) for name in fields))


def lower(one: Descent, two: Descent) -> Descent:
    """Of two descents of the same fits, each fit's lower end."""
    better = two.objective < one.objective
    return Descent(
        np.where(better[:, None], two.theta, one.theta),
        np.where(better, two.objective, one.objective),
        np.where(better, two.converged, one.converged),
        one.steps + two.steps,
    )


def lifted(law: Law, rows: Rows, begin: Array) -> Array | None:
    """Starts (B, P) with terms that rest at 0 raised to a faint size, or None if none does.

    A replicate's optimum may need a term that the fit on all rows does without, and from 0 no slope leads up.
    """
    columns = [i for i in law.linear if law.parameters[i].transform == "log" and (begin[:, i] < 10 * LOG_FLOOR).any()]
    if not columns:
        return None
    first = begin[int(np.argmin(begin[:, columns].min(axis=1)))]
    raised = np.array(begin)
    for column in columns:
        unit = first.copy()
        unit[column] = 1.0
        sizes = dict(zip(law.linear, term_sizes(law, rows, unit), strict=True))
        others = max((size for other, size in sizes.items() if other != column), default=1.0)
        raised[:, column] = np.maximum(raised[:, column], FAINT * others / max(sizes[column], 1e-300))
    return raised


def term_sizes(law: Law, rows: Rows, theta: Array) -> Array:
    """The largest absolute value over the rows of each linear parameter times its term: (L,)."""
    terms = law.stack((*law.terms_at(theta[list(law.nonlinear)], rows.x), np.zeros(rows.y.shape[-1])))[..., :-1]
    sizes: Array = np.max(np.abs(theta[list(law.linear)] * terms).reshape(-1, len(law.linear)), axis=0)
    return sizes
