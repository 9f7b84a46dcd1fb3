from __future__ import annotations

import numpy as np
import pytest

from speciate.fitting.space import from_free, to_free
from speciate.laws import LAWS


@pytest.mark.parametrize("name", list(LAWS))
def test_there_and_back(name: str) -> None:
    law = LAWS[name]
    theta = np.full((2, len(law.parameters)), 0.4)
    again, slope = from_free(law, to_free(law, theta))
    np.testing.assert_allclose(again, theta, rtol=1e-12)
    assert (slope > 0).all()


def test_a_start_on_a_bound_is_finite() -> None:
    law = LAWS["chinchilla"]
    free = to_free(law, np.array([[0.0, 1.0, 1.0, 0.0, 3.0]]))
    assert np.isfinite(free).all()
