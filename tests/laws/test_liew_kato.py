from __future__ import annotations

import numpy as np

from speciate.laws.liew_kato import LIEW_KATO

THETA = [1.5, 1.2, 0.8, 0.12, 0.1, 0.015, 0.35]


def test_formula_by_hand() -> None:
    e, a, b, a1, a2, a3, power = THETA
    x = {"params": [1.3e9], "seed_tokens": [80e9], "tokens": [20e9]}
    by_hand = e + a * 80**-a1 * 20 ** (-a2 + a3 * np.log(80)) + b / 1.3**power
    np.testing.assert_allclose(LIEW_KATO.predict(THETA, x), by_hand, rtol=1e-13)


def test_another_unit_of_tokens_is_the_same_family() -> None:
    e, a, b, a1, a2, a3, power = THETA
    log_unit = np.log(1e9)
    raw = LIEW_KATO.with_scale("seed_tokens", 1.0).with_scale("tokens", 1.0)
    scale = np.exp(log_unit * (a1 + a2) + a3 * log_unit**2)
    moved = [e, a * scale, b, a1 + a3 * log_unit, a2 + a3 * log_unit, a3, power]
    x = {"params": [1.3e9, 2e8], "seed_tokens": [80e9, 5e9], "tokens": [20e9, 1e9]}
    np.testing.assert_allclose(raw.predict(moved, x), LIEW_KATO.predict(THETA, x), rtol=1e-10)


def test_a_longer_first_stage_slows_the_second() -> None:
    def gain(seed: float) -> float:
        x = {"params": [1e9, 1e9], "seed_tokens": [seed, seed], "tokens": [5e9, 50e9]}
        first, last = LIEW_KATO.predict(THETA, x)
        return float(first - last)

    assert gain(10e9) > gain(100e9) > 0


def test_both_stages_must_have_tokens() -> None:
    assert not any(given.zero for given in LIEW_KATO.inputs)
