from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from speciate.laws.repetition import PUBLISHED, REPETITION, TOKENS_PER_PARAMETER, effective

DATA = Path(__file__).parents[3] / "shared" / "data" / "datablations_N_D_U_loss.csv"


def test_the_published_value() -> None:
    x = {"params": [8.7e9], "tokens": [178e9], "unique_tokens": [178e9 / 7]}
    np.testing.assert_allclose(REPETITION.predict(PUBLISHED, x), [2.22608], atol=5e-6)


def test_formula_by_hand() -> None:
    e, a, b, alpha, beta, r_d, r_n = 1.9, 500.0, 1500.0, 0.3, 0.35, 12.0, 4.0
    deserved = 20e9 / TOKENS_PER_PARAMETER
    data = 20e9 + 20e9 * r_d * (1 - np.exp(-(60 / 20 - 1) / r_d))
    size = deserved + deserved * r_n * (1 - np.exp(-(8e9 / deserved - 1) / r_n))
    x = {"params": [8e9], "tokens": [60e9], "unique_tokens": [20e9]}
    by_hand = e + a / size**alpha + b / data**beta
    np.testing.assert_allclose(REPETITION.predict([e, a, b, alpha, beta, r_d, r_n], x), by_hand, rtol=1e-12)


def test_without_repeats_and_with_few_parameters_it_is_chinchillas_law() -> None:
    e, a, b, alpha, beta, *_ = PUBLISHED
    for unique in (40e9, 90e9):  # more text than was read is not more reading
        x = {"params": [1e9], "tokens": [40e9], "unique_tokens": [unique]}
        np.testing.assert_allclose(REPETITION.predict(PUBLISHED, x), e + a / 1e9**alpha + b / 40e9**beta, rtol=1e-12)


def test_repeats_are_worth_less_and_in_the_end_nothing() -> None:
    worth = effective(np.full(4, 1.0), np.array([0.0, 1.0, 15.39, 1e9]), np.array([15.39]))
    np.testing.assert_allclose(worth, [1.0, 1 + 15.39 * (1 - np.exp(-1 / 15.39)), 1 + 15.39 * (1 - np.exp(-1)), 16.39])


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_the_published_law_on_every_published_run() -> None:
    with DATA.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {"params": "N", "tokens": "D", "unique_tokens": "U"}
    x = {ours: np.array([float(row[theirs]) for row in rows]) for ours, theirs in names.items()}
    assert len(rows) == 229
    expected = [float(row["pred_published"]) for row in rows]
    np.testing.assert_allclose(REPETITION.predict(PUBLISHED, x), expected, rtol=1e-12)
