from __future__ import annotations

import numpy as np
import pytest

from speciate.laws.mixture_general import MIXTURE_GENERAL, turning_tokens


def test_turning_point_is_the_maximum_of_the_curve() -> None:
    theta = [0.0005, 0.0032, -0.0008, 0.5776]
    peak = float(turning_tokens(theta, 0.2e9))
    around = peak * np.array([0.99, 1.0, 1.01])
    value = MIXTURE_GENERAL.predict(theta, {"tokens": around})
    assert value[1] > value[0] and value[1] > value[2]


@pytest.mark.parametrize(
    ("p", "q", "s", "expected"),
    [
        (1.0, 0.5, 0.5, None),  # falls, then rises for ever: a minimum is not a turning down
        (1.0, 0.0, 0.5, None),  # rises for ever
        (-1.0, 0.0, 0.5, 0.0),  # falls from the start
        (1.0, 0.0, -0.5, 0.0),  # falls from the start, levelling off
        (0.0, 1.0, 0.0, None),  # a logarithm, upwards
        (0.0, -1.0, 0.0, 0.0),  # a logarithm, downwards
        (0.0, 0.0, 0.5, None),  # flat
        (1.0, -1e-300, 0.5, None),  # turns later than a float can say
        (0.0, 1.0, -1.0, float(np.e)),  # ln t / t
    ],
)
def test_shapes_without_and_with_a_maximum(p: float, q: float, s: float, expected: float | None) -> None:
    found = float(turning_tokens([7.0, p, q, s], 1.0))
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, rel=1e-12)


def test_batches_keep_their_shape() -> None:
    assert turning_tokens(np.zeros((3, 2, 4)), 1.0).shape == (3, 2)
