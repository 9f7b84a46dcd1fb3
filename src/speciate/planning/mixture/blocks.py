"""Long curves as means of blocks: a run measured thousands of times says no more about its curve than a hundred means.

Blocks hold equally many successive measurements (but for one), so their means are alike in noise and a least-squares
fit weighs the parts of a run as it would have weighed its rows. A block's mean stands at the geometric mean of its
tokens: exact for a curve that is straight in ln T, and close for the laws here. What single measurements scatter
about their block's mean is kept (``within``), since forecasts are of single ones. Noise is measured anew on the means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST = 100  # points of a curve


def averaged(tokens: Array, loss: Array) -> tuple[Array, Array, float]:
    """At most MOST points: tokens, mean loss, and the sd of single measurements about a block's mean (nats/token).

    Curves of MOST points or fewer are returned as they are. The last block is never the short one.

    >>> tokens, loss, within = averaged(np.arange(1.0, 401.0), np.zeros(400))
    >>> len(tokens), float(tokens[0].round(3)), within  # four rows each; (1 x 2 x 3 x 4)^(1/4)
    (100, 2.213, 0.0)
    """
    if len(tokens) <= MOST:
        return tokens, loss, 0.0
    size = -(-len(tokens) // MOST)
    first = len(tokens) % size or size  # of the first block
    block = (np.arange(len(tokens)) - first) // size + 1
    count = np.bincount(block)
    log_t = np.log(tokens)
    middle, mean = np.bincount(block, log_t) / count, np.bincount(block, loss) / count
    slope = np.gradient(mean, middle)  # of the curve: not noise
    rest = loss - mean[block] - slope[block] * (log_t - middle[block])
    late = block >= len(count) // 2  # early blocks may span the jump after warm-up
    return np.exp(middle), mean, float(np.sqrt(np.mean(rest[late] ** 2)))
