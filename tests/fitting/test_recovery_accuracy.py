"""Laws of accuracy, transfer, forgetting and exam perplexity are recovered from their own values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from speciate.fitting.objective import Loss
from speciate.fitting.solve import solve
from speciate.laws import Law
from speciate.laws.accuracy_broken import ACCURACY_BROKEN
from speciate.laws.accuracy_ceiling import ACCURACY_CEILING
from speciate.laws.accuracy_compute import ACCURACY_COMPUTE
from speciate.laws.accuracy_loss_linear import ACCURACY_LOSS_LINEAR
from speciate.laws.accuracy_loss_logistic import ACCURACY_LOSS_LOGISTIC
from speciate.laws.accuracy_params_tokens import ACCURACY_PARAMS_TOKENS
from speciate.laws.accuracy_samples import ACCURACY_SAMPLES
from speciate.laws.forgetting import FORGETTING
from speciate.laws.loss_compute import LOSS_COMPUTE
from speciate.laws.perplexity_size import PERPLEXITY_SIZE
from speciate.laws.sger import SGER
from speciate.laws.transfer import PUBLISHED, TRANSFER

Rows = dict[str, np.ndarray]


def compute(chance: float = 0.25, count: int = 14) -> Rows:
    return {"flops": np.geomspace(1e19, 1e22, count), "chance": np.full(count, chance)}


def grid(**axes: np.ndarray) -> Rows:
    columns = np.meshgrid(*axes.values(), indexing="ij")
    return {name: column.ravel() for name, column in zip(axes, columns, strict=True)}


def sizes_and_tokens() -> Rows:
    return grid(params=np.geomspace(1e8, 3e9, 5), tokens=np.geomspace(2e9, 2e11, 5), chance=np.array([0.25]))


def samples() -> Rows:
    return grid(flops=np.geomspace(1e19, 1e22, 6), samples=np.array([1.0, 4.0, 16.0, 64.0]))


def finetuning() -> Rows:
    shares = np.array([0.5, 0.9, 0.99, 1.0])
    rows = grid(tokens=np.geomspace(3e6, 1e9, 4), params=np.geomspace(4e7, 2e9, 4), domain_ratio=shares)
    return {**rows, "start_loss": 4.0 - 0.3 * np.log10(rows["params"] / 1e7)}


def transferred() -> Rows:
    return grid(tokens=np.geomspace(3e5, 3e9, 5), params=np.geomspace(1e7, 1e9, 4))


LAWS: dict[str, tuple[Law, Callable[[], Rows]]] = {
    "accuracy-compute": (ACCURACY_COMPUTE, compute),
    "accuracy-params-tokens": (ACCURACY_PARAMS_TOKENS, sizes_and_tokens),
    "accuracy-ceiling": (ACCURACY_CEILING, compute),
    "accuracy-samples": (ACCURACY_SAMPLES, samples),
    "accuracy-broken": (ACCURACY_BROKEN, lambda: compute(count=24)),
    "accuracy-loss-linear": (ACCURACY_LOSS_LINEAR, lambda: {"loss": np.linspace(2.3, 4.0, 6)}),
    "accuracy-loss-logistic": (ACCURACY_LOSS_LOGISTIC, lambda: {"loss": np.linspace(0.6, 1.6, 14)}),
    "loss-compute": (LOSS_COMPUTE, compute),
    "forgetting": (FORGETTING, finetuning),
    "transfer": (TRANSFER, transferred),
    "perplexity-size": (PERPLEXITY_SIZE, lambda: {"params": np.array([1.5e9, 3e9, 7e9, 14e9])}),
    "sger": (SGER, lambda: {"params": np.array([1.5e9, 3e9, 7e9, 14e9])}),
}

CASES: dict[str, list[list[float]]] = {
    "accuracy-compute": [[0.4, 0.25], [0.05, 0.6]],
    "accuracy-params-tokens": [[0.3, 0.6, 0.4, 0.3], [0.05, 1.5, 0.7, 0.2]],
    "accuracy-ceiling": [[0.2, 0.4, 0.35], [0.02, 0.8, 0.15]],
    "accuracy-samples": [[-0.5, -0.2, -0.3, -0.02], [0.8, -0.1, -0.15, 0.01]],
    "accuracy-broken": [[0.9, -0.5, 0.1, 0.3, 0.3, 0.4], [0.25, 0.3, -0.5, 0.4, 0.5, 0.8]],
    "accuracy-loss-linear": [[1.3, -0.25]],
    "accuracy-loss-logistic": [[0.05, 0.75, -6.0, 0.9], [0.02, 0.6, -3.0, 0.7]],
    "loss-compute": [[29.0, 0.05], [2000.0, 0.13]],
    "forgetting": [[0.3, 900.0, 0.5, 0.4], [0.05, 30.0, 0.8, 0.7]],
    "transfer": [list(PUBLISHED)],
    "perplexity-size": [[4.0, 0.12]],
    "sger": [[1.34, 0.44], [3.0, -0.2]],
}
EVERY = [(name, truth) for name, truths in CASES.items() for truth in truths]


@pytest.mark.parametrize(("name", "truth"), EVERY)
def test_noise_free_rows_give_the_law_back(name: str, truth: list[float]) -> None:
    law, design = LAWS[name]
    x = design()
    y = law.predict(truth, x)
    found = solve(law, x, y)
    np.testing.assert_allclose(law.predict(found.theta, x), y, rtol=1e-6)
    assert "not converged" not in found.status


@pytest.mark.parametrize(("name", "truth"), EVERY)
def test_under_noise_the_fit_is_no_worse_than_the_truth(name: str, truth: list[float]) -> None:
    law, design = LAWS[name]
    x = design()
    y = law.predict(truth, x)
    y = y * np.exp(np.random.default_rng(0).normal(0, 1e-3, len(y)))
    found = solve(law, x, y)
    at_truth = float(Loss(law.objective).total(law.predict(truth, x), y, np.ones(len(y))))
    assert 0 < found.objective <= at_truth
    np.testing.assert_allclose(law.predict(found.theta, x), law.predict(truth, x), rtol=4e-3)
