from __future__ import annotations

import numpy as np

from speciate.laws.perplexity_size import PERPLEXITY_SIZE


def test_formula_by_hand() -> None:
    x = {"params": [1e9, 14e9]}
    np.testing.assert_allclose(PERPLEXITY_SIZE.predict([4.0, 0.12], x), [4.0, 4.0 / 14**0.12], rtol=1e-14)
