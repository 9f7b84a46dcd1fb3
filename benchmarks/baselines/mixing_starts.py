"""The mixing law c + k exp(sum_j t_j r_j) (Ye et al. 2403.16952) by scipy's least_squares from random starts.

Huber of the log residuals, as ours; t of the last domain is 0, which takes away the freedom between k and t.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Array = NDArray[Any]


def fit(shares: Array, loss: Array, starts: int, seed: int = 0, delta: float = 1e-3) -> tuple[Array, Array]:
    """Objectives (S,) reached from so many starts, and whether scipy reports success (S,); shares (n, K)."""
    rng = np.random.default_rng(seed)
    width = shares.shape[1] + 1

    def residual(free: Array) -> Array:
        with np.errstate(over="ignore"):
            value = np.exp(free[0]) + np.exp(np.minimum(free[1] + shares[:, :-1] @ free[2:], 700.0))
        return np.asarray(np.log(value / loss))

    ends = []
    for _ in range(starts):
        begin = np.concatenate([np.log(loss.min() * rng.uniform(0.05, 0.99, 1)), rng.normal(0, 1, width - 1)])
        ends.append(least_squares(residual, begin, loss="huber", f_scale=delta))
    return np.array([float(end.cost) for end in ends]), np.array([bool(end.success) for end in ends])
