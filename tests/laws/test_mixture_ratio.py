from __future__ import annotations

import numpy as np

from speciate.laws.mixture_ratio import MIXTURE_RATIO


def test_formula_by_hand() -> None:
    ratio = np.array([0.25, 1.0])
    np.testing.assert_allclose(MIXTURE_RATIO.predict([2.0, -0.4, 0.5], {"domain_ratio": ratio}), [1.8, 1.6], rtol=1e-14)
