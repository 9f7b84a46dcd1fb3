"""The Chinchilla fit that notebooks copy: 4,500 starts of scipy's L-BFGS-B.

Hoffmann et al. 2203.15556, section 3.3 and Besiroglu et al. 2404.10102: parameters (e, a, b, alpha, beta), prediction
log-sum-exp(e, a - alpha ln N, b - beta ln D) of the log of the loss, Huber with delta 1e-3 on its residuals, summed;
gradients by finite differences, scipy's tolerances.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import huber

Array = NDArray[Any]
GRID = tuple(
    itertools.product(
        np.arange(-1.0, 1.5, 0.5),  # e
        np.arange(0.0, 30.0, 5.0),  # a
        np.arange(0.0, 30.0, 5.0),  # b
        np.arange(0.0, 2.5, 0.5),  # alpha
        np.arange(0.0, 2.5, 0.5),  # beta
    )
)


@dataclass(frozen=True)
class Grid:
    """The best of the starts, and how each of them ended: objectives (S,), whether scipy reports success (S,)."""

    theta: Array  # E, A, B, alpha, beta
    objectives: Array
    success: Array


def objective(theta: Array, log_n: Array, log_d: Array, log_loss: Array, delta: float) -> float:
    """Summed Huber of the log residuals at theta = (e, a, b, alpha, beta)."""
    e, a, b, alpha, beta = theta
    predicted = np.logaddexp(np.logaddexp(e, a - alpha * log_n), b - beta * log_d)  # 8 times as fast as logsumexp
    return float(np.sum(huber(delta, predicted - log_loss)))


def sample(starts: int, seed: int = 0) -> Array:
    """Indices into GRID of a random sample of its starts, or of all of them."""
    return np.random.default_rng(seed).permutation(len(GRID))[:starts]


def fit(size: Array, tokens: Array, loss: Array, chosen: Array, delta: float = 1e-3) -> Grid:
    """Minimise from the chosen starts of the grid."""
    given = (np.log(size), np.log(tokens), np.log(loss), delta)
    ends = [minimize(objective, np.array(GRID[i]), args=given, method="L-BFGS-B") for i in chosen]
    e, a, b, alpha, beta = min(ends, key=lambda end: float(end.fun)).x
    return Grid(
        np.array([np.exp(e), np.exp(a), np.exp(b), alpha, beta]),
        np.array([float(end.fun) for end in ends]),
        np.array([bool(end.success) for end in ends]),
    )
