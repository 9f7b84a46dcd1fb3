"""Losses at a size that was not tried, from those at sizes that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speciate.laws.law import box_cox

Array = NDArray[np.float64]
BENDS = (-0.5, 0.0)  # of loss against size: between N^-.5 and ln N; Chinchilla's alpha is about .35
SCATTER, WORTH = 0.02, 3  # of sizes about their line, in ranges of their losses; counts as this many sizes more


@dataclass(frozen=True, eq=False)
class Spread:
    """Expected losses (R,), and draws of them (B, R), None where the noise is unknown."""

    value: Array
    draws: Array | None

    @property
    def expected(self) -> Array:
        """The mean of the draws where there are any: several curves may be believed in, and the law bends."""
        return self.value if self.draws is None else np.asarray(self.draws.mean(axis=0))


def across_sizes(sizes: Array, losses: Sequence[Spread], params: float, seed: int) -> Spread:
    """A line in (N^s - 1)/s through each size's losses (R,), read at ``params``; s is drawn from BENDS.

    The sizes' scatter about the line enters beside what is expected of it before they were seen.

    >>> losses = [Spread(np.array([value]), None) for value in (3.0, 2.0)]
    >>> across_sizes(np.array([1e8, 1e9]), losses, 1e10, 0).value.round(2)
    array([1.44])
    """
    log_n = np.log(sizes / sizes.max())
    at = float(np.log(params / sizes.max()))
    values = np.stack([one.value for one in losses])  # (S, R)
    middle = np.array([sum(BENDS) / 2])
    estimate = weights(log_n, at, middle)[0][0] @ values
    drawn = [one.draws for one in losses if one.draws is not None]
    if len(drawn) < len(losses):
        return Spread(estimate, None)
    rng = np.random.default_rng([seed, round(params)])
    count = len(drawn[0])
    project, design = weights(log_n, at, rng.uniform(*BENDS, count))  # (B, S)
    moved = np.einsum("bs,bsr->br", project, np.stack(drawn, axis=1))
    line = design @ (np.linalg.pinv(design) @ values)  # (B, S, R)
    seen = np.square(values - line).sum(axis=1) + WORTH * (SCATTER * np.ptp(values, axis=0)) ** 2
    sd = np.sqrt(seen / rng.chisquare(len(sizes) - 2 + WORTH, count)[:, None])
    moved += sd * np.sqrt(1 + np.square(project).sum(axis=1))[:, None] * rng.standard_normal((count, 1))
    return Spread(estimate, moved)


def weights(log_n: Array, at: float, bends: Array) -> tuple[Array, Array]:
    """How much each size counts at ``at``, (B, S), and the line's design (B, S, 2), for bends (B,)."""
    x = box_cox(log_n, bends[:, None])
    design = np.stack([np.ones_like(x), x], axis=-1)
    there = np.stack([np.ones(len(bends)), box_cox(np.array(at), bends)], axis=-1)
    return np.einsum("bk,bks->bs", there, np.linalg.pinv(design)), design
