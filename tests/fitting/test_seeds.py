from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from speciate.fitting.descend import Rows
from speciate.fitting.objective import Loss
from speciate.fitting.seeds import non_negative, project, seeds
from speciate.laws import LAWS


def test_non_negative_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix, right = rng.normal(size=(9, 3)), rng.normal(size=9)
        mine = non_negative((matrix.T @ matrix)[None], (matrix.T @ right)[None], [0, 1, 2])[0]
        np.testing.assert_allclose(mine, nnls(matrix, right)[0], atol=1e-8)


def test_projection_finds_the_linear_parameters() -> None:
    law, truth = LAWS["mixture-general"], np.array([0.5, 0.3, -0.1, 0.6])
    x = {"tokens": np.geomspace(1e7, 1e11, 12)}
    rows = Rows(law.scaled(x), law.predict(truth, x), np.ones((2, 12)))
    found = project(law, rows, truth[[3]], Loss("squared"))
    np.testing.assert_allclose(found, [truth, truth], rtol=1e-6)


def test_best_point_of_one_fit_and_of_many_agree() -> None:
    law = LAWS["cmr"]
    x = {"tokens": np.geomspace(1e9, 1e11, 6)}
    y = law.predict([0.1, 0.1, 0.3], x)
    one = seeds(law, Rows(law.scaled(x), y, np.ones((1, 6))), Loss("squared"), 4)
    two = seeds(law, Rows(law.scaled(x), y, np.ones((2, 6))), Loss("squared"), 4)
    assert one.shape == (1, 4, 3)
    np.testing.assert_allclose(two, np.concatenate([one, one]), rtol=1e-6)
