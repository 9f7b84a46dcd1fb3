"""The mixing law of every evaluation set at the horizon, with draws of how wrong it may be.

Ye et al. 2403.16952: loss = c + k exp(sum_j t_j r_j), general text the reference; written base + k expm1(u / k) with
u = sum_j w_j r_j (``laws.mixing``). It is monotone in u, and u is linear in the shares: what is feasible is the simplex
cut by one plane, and a weighted sum of such losses is convex. Both make the search sure.

Small shares of a domain often do more for its own loss than the law has it (Gu et al. 2407.17467 find a R^s + b). So a
domain's law may see powers of the shares, u = sum_j w_j r_j^p with one p: ours. The general loss keeps p = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speciate.laws.law import Law

Array = NDArray[np.float64]
SAME = 1e-4  # shares closer than this are one mixture
STEEPEST = 30.0  # of u / k: beyond it a loss has left everything measured
POWERS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2)  # of the shares that a domain's law sees
SPARE = 3  # rows more than parameters from which powers are told apart
EXACT = 1e-6  # nats/token below which a residual is rounding
TAME = 2.0  # degrees of freedom added to a variance read off few of them, at the same value


@dataclass(frozen=True, eq=False)
class SetLaw:
    """One evaluation set. Row 0 of everything is the estimate, rows 1.. its draws; nats/token.

    ``slopes`` (1 + B, K) = w, ``base`` and ``scale`` = k and ``power`` = p (1 + B,); ``base`` holds the offsets of
    trunks and of what the law misses. ``run_sd`` (1 + B,): luck of one new run. ``rmse`` of the residuals, ``freedom``
    left to them; ``known``: whether there are draws. ``theta`` of the estimate, as ``law`` has it.
    """

    name: str
    law: Law
    theta: Array
    slopes: Array
    base: Array
    scale: Array
    power: Array
    run_sd: Array
    rmse: float
    freedom: int
    replicated: bool
    known: bool

    def tilt(self, shares: Array) -> Array:
        """u (1 + B, M) at shares (M, K) or (1 + B, M, K)."""
        if self.straight:
            every = shares.ndim == 2
            found = self.slopes @ shares.T if every else np.matmul(shares, self.slopes[:, :, None])[..., 0]
            return np.asarray(found, dtype=float)
        return np.asarray(np.matmul(raised(shares, self.power), self.slopes[:, :, None])[..., 0], dtype=float)

    @property
    def straight(self) -> bool:
        """Whether u is linear in the shares."""
        return bool((self.power == 1.0).all())

    def loss(self, shares: Array) -> Array:
        """Expected loss (1 + B, M) at shares (M, K) or (1 + B, M, K)."""
        bent = np.expm1(np.clip(self.tilt(shares) / self.scale[:, None], -STEEPEST, STEEPEST))
        return np.asarray(self.base[:, None] + self.scale[:, None] * bent, dtype=float)

    def most_tilt(self, loss: float) -> Array:
        """The u (1 + B,) at which the law reaches a loss; -infinity where it is above it everywhere."""
        inside = 1.0 + (loss - self.base) / self.scale
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(inside > 0, self.scale * np.log(inside), -np.inf)

    def some(self, rows: slice | NDArray[np.int_]) -> SetLaw:
        """Only these rows: the estimate, or some draws."""
        parts = {name: getattr(self, name)[rows] for name in ("slopes", "base", "scale", "power", "run_sd")}
        return replace(self, **parts)


def raised(shares: Array, power: Array) -> Array:
    """Shares (M, K) or (1 + B, M, K) to the power of every row (1 + B,): (1 + B, M, K). Few powers occur.

    >>> raised(np.array([[0.25]]), np.array([0.5, 1.0]))[:, 0, 0]
    array([0.5 , 0.25])
    """
    found = np.empty((len(power), *shares.shape[-2:]))
    for one in np.unique(power):
        rows = power == one
        found[rows] = shares**one if shares.ndim == 2 else shares[rows] ** one
    return found
