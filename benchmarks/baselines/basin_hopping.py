"""scipy's basin-hopping for the split law: how its paper (Seto et al. 2603.19149) fits, from random starts.

The same log-Huber objective as ours on the same unbounded parameters (logarithms, and logits of their range), gradients
by finite differences, L-BFGS-B inside; a temperature of the size of the objective, or every hop would be accepted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import basinhopping
from scipy.special import expit, huber

Array = NDArray[Any]

# E A B b_max by their logarithms; alpha beta kappa gamma c nu s by logits of these ranges (those of ours)
LOW = np.array([0.0, 0.0, 0.0, 0.0, -6.0, 0.0, 0.0])
HIGH = np.array([1.0, 1.0, 10.0, 1.5, 6.0, 3.0, 3.0])
# where random starts lie: (low, high) of E A B b_max, then of the others
STARTS = np.array(
    [(0.5, 3), (10, 5e3), (10, 1e5), (0.05, 2), (0.1, 0.8), (0.1, 0.8), (0.05, 2), (0.4, 1.1), (-3, 3), (0.1, 1.5)]
    + [(0.02, 1.0)]
)


def predict(free: Array, log_n: Array, seed: Array, tokens: Array) -> Array:
    """ln of the split law at unbounded parameters (11,)."""
    linear = np.exp(free[:4])
    alpha, beta, kappa, gamma, c, nu, s = LOW + (HIGH - LOW) * expit(free[4:])
    bias = linear[3] * expit(c - nu * (log_n - np.log(1e9)) - s * np.log1p(tokens / 1e9))
    data = tokens + 1e9 * kappa * (seed / 1e9) ** gamma
    return np.log(linear[0] + bias + linear[1] * np.exp(-alpha * log_n) + linear[2] * data**-beta)  # type: ignore[no-any-return]


def start(rng: np.random.Generator) -> Array:
    """A random point of the box STARTS, in unbounded parameters: (11,)."""
    low, high = STARTS.T
    point = low + (high - low) * rng.random(len(low))
    point[:4] = np.exp(np.log(low[:4]) + np.log(high[:4] / low[:4]) * rng.random(4))
    share = (point[4:] - LOW) / (HIGH - LOW)
    return np.concatenate([np.log(point[:4]), np.log(share / (1 - share))])


def fit(size: Array, seed: Array, tokens: Array, loss: Array, hops: int, rng: np.random.Generator) -> float:
    """The objective that basin-hopping reaches in so many hops from one random start, delta 1e-3."""
    log_n, log_loss = np.log(size), np.log(loss)

    def objective(free: Array) -> float:
        with np.errstate(all="ignore"):
            value = float(np.sum(huber(1e-3, predict(free, log_n, seed, tokens) - log_loss)))
        return value if np.isfinite(value) else 1e10

    found = basinhopping(objective, start(rng), niter=hops, T=1e-3, minimizer_kwargs={"method": "L-BFGS-B"}, rng=rng)
    return float(found.fun)
