from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from speciate.errors import UserError
from speciate.fitting.fit import fit
from speciate.fitting.noise import Noise, along, from_stderr


def test_noise_along_an_input_is_found_and_bounded() -> None:
    rng = np.random.default_rng(0)
    z = np.linspace(0, 1, 3000)
    found = along("domain_ratio", z, np.exp(1.5 * z) * rng.normal(0, 0.01, 3000))
    assert found.ratio == pytest.approx(np.exp(1.5), rel=0.2)
    np.testing.assert_allclose(found.scale({"domain_ratio": np.array([0.5])}), [1.0], rtol=1e-12)
    assert along("x", z, np.exp(40 * z)).ratio == pytest.approx(np.exp(3.0))
    assert along("x", np.ones(5), np.ones(5)).ratio == 1.0 and abs(along("x", z, z * 0).slope) < 1e-9
    assert Noise().scale({}) == 1.0


def test_standard_errors_count_beside_run_to_run_noise() -> None:
    rng = np.random.default_rng(1)
    stderr = np.where(np.arange(2000) % 2 == 0, 0.001, 0.01)
    noise, scale = from_stderr(stderr, rng.normal(0, np.sqrt(stderr**2 + 0.003**2)))
    assert noise.between is not None and 0 <= noise.between < 0.006
    assert scale[1] > 2 * scale[0] and np.mean(scale**2) == pytest.approx(1.0)
    _, even = from_stderr(np.array([0.01, np.nan] * 3), np.zeros(6))
    np.testing.assert_allclose(even, 1.0)  # what is missing counts as the median


def ratios(rng: np.random.Generator, steep: float) -> pd.DataFrame:
    ratio = np.tile([0.1, 0.25, 0.5, 0.75, 1.0], 12)
    loss = 2 + 0.4 * ratio**0.7 + np.exp(steep * ratio) * rng.normal(0, 0.002, len(ratio))
    return pd.DataFrame({"domain_ratio": ratio, "loss": loss, "run": [f"r{i}" for i in range(len(ratio))]})


def test_intervals_follow_noise_that_depends_on_the_mixture() -> None:
    table = ratios(np.random.default_rng(2), 2.5)
    plain = fit("mixture-ratio", table, bootstrap=200)
    found = fit("mixture-ratio", table, bootstrap=200, noise_by="domain_ratio")
    at = np.array([0.1, 1.0])
    width = [np.subtract(p.high, p.low) for p in (f.predict(domain_ratio=at) for f in (plain, found))]
    assert width[1][1] > 3 * width[1][0] and width[1][0] < width[0][0]
    assert found.noise.ratio > 3 and found.to_json()["noise"]["column"] == "domain_ratio"


def test_rows_with_small_standard_errors_decide() -> None:
    table = ratios(np.random.default_rng(3), 0.0).assign(stderr=0.002)
    wrong = table.assign(loss=table["loss"] + 0.2, stderr=0.5)
    both = pd.concat([table, wrong.iloc[:20]], ignore_index=True)
    clean, weighted = (
        fit("mixture-ratio", table, bootstrap=0),
        fit("mixture-ratio", both, bootstrap=0, objective="squared"),
    )
    at = {"domain_ratio": np.array([0.2, 0.6, 0.9])}
    np.testing.assert_allclose(weighted.predict(**at).value, clean.predict(**at).value, atol=0.004)
    assert weighted.noise.stderr


def test_noise_by_must_be_an_input() -> None:
    with pytest.raises(UserError, match="noise_by is 'tokens'"):
        fit("mixture-ratio", ratios(np.random.default_rng(0), 0.0), noise_by="tokens")


def test_one_large_standard_error_does_not_hide_the_noise_of_the_others() -> None:
    rng = np.random.default_rng(4)
    noise, scale = from_stderr(np.append(np.full(400, 1e-8), 1.0), rng.normal(0, 0.003, 401))
    assert noise.between == pytest.approx(0.003, rel=0.2) and np.ptp(scale[:400]) == 0


def test_a_standard_error_of_0_is_not_exact() -> None:
    table = ratios(np.random.default_rng(5), 0.0).assign(stderr=0.002)
    table.loc[7, ["loss", "stderr"]] = table["loss"].mean() + 0.3, 0.0
    found = fit("mixture-ratio", table, bootstrap=0)
    assert abs(found.predict(domain_ratio=0.5).value - (2 + 0.4 * 0.5**0.7)) < 0.01


def test_noise_along_an_input_beside_standard_errors_is_said() -> None:
    table = ratios(np.random.default_rng(6), 1.0).assign(stderr=0.002)
    assert any(
        "stderr was not used" in note
        for note in fit("mixture-ratio", table, bootstrap=0, noise_by="domain_ratio").notes
    )
