"""The objective about its optimum: how every row pulls, how stiff the rest is, and the variance that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from speciate.fitting.objective import Loss
from speciate.fitting.space import from_free, to_free
from speciate.laws.law import Array, Law

BLIND = 1e-9  # a direction seen less than this share of the best seen one has no variance


@dataclass(frozen=True, eq=False)
class Curvature:
    """The objective about an optimum in unbounded coordinates z (see speciate.fitting.space).

    ``scores`` (n, P): the gradient that each row contributes; ``inverse`` (P, P): of the Hessian, on the
    directions that rows see; ``chain`` (P,): d parameter / d z.
    """

    scores: Array
    inverse: Array
    chain: Array

    @property
    def moves(self) -> Array:
        """About how far z moves when a row is left out, (n, P): H^-1 g_i, one Newton step."""
        moves: Array = self.scores @ self.inverse
        return moves

    def variance(self, clusters: Sequence[Any] | Array) -> Array:
        """Of z, (P, P), when rows of a cluster share their luck (Liang and Zeger 1986).

        V = H^-1 S H^-1 with S the squares of the clusters' summed scores, times G/(G-1) (n-1)/(n-P).
        """
        rows, width = self.scores.shape
        _, member = np.unique(np.asarray(clusters), return_inverse=True)
        groups = int(member.max()) + 1
        summed = np.stack([np.bincount(member, self.scores[:, p], groups) for p in range(width)], axis=1)
        few = groups / max(groups - 1, 1) * (rows - 1) / max(rows - width, 1)
        half = summed @ self.inverse
        variance: Array = few * half.T @ half
        return variance


def curvature(law: Law, x: Mapping[str, ArrayLike], y: Array, weights: Array, theta: Array, loss: Loss) -> Curvature:
    """Scores w rho'(r) dr/dz, and the inverse of H = sum of w E[rho''(r)] dr/dz dr/dz'.

    x in the tables' units, y and weights (n,), theta (P,) an optimum; n > 0. Few residuals lie inside a narrow
    corner delta, and counting those alone would be noise: E[rho''] is taken as (delta/h) [|r| <= h] in a
    window h that holds enough of them, as for a median regression (Powell 1991), where h > delta.
    """
    _, chain = from_free(law, to_free(law, theta))
    value, slopes = law.jacobian(theta, x)
    residual = loss.residual(value, y)
    slopes = slopes * chain / (value[:, None] if loss.logarithmic else 1.0)
    bend = np.ones_like(residual)
    if loss.kind != "squared":
        relative = residual / loss.delta
        wide = max(1.0, bandwidth(relative[weights > 0]))
        bend = (np.abs(relative) <= wide) / wide
    seen = slopes * np.sqrt(weights * bend)[:, None]
    length = np.linalg.norm(seen, axis=0)
    length = np.where(length > 0, length, 1.0)
    _, scales, directions = np.linalg.svd(np.linalg.qr(seen / length, mode="r"))
    known = scales > BLIND * scales.max(initial=0.0)
    root = (directions[: len(scales)][known] / scales[known, None]).T / length[:, None]
    return Curvature((weights * loss.derivatives(residual)[0])[:, None] * slopes, root @ root.T, chain)


def bandwidth(residual: Array) -> float:
    """Half width of the window about 0 in which residuals are counted: Hall and Sheather (1988), at the median.

    >>> round(bandwidth(np.random.default_rng(0).normal(0, 1, 1000)), 2)
    0.48
    """
    share = 0.9716 * len(residual) ** (-1 / 3)  # 1.96^(2/3) (1.5 phi(0)^2)^(1/3) n^(-1/3)
    low, high = np.quantile(residual, (0.25, 0.75))
    spread = min(float(residual.std()), float(high - low) / 1.34)
    return float(2 * ndtri(0.5 + min(share, 0.4))) * spread
