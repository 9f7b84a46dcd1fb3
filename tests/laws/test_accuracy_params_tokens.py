from __future__ import annotations

import numpy as np

from speciate.laws.accuracy_compute import ACCURACY_COMPUTE
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS


def test_formula_by_hand() -> None:
    x = {"params": [2e9], "tokens": [4e10], "chance": [0.25]}
    u = 0.3 / 2**0.4 + 0.5 / 40**0.2
    np.testing.assert_allclose(ACCURACY_PARAMS_TOKENS.predict([0.3, 0.5, 0.4, 0.2], x), 0.25 + 0.75 * np.exp(-u))


def test_at_one_ratio_and_one_exponent_it_is_the_law_of_compute() -> None:
    params, exponent = np.geomspace(1e8, 1e10, 5), 0.3
    tokens, chance = 20 * params, np.full(5, 0.25)
    both = ACCURACY_PARAMS_TOKENS.predict(
        [0.3, 0.5, exponent, exponent], {"params": params, "tokens": tokens, "chance": chance}
    )
    flops = 6 * params * tokens
    # n^-a and d^-a are powers of C = 120 n^2
    size = (0.3 + 0.5 / 20**exponent) * (120e18 / 1e21) ** (exponent / 2)
    one = ACCURACY_COMPUTE.predict([size, exponent / 2], {"flops": flops, "chance": chance})
    np.testing.assert_allclose(both, one, rtol=1e-12)
