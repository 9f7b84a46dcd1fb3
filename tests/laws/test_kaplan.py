from __future__ import annotations

import numpy as np

from speciate.laws.kaplan import KAPLAN, PUBLISHED

X = {"params": np.array([1e6, 1.5e9]), "tokens": np.array([1e8, 2.2e10])}


def test_formula_by_hand() -> None:
    by_hand = ((6.4e13 / X["params"]) ** (0.076 / 0.103) + 1.8e13 / X["tokens"]) ** 0.103
    np.testing.assert_allclose(KAPLAN.predict(PUBLISHED, X), by_hand, rtol=1e-12)


def test_the_papers_constants_come_back() -> None:
    assert KAPLAN.published is not None
    found = KAPLAN.published(np.array([PUBLISHED, PUBLISHED]))
    for name, constant in {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}.items():
        np.testing.assert_allclose(found[name], [constant, constant], rtol=1e-12)


def test_endless_data_leaves_the_law_of_size() -> None:
    loss = KAPLAN.predict(PUBLISHED, {"params": [1e9], "tokens": [1e30]})
    np.testing.assert_allclose(loss, (6.4e13 / 1e9) ** 0.076, rtol=1e-9)


def test_the_link_undoes_itself() -> None:
    assert KAPLAN.link is not None
    power = {"alpha_D": np.array([0.103])}
    np.testing.assert_allclose(KAPLAN.link.value(KAPLAN.link.inverse(np.array([2.5]), power, X), power, X), 2.5)
    assert np.isnan(KAPLAN.link.inverse(np.array([-1.0]), power, X)).all()
