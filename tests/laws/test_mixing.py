from __future__ import annotations

import numpy as np
import pytest

from speciate.laws.mixing import MIXING, mixing

SHARES = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.1, 0.9, 0.0]])
X = {f"share_{name}": SHARES[:, i] for i, name in enumerate(("web", "code", "law"))}
LAW = mixing(("web", "code", "law"))


def ours(c: float, k: float, t: tuple[float, ...]) -> list[float]:
    """The paper's c, k, t_1.., t_last as the law's parameters."""
    base_k = k * np.exp(t[-1])
    return [c + base_k, c / (c + base_k), *(base_k * (slope - t[-1]) for slope in t[:-1])]


def test_formula_by_hand() -> None:
    c, k, t = 1.6, 1.4, (-0.7, 0.4, 0.0)
    np.testing.assert_allclose(LAW.predict(ours(c, k, t), X), c + k * np.exp(SHARES @ np.array(t)), rtol=1e-13)


def test_the_papers_constants_come_back_with_the_last_domain_as_reference() -> None:
    c, k, t = 1.6, 1.4, (-0.7, 0.4, 0.25)
    theta = ours(c, k, t)
    np.testing.assert_allclose(LAW.predict(theta, X), c + k * np.exp(SHARES @ np.array(t)), rtol=1e-13)
    assert LAW.published is not None
    found = LAW.published(np.array(theta))
    assert list(found) == ["c", "k", "t_web", "t_code", "t_law"]
    expected = [c, k * np.exp(0.25), -0.95, 0.15, 0.0]  # .25 moved from every t into k
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


def test_slopes_are_the_first_change_from_the_last_domain() -> None:
    theta = ours(1.6, 1.4, (-0.7, 0.4, 0.0))
    step = 1e-6
    x = {"share_web": [0.0, step], "share_code": [0.0, 0.0], "share_law": [1.0, 1.0 - step]}
    first, moved = LAW.predict(theta, x)
    assert first == pytest.approx(theta[0])  # base
    assert (moved - first) / step == pytest.approx(theta[2], rel=1e-5)


def test_a_family_by_domains() -> None:
    assert MIXING.domains == ("1", "2", "3") and MIXING.name == LAW.name == "mixing"
    five = mixing(list("abcde"))
    assert [given.name for given in five.inputs] == [f"share_{name}" for name in "abcde"]
    assert five.names == ("base", "floor", "w_a", "w_b", "w_c", "w_d")
    assert five.family is mixing
    with pytest.raises(AssertionError):
        mixing(["alone"])


def test_starts_lie_between_no_floor_and_the_least_loss() -> None:
    assert LAW.candidates is not None
    y = LAW.predict(ours(1.6, 1.4, (-0.7, 0.4, 0.0)), X)
    starts = LAW.candidates(LAW.scaled(X), y)
    floors = starts[:, 0] * starts[:, 1]
    assert starts.shape[1] == 2 and (floors > 0).all() and (floors < y.min()).all()
    near = np.argmin(np.abs(floors - 1.6))
    assert starts[near, 0] == pytest.approx(3.0, rel=0.05)  # the regression finds the level at the reference
