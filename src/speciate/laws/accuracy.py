"""What the accuracy laws share: the link from a decaying sum to an accuracy above chance, and unbiased pass@k.

Why squared errors of the accuracy, and not the least squares of ln(-ln Q') that the paper uses: an accuracy has
nearly the same standard error along a law (binomial, a question either right or wrong), ln(-ln Q') does not: near
chance it has an error many times larger, and at or below chance none at all. In plain accuracies every row stays.
The corner of the Huber objectives (1e-3 unless told) is far below the sampling error of any exam (.005 to .02),
so that they would be sums of absolute errors: a third of the information lost, to guard against outliers that a
mean over questions does not have. Fitted to Gadre's models up to 412M, accuracy-params-tokens misses its 1.4B models
by .039 with squares, by .045 with Huber at 1e-3, over ten tasks; ``benchmarks/extrapolation.py`` prints more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from speciate.errors import Problem, UserError
from speciate.laws.law import Array, Input, Inputs, Link

CHANCE = Input("chance", "accuracy 0..1 of guessing; 0 where guessing never succeeds", values=1, zero=True)


def above_chance(u: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """Q = chance + (1 - chance) exp(-u): chance at u -> infinity, 1 at u = 0."""
    value: Array = x["chance"] + (1 - x["chance"]) * np.exp(-u)
    return value


def decay(accuracy: Array, nonlinear: Mapping[str, Array], x: Inputs) -> Array:
    """u = -ln Q', Q' = (Q - chance)/(1 - chance); NaN at and below chance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (accuracy - x["chance"]) / (1 - x["chance"])
        return np.where(share > 0, -np.log(np.where(share > 0, share, 1.0)), np.nan)


ABOVE_CHANCE = Link(above_chance, decay)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Array:
    """Chance that one of k samples is right, from n samples with c right: 1 - C(n-c, k)/C(n, k), unbiased.

    n, c, k broadcast against each other; use the same n for every k. From C(n-c, k)/C(n, k) =
    prod_{j < min(c, k)} (1 - max(c, k)/(n - j)), summed as logarithms: no factorial overflows, and
    small chances keep their digits. Source: Chen et al. 2021 (arXiv 2107.03374) eq. 1.
    Raises UserError unless 0 <= c <= n and 1 <= k <= n are whole numbers.

    >>> pass_at_k(10, [0, 3, 10], [5, 1, 1]).round(12)
    array([0. , 0.3, 1. ])
    """
    n, c, k = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (n, c, k)))
    whole = (n == np.floor(n)) & (c == np.floor(c)) & (k == np.floor(k))
    if not (whole & (c >= 0) & (c <= n) & (k >= 1) & (k <= n)).all():
        what = "pass@k needs whole numbers with 0 <= c <= n and 1 <= k <= n"
        raise UserError(Problem(what, "pass_at_k(n, c, k)", "n samples a question, c of them right, k allowed"))
    few, many = np.minimum(c, k), np.maximum(c, k)
    missed = np.zeros(n.shape)  # ln of the chance that all k are wrong
    with np.errstate(divide="ignore"):
        for j in range(int(few.max(initial=0))):
            takes_part = (j < few) & (many <= n - j)  # else a factor before was 0 already
            missed += np.where(takes_part, np.log1p(-np.where(takes_part, many / (n - j), 0.0)), 0.0)
    return 0.0 - np.expm1(missed)  # never -0.0
