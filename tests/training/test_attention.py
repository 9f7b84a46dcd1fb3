from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from speciate.training.attention import LONGEST, CausalAttention, attention


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
