"""Causal attention for small models on a CPU, plugged into `transformers` under the name ``speciate_cpu``.

torch's own CPU kernel spends most of a small model's step in the backward pass of short bfloat16 heads. Plain matrix
products over blocks of queries, which skip what the causal mask hides, were measured 2.6 to 4 times faster (forward
and backward, 16 x 4 heads x 256 x 16: 29 ms against 7 ms on one AMD EPYC thread) at the same accuracy to a factor 1.3.

Shape legend: B batch, H heads, T positions, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "speciate_cpu"
QUERY_BLOCK = 64  # queries per block (measured best of 32, 64, 128 and 256 at T = 256)
LONGEST = 1024  # positions; the probabilities are kept for the backward pass, B * H * T^2 / 2 of them


class CausalAttention(torch.autograd.Function):
    """softmax(scale q k^T + causal mask) v, (B, H, T, D), in the dtype of v; scores are kept in that dtype too."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        batch, heads, positions, size = query.shape
        ctx.dtypes, ctx.scale = (query.dtype, key.dtype), scale
        q = (query * scale).to(value.dtype).reshape(batch * heads, positions, size)
        k = key.to(value.dtype).reshape(batch * heads, positions, size)
        v = value.reshape(batch * heads, positions, size)
        hidden = torch.full((positions, positions), float("-inf"), dtype=v.dtype).triu_(1)  # (T, T)
        out = torch.empty_like(v)
        blocks = []
        for start, end in _blocks(positions):
            scores = torch.baddbmm(hidden[start:end, :end], q[:, start:end], k[:, :end].transpose(1, 2))
            blocks.append(torch.softmax(scores, -1))  # (B * H, block, end)
            out[:, start:end] = torch.bmm(blocks[-1], v[:, :end])
        ctx.save_for_backward(q, k, v, *blocks)
        return out.view(batch, heads, positions, size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, *blocks = ctx.saved_tensors
        (grad,) = grads
        shape = grad.shape
        grad = grad.reshape(v.shape)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (start, end), probabilities in zip(_blocks(q.shape[1]), blocks, strict=True):
            g = grad[:, start:end]
            dv[:, :end] += torch.bmm(probabilities.transpose(1, 2), g)
            dp = torch.bmm(g, v[:, :end].transpose(1, 2))
            ds = torch._softmax_backward_data(dp, probabilities, -1, probabilities.dtype)
            dq[:, start:end] = torch.bmm(ds, k[:, :end])
            dk[:, :end] += torch.bmm(ds.transpose(1, 2), q[:, start:end])
        q_dtype, k_dtype = ctx.dtypes
        return dq.to(q_dtype).mul_(ctx.scale).view(shape), dk.to(k_dtype).view(shape), dv.view(shape), None


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """The signature of a `transformers` attention: (B, H, T, D) -> (B, T, H, D) and no weights.

    Padding, cached generation, grouped keys, other devices and long contexts go to torch's kernel.
    """
    positions = query.shape[2]
    plain = attention_mask is None and query.shape == key.shape and not dropout and query.device.type == "cpu"
    if not plain or scaling is None or not 1 < positions <= LONGEST:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return output
    with torch.autocast("cpu", enabled=False):
        out: Tensor = CausalAttention.apply(query, key, value, scaling)  # type: ignore[no-untyped-call]
    return out.transpose(1, 2), None


def register() -> None:
    """Make the name known to `transformers`; calling it again changes nothing."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _blocks(positions: int) -> list[tuple[int, int]]:
    return [(start, min(start + QUERY_BLOCK, positions)) for start in range(0, positions, QUERY_BLOCK)]
