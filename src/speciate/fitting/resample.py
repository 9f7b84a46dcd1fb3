"""Bootstrap weights that keep what was measured together together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from speciate.laws.law import Array


def cluster_weights(
    trunk_ids: Sequence[Any] | Array, run_ids: Sequence[Any] | Array, draws: int, rng: np.random.Generator
) -> Array:
    """How often each row counts in each bootstrap replicate: (draws, n), whole numbers.

    Trunks are drawn with replacement, then runs within each drawn trunk; the rows of a run stay
    together. A trunk's copies are drawn independently, which in sum is one multinomial draw of
    (copies * runs) from its runs. Refitting on these weights measures how far the answer depends on
    which runs happened to be made (Davison and Hinkley 1997, section 3.8).

    A run belongs to one trunk. With one run per trunk this is the plain bootstrap of runs.

    >>> weights = cluster_weights(["a", "a", "b"], ["r1", "r1", "r2"], 4, np.random.default_rng(0))
    >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all())
    ((4, 3), True)
    """
    trunks, trunk_of_row = np.unique(np.asarray(trunk_ids), return_inverse=True)
    pairs = np.stack([trunk_of_row, np.unique(np.asarray(run_ids), return_inverse=True)[1]], axis=1)
    runs, run_of_row = np.unique(pairs, axis=0, return_inverse=True)
    copies = rng.multinomial(len(trunks), np.full(len(trunks), 1 / len(trunks)), size=draws)  # (draws, trunks)
    counts = np.empty((draws, len(runs)), dtype=float)
    for trunk in range(len(trunks)):
        members = np.flatnonzero(runs[:, 0] == trunk)
        counts[:, members] = rng.multinomial(copies[:, trunk] * len(members), np.full(len(members), 1 / len(members)))
    return counts[:, run_of_row.reshape(-1)]


def units(trunk_ids: Sequence[Any] | Array, run_ids: Sequence[Any] | Array) -> tuple[int, int]:
    """How many different trunks and runs the rows come from.

    >>> units(["a", "a", "b"], ["r1", "r2", "r3"])
    (2, 3)
    """
    return len(np.unique(np.asarray(trunk_ids))), len(np.unique(np.asarray(run_ids)))
