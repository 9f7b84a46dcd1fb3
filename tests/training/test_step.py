from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.training import step
from speciate.training.model import CausalLM, build_model
from speciate.training.step import balance_loss, build_optimizer, learning_rate, mean_loss, train_step

PHASE = Phase((("a", 1.0),), 1000, 0.5, warmup_tokens=100)
TINY = ModelSpec("llama", 16, 1, 2, 32, 64, 16)
MIXED = replace(
    TINY,
    architecture="qwen2_moe",
    experts=4,
    experts_per_token=2,
    expert_intermediate_size=8,
    router_aux_loss=0.01,
)


@given(st.integers(0, 1000), st.integers(1000, 10**6))
def test_warmup_stable_does_not_depend_on_the_length(tokens: int, longer: int) -> None:
    assert learning_rate(PHASE, tokens) == learning_rate(replace(PHASE, tokens=longer), tokens)


def test_schedules_at_known_points() -> None:
    cosine = replace(PHASE, schedule="cosine")
    assert [learning_rate(PHASE, t) for t in (0, 25, 100, 1000)] == [0, 0.125, 0.5, 0.5]
    assert [learning_rate(cosine, t) for t in (25, 100)] == [0.125, 0.5]
    assert learning_rate(cosine, 550) == pytest.approx(0.25)
    assert learning_rate(cosine, 1000) == pytest.approx(0)
    assert learning_rate(replace(PHASE, warmup_tokens=0), 0) == 0.5


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(("tie", "architecture"), [(True, "llama"), (False, "llama"), (True, "qwen2")])
def test_chunked_cross_entropy_is_torchs(
    rows: int, tie: bool, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "chunk_rows", lambda vocabulary, device: rows)
    model = build_model(replace(TINY, tie_embeddings=tie, architecture=architecture), 0)
    samples = torch.randint(0, 64, (3, 17), generator=torch.Generator().manual_seed(0))
    ours = mean_loss(model, samples, "float32")
    theirs = cross_entropy(model(samples[:, :-1]).logits.flatten(0, 1), samples[:, 1:].reshape(-1))
    torch.testing.assert_close(ours, theirs)
    parameters = list(model.parameters())
    for mine, other in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)


def test_bfloat16_is_near_float32_and_leaves_float32_weights() -> None:
    model = build_model(TINY, 0)
    samples = torch.randint(0, 64, (3, 17))
    low, full = (mean_loss(model, samples, precision).detach() for precision in ("bfloat16", "float32"))
    assert float(low) == pytest.approx(float(full), abs=0.02)
    spec = RunSpec("run", TINY, 0, (PHASE,), 3, "")
    first = train_step(model, optimizer := build_optimizer(model, spec), samples, spec, 0.01)
    for _ in range(20):
        last = train_step(model, optimizer, samples, spec, 0.01)
    assert float(last) < float(first) - 0.5 and not last.requires_grad
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_weight_decay_is_for_matrices() -> None:
    model = build_model(TINY, 0)
    optimizer = build_optimizer(model, RunSpec("run", TINY, 0, (PHASE,), 3, ""))
    decayed, plain = optimizer.param_groups
    assert {p.dim() for p in decayed["params"]} == {2} and decayed["weight_decay"] == 0.1
    assert {p.dim() for p in plain["params"]} == {1} and plain["weight_decay"] == 0.0


def test_large_logits_stay_finite() -> None:
    hidden = torch.full((2, 4), 1e4, requires_grad=True)
    weight = torch.randn(8, 4, requires_grad=True)
    loss = step.ChunkedCrossEntropy.apply(hidden, weight, torch.tensor([0, 7]))
    loss.backward()
    assert math.isfinite(float(loss.detach())) and hidden.grad is not None and hidden.grad.isfinite().all()


def test_the_balance_loss_is_in_the_gradient_only() -> None:
    samples = torch.randint(0, 64, (3, 17), generator=torch.Generator().manual_seed(0))
    ends = []
    for weight in (0.0, 0.5):
        spec = RunSpec("run", replace(MIXED, router_aux_loss=weight), 0, (PHASE,), 3, "", precision="float32")
        model = build_model(spec.model, 0)
        optimizer = build_optimizer(model, spec)
        assert train_step(model, optimizer, samples, spec, 0.0) == mean_loss(model, samples, "float32").detach()
        ends.append((model, [train_step(model, optimizer, samples, spec, 0.01) for _ in range(30)]))
    (plain, plain_losses), (balanced, balanced_losses) = ends
    assert plain_losses[0] == balanced_losses[0] and plain_losses[1] != balanced_losses[1]
    parts = [balance_loss(model, router_logits(model, samples)) for model in (plain, balanced)]
    assert 2 <= float(parts[1]) + 0.01 < float(parts[0]) <= 4, "even routing to 2 of 4 experts is 2"


def test_the_objective_is_transformers_own() -> None:
    """Gradients of the step are those of transformers' loss with labels and output_router_logits."""
    spec = RunSpec("run", replace(MIXED, router_aux_loss=0.5), 0, (PHASE,), 3, "", precision="float32", grad_clip=1e9)
    samples = torch.randint(0, 64, (3, 17), generator=torch.Generator().manual_seed(0))
    model, other = build_model(spec.model, 0), build_model(spec.model, 0)
    train_step(model, build_optimizer(model, spec), samples, spec, 0.0)
    output = other(samples[:, :-1], output_router_logits=True)
    loss = cross_entropy(output.logits.flatten(0, 1), samples[:, 1:].reshape(-1)) + 0.5 * output.aux_loss
    loss.backward()
    assert other.router_aux_loss_coef == 0.5
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-4, msg=name)


def router_logits(model: CausalLM, samples: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        output: Any = model.model(samples[:, :-1], output_router_logits=True)
    logits: tuple[torch.Tensor, ...] = output.router_logits
    return logits


def test_experts_train_to_the_same_bits_on_two_threads() -> None:
    model_spec = ModelSpec("qwen2_moe", 64, 2, 2, 80, 256, 128, experts=8, experts_per_token=4,
                           expert_intermediate_size=40, router_aux_loss=0.001)  # fmt: skip
    spec = RunSpec("run", model_spec, 0, (PHASE,), 16, "", precision="float32", threads=2)
    samples = torch.randint(0, 256, (16, 129), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ends = []
        for _ in range(2):
            model = build_model(model_spec, 0)
            optimizer = build_optimizer(model, spec)
            for _ in range(4):
                train_step(model, optimizer, samples, spec, 1e-3)
            ends.append(torch.cat([value.detach().flatten() for value in model.parameters()]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*ends)
