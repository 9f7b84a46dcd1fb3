"""One optimizer step: learning rate, loss, gradient, AdamW. Nothing here draws a random number.

What is not the textbook: bfloat16 autocast when the run says so, and a cross-entropy that goes through the
positions in chunks and leaves the gradient behind, so the logits of a batch never exist at once.

A mixture of experts has a second loss, which keeps its router from sending all tokens to few experts. It is added
before the gradient and nowhere else: the loss that is returned, kept and measured is the cross-entropy alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_moe.modeling_qwen2_moe import load_balancing_loss_func

from speciate.runs.spec import Phase, RunSpec
from speciate.training.model import CausalLM

CHUNK_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}  # float32 logits at a time; 2 MiB stays in a core's cache (measured)


def learning_rate(phase: Phase, tokens_in_phase: int) -> float:
    """The learning rate of the step that ends at ``tokens_in_phase`` tokens of its phase.

    warmup-stable: peak * min(1, t / warmup). cosine: the same warmup, then peak / 2 * (1 + cos(pi p)) with p the
    share of the remaining tokens that is done, so it ends at zero.

    >>> phase = Phase((("a", 1.0),), tokens=1000, learning_rate=0.01, warmup_tokens=100)
    >>> learning_rate(phase, 50), learning_rate(phase, 100), learning_rate(phase, 1000)
    (0.005, 0.01, 0.01)
    """
    assert 0 <= tokens_in_phase <= phase.tokens, (tokens_in_phase, phase.tokens)
    if tokens_in_phase < phase.warmup_tokens:
        return phase.learning_rate * tokens_in_phase / phase.warmup_tokens
    if phase.schedule == "cosine":
        rest = max(1, phase.tokens - phase.warmup_tokens)
        return phase.learning_rate * (1 + math.cos(math.pi * (tokens_in_phase - phase.warmup_tokens) / rest)) / 2
    assert phase.schedule == "warmup-stable", phase.schedule
    return phase.learning_rate


def build_optimizer(model: torch.nn.Module, spec: RunSpec) -> torch.optim.AdamW:
    """AdamW with decoupled weight decay on matrices only (norms and biases have no scale to be pulled to)."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(spec.beta1, spec.beta2), fused=True)


def train_step(model: CausalLM, optimizer: torch.optim.AdamW, samples: Tensor, spec: RunSpec, rate: float) -> Tensor:
    """One step on samples (batch, sequence_length + 1). Returns the mean loss in nats per token, on the device."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss, objective = _losses(model, samples, spec)
    objective.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), spec.grad_clip)
    optimizer.step()
    return loss.detach()


def mean_loss(model: CausalLM, samples: Tensor, precision: str) -> Tensor:
    """Cross-entropy of every next token in samples (batch, T + 1), a scalar in nats per token, ready for backward."""
    return _cross_entropy(model, hidden_states(model, samples[:, :-1], precision), samples)


def hidden_states(model: CausalLM, tokens: Tensor, precision: str) -> Tensor:
    """The last hidden states of tokens (batch, T) as (batch * T, hidden), in the precision of the run."""
    return _forward(model, tokens, precision)[0]


def balance_loss(model: CausalLM, router_logits: tuple[Tensor, ...]) -> Tensor:
    """E sum_e f_e p_e, a scalar: f_e of the choices per token fall on expert e, p_e is its mean probability.

    ``router_logits`` hold (batch * T, E) for every layer; means run over all of them, as in transformers. Even routing
    to k experts gives k, all tokens to the same k experts up to E. Fedus et al. 2021, equations 4 to 6.
    """
    config: Any = model.config
    logits: Any = tuple(layer.float() for layer in router_logits)  # as the router itself reads them
    loss: Any = load_balancing_loss_func(logits, config.num_experts, config.num_experts_per_tok)
    assert isinstance(loss, Tensor), "a model without experts has no router"
    return loss


def _losses(model: CausalLM, samples: Tensor, spec: RunSpec) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of samples, and what the gradient is taken of."""
    weight = spec.model.router_aux_loss
    hidden, router_logits = _forward(model, samples[:, :-1], spec.precision, routers=bool(weight))
    loss = _cross_entropy(model, hidden, samples)
    return loss, loss + weight * balance_loss(model, router_logits) if weight else loss


def _cross_entropy(model: CausalLM, hidden: Tensor, samples: Tensor) -> Tensor:
    loss: Tensor = ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, model.lm_head.weight, samples[:, 1:].reshape(-1)
    )
    return loss


def _forward(
    model: CausalLM, tokens: Tensor, precision: str, *, routers: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Last hidden states (batch * T, hidden), and with ``routers`` every layer's router logits (batch * T, experts)."""
    assert precision in ("float32", "bfloat16"), precision
    low = precision == "bfloat16"
    options: dict[str, bool] = {"output_router_logits": True} if routers else {}
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=low):
        output: Any = model.model(tokens, use_cache=False, **options)
    hidden: Tensor = output.last_hidden_state
    return hidden.reshape(-1, hidden.shape[-1]).to(torch.bfloat16 if low else torch.float32), (
        output.router_logits if routers else ()
    )


def chunk_rows(vocab_size: int, device_type: str) -> int:
    """Positions whose float32 logits fit in the budget of `CHUNK_BYTES`, at least 16."""
    return max(16, CHUNK_BYTES.get(device_type, CHUNK_BYTES["cuda"]) // (4 * vocab_size))


class ChunkedCrossEntropy(torch.autograd.Function):
    """mean_i -log softmax(hidden_i W^T)[target_i]; hidden (n, h), W (vocab, h), targets (n,).

    The gradient is (softmax - one-hot) / n, so the forward pass leaves dhidden and dW behind and drops the logits.
    Products run in the dtype of ``hidden``; the softmax, the loss and dW are in float32.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        count, rows = len(targets), chunk_rows(len(weight), hidden.device.type)
        head = weight.to(hidden.dtype)
        total = torch.zeros((), device=hidden.device)
        dhidden, dweight = torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, count, rows):
            part, wanted = hidden[start : start + rows], targets[start : start + rows, None]
            logits = (part @ head.t()).float()
            logits -= logits.amax(-1, keepdim=True)
            right = logits.gather(1, wanted)
            normalizer = logits.exp_().sum(-1, keepdim=True)
            total += (normalizer.log() - right).sum()
            logits /= normalizer  # now the probabilities
            logits.scatter_add_(1, wanted, torch.full_like(right, -1.0))
            gradient = logits.to(hidden.dtype)
            torch.mm(gradient, head, out=dhidden[start : start + rows])
            dweight += gradient.t() @ part
        ctx.save_for_backward(dhidden, dweight)
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        dhidden, dweight = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return dhidden * scale, dweight * scale, None
