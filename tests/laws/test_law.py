"""The machinery that every law derives from its terms."""

from __future__ import annotations

import numpy as np
import pytest

from speciate.laws import LAWS, Law
from speciate.laws.law import box_cox
from speciate.laws.split import PRESET

TYPICAL = {
    "chinchilla": [1.8, 480.0, 2100.0, 0.35, 0.37],
    "mixture-ratio": [2.0, -0.3, 0.4],
    "mixture-domain": [3.0, -0.05, -0.1],
    "mixture-general": [0.001, 0.003, -0.0004, 0.57],
    "cmr": [-0.2, 0.1, 0.2],
    "kaplan": [9.0, 1.8e9, 0.4, 0.2],
    "repetition": [1.87, 521.0, 1488.0, 0.353, 0.353, 15.4, 5.3],
    "d-cpt": [1.2, 0.6, 0.4, 0.15, 0.35, 0.3, 0.5, 0.8, 0.05],
    "mixing": [3.0, 0.6, -0.5, 0.4],
    "optimal-mixture": [1.1, 0.4, 0.9, 0.6, 0.35, 0.3, 0.2, 0.5, 0.4, 1.7, 0.6],
    "split": list(PRESET),
    "liew-kato": [1.5, 1.2, 0.8, 0.12, 0.1, 0.015, 0.35],
    "forgetting": [0.3, 90.0, 0.5, 0.4],
    "transfer": [9.9, 0.18, 0.38],
    "accuracy-compute": [0.5, 0.3],
    "accuracy-params-tokens": [0.3, 0.4, 0.35, 0.3],
    "accuracy-ceiling": [0.2, 0.5, 0.3],
    "accuracy-samples": [0.2, -0.1, -0.2, 0.02],
    "accuracy-broken": [0.9, -0.5, 0.1, 0.3, 0.7, 0.4],
    "loss-compute": [60.0, 0.06],
    "accuracy-loss-linear": [1.2, -0.2],
    "accuracy-loss-logistic": [0.25, 0.1, -2.0, 3.0],
    "perplexity-size": [3.0, 0.2],
    "sger": [1.6, 0.4],
}


def inputs(law: Law, count: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    ranges = {
        "params": (1e7, 1e10),
        "tokens": (1e8, 1e11),
        "unique_tokens": (1e8, 1e10),
        "seed_tokens": (1e8, 1e11),
        "domain_ratio": (0.05, 1.0),
        "flops": (1e20, 1e22),
        "chance": (0.2, 0.25),
        "samples": (1, 100),
        "loss": (2.0, 4.0),
        "start_loss": (2.0, 3.0),
    }
    return {given.name: rng.uniform(*ranges.get(given.name, (0.05, 0.33)), count) for given in law.inputs}


@pytest.fixture(params=list(LAWS))
def law(request: pytest.FixtureRequest) -> Law:
    return LAWS[request.param]


def test_every_law_says_what_it_is(law: Law) -> None:
    assert set(TYPICAL) == set(LAWS)
    assert law.formula and law.latex and law.source and law.status in ("as published", "ours")
    assert len(set(law.names)) == len(law.names)
    for parameter in law.parameters:
        assert parameter.meaning and parameter.unit and parameter.low < parameter.high
        assert parameter.name in law.formula
        assert (parameter.transform == "logit-scaled") == np.isfinite(parameter.high)
        assert parameter.linear or np.isfinite(parameter.high) or parameter.search is not None


def test_prediction_broadcasts_over_batches(law: Law) -> None:
    x, theta = inputs(law), np.array(TYPICAL[law.name])
    single = law.predict(theta, x)
    assert single.shape == (7,)
    batch = np.stack([theta, theta * 1.01])
    np.testing.assert_allclose(law.predict(batch, x), [single, law.predict(batch[1], x)], rtol=1e-14)
    assert law.predict(batch[:, None], x).shape == (2, 1, 7)
    own = {name: np.stack([values, values * 0.5]) for name, values in x.items()}
    np.testing.assert_allclose(law.predict(batch, own)[0], single, rtol=1e-14)


def test_the_law_is_linear_in_what_it_calls_linear_before_its_link(law: Law) -> None:
    x, theta = inputs(law), np.array(TYPICAL[law.name])
    nonlinear, linear = theta[list(law.nonlinear)], theta[list(law.linear)]
    basis = law.basis(nonlinear, x)
    assert basis.shape == (7, len(law.linear))
    u = basis @ linear
    if law.link is None:
        np.testing.assert_allclose(u, law.predict(theta, x), rtol=1e-13)
        return
    bends, scaled = law.named_bends(nonlinear), law.scaled(x)
    np.testing.assert_allclose(law.link.value(u, bends, scaled), law.predict(theta, x), rtol=1e-13)
    np.testing.assert_allclose(law.link.inverse(law.predict(theta, x), bends, scaled), u, rtol=1e-9, atol=1e-12)


def test_jacobian_agrees_with_differences(law: Law) -> None:
    x, theta = inputs(law), np.array(TYPICAL[law.name])
    value, slopes = law.jacobian(theta, x)
    np.testing.assert_allclose(value, law.predict(theta, x), rtol=1e-14)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5 * abs(theta[i])
        difference = (law.predict(theta + step, x) - law.predict(theta - step, x)) / (2 * step[i])
        rounding = 1e-15 * np.abs(value).max() / step[i]
        np.testing.assert_allclose(slopes[:, i], difference, rtol=1e-6, atol=rounding)


def test_scale_is_a_change_of_unit() -> None:
    law = LAWS["mixture-domain"]
    x = {"tokens": np.array([1e6, 4e6])}
    other = law.with_scale("tokens", 1e6)
    np.testing.assert_allclose(other.predict([3.0, -0.05, 0.5], x), [3.0, 3.0 - 0.05 * 2], rtol=1e-14)
    assert law.inputs[0].scale == 0.2e9
    with pytest.raises(AssertionError):
        law.with_scale("params", 1e6)


def test_box_cox_passes_through_the_logarithm() -> None:
    log_t = np.log(np.array([0.01, 1.0, 50.0]))
    np.testing.assert_array_equal(box_cox(log_t, np.array([0.0])), log_t)
    np.testing.assert_allclose(box_cox(log_t, np.array([1e-12])), log_t, rtol=1e-10)
    _, slopes = LAWS["cmr"].jacobian([0.1, 1.0, 0.0], {"tokens": np.exp(log_t) * 0.2e9})
    np.testing.assert_allclose(slopes[:, 2], log_t**2 / 2, rtol=1e-12)
