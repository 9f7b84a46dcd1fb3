from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from speciate.runs.spec import ModelSpec
from speciate.training.attention import LONGEST, NAME, CausalAttention, attention
from speciate.training.model import build_model
from speciate.training.step import mean_loss


@pytest.mark.parametrize("positions", [2, 63, 64, 130])
def test_equals_torch_in_double_precision(positions: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, positions, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    ours = CausalAttention.apply(*inputs, 0.3)
    theirs = scaled_dot_product_attention(*inputs, is_causal=True, scale=0.3)
    grad = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, grad), torch.autograd.grad(theirs, inputs, grad), strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_bfloat16_is_as_near_the_truth_as_torch_is() -> None:
    torch.manual_seed(0)
    exact = [torch.randn(4, 2, 128, 16, requires_grad=True) for _ in range(3)]
    grad = torch.randn(4, 2, 128, 16)

    def results(function: object, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        out = function(*inputs)  # type: ignore[operator]
        return [out, *torch.autograd.grad(out, inputs, grad.to(out.dtype))]

    def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.25)

    low = [x.detach().to(torch.bfloat16).requires_grad_() for x in exact]
    truth = results(sdpa, exact)
    ours, theirs = results(lambda q, k, v: CausalAttention.apply(q, k, v, 0.25), low), results(sdpa, low)
    for mine, other, right in zip(ours, theirs, truth, strict=True):
        assert (mine.float() - right).norm() < 2 * (other.float() - right).norm()


def test_what_it_cannot_do_goes_to_torch() -> None:
    module = torch.nn.Module()
    module.is_causal = True
    module.num_key_value_groups = 1
    query = torch.randn(1, 1, 4, 8)
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)  # sees the future, so not causal
    out, _ = attention(module, query, query, query, mask, scaling=1.0)
    expected = scaled_dot_product_attention(query, query, query, scale=1.0).transpose(1, 2)
    torch.testing.assert_close(out, expected)
    last = query[:, :, -1:]  # generation with a cache: one query, all keys
    out, _ = attention(module, last, query, query, None, scaling=1.0)
    torch.testing.assert_close(out, expected[:, -1:])
    long = torch.randn(1, 1, LONGEST + 1, 8)
    out, _ = attention(module, long, long, long, None, scaling=1.0)
    torch.testing.assert_close(
        out.transpose(1, 2), scaled_dot_product_attention(long, long, long, is_causal=True, scale=1.0)
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_grouped_keys_train_as_plain_attention_does(
    architecture: str, kv_heads: int, precision: str, tolerance: float
) -> None:
    if torch.cuda.is_available():
        pytest.skip("on a CUDA device transformers' own attention is used")
    spec = ModelSpec(architecture, 32, 2, 4, 64, 97, 80, kv_heads=kv_heads)
    ours, plain = build_model(spec, 0), build_model(spec, 0)
    assert ours.config._attn_implementation == NAME
    plain.set_attn_implementation("eager")
    samples = torch.randint(97, (3, 81), generator=torch.Generator().manual_seed(0))
    mine, other = mean_loss(ours, samples, precision), mean_loss(plain, samples, "float32")
    assert float((mine - other).detach().abs()) < tolerance * float(other.detach())
    mine.backward()
    other.backward()
    for (name, p), q in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert (p.grad - q.grad).norm() <= tolerance * q.grad.norm() + 1e-6, name
