"""Published parameter counts, and FLOPs by hand and against the formula over positions one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.runs.architecture import Architecture
from speciate.runs.cost import flops_per_token
from speciate.runs.spec import ModelSpec

LLAMA = Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096)
MISTRAL = Architecture(4096, 32, 32, 8, 128, 14336, 32000, 4096)
MIXTRAL = replace(MISTRAL, experts=8, active_experts=2)
NEOX: dict[str, Any] = {
    "gated": False,
    "attention_bias": True,
    "output_bias": True,
    "feed_forward_bias": True,
    "norm_weights": 2,
}


@pytest.mark.parametrize(
    ("architecture", "total"),
    [
        (LLAMA, 6_738_415_616),  # Llama 2 7B
        (Architecture(5120, 40, 40, 40, 128, 13824, 32000, 4096), 13_015_864_320),  # Llama 2 13B
        (Architecture(8192, 80, 64, 8, 128, 28672, 32000, 4096), 68_976_648_192),  # Llama 2 70B
        (Architecture(4096, 32, 32, 8, 128, 14336, 128256, 8192), 8_030_261_248),  # Llama 3 8B
        (MISTRAL, 7_241_732_096),  # Mistral 7B
        (MIXTRAL, 46_702_792_704),  # Mixtral 8x7B
        (
            Architecture(896, 24, 14, 2, 64, 4864, 151936, 4096, tied=True, attention_bias=True),
            494_032_768,
        ),  # Qwen2 .5B
        (Architecture(2048, 18, 8, 1, 256, 16384, 256000, 4096, tied=True), 2_506_172_416),  # Gemma 2B
        (Architecture(768, 12, 12, 12, 64, 3072, 50257, 1024, tied=True, positions=1024, **NEOX), 124_439_808),  # GPT-2
        (Architecture(2048, 24, 16, 16, 128, 8192, 50304, 2048, **NEOX), 1_414_647_808),  # Pythia 1.4B
        (Architecture(512, 6, 8, 8, 64, 2048, 50304, 2048, **NEOX), 70_426_624),  # Pythia 70M
    ],
)
def test_published_parameter_counts(architecture: Architecture, total: int) -> None:
    assert architecture.total == total
    assert architecture.total == architecture.non_embedding + architecture.embedding


def test_a_token_of_a_mixture_of_experts_passes_through_its_experts_only() -> None:
    assert MIXTRAL.active == 12_879_925_248  # "12.9B active parameters" (Jiang et al. 2024)
    assert MIXTRAL.active - MIXTRAL.embedding == MIXTRAL.active_non_embedding
    router = 32 * 4096 * 8
    more = MIXTRAL.training_flops_per_token() - MISTRAL.training_flops_per_token()
    assert more == 6 * (32 * MISTRAL.expert_params + router)
    assert MIXTRAL.layer_params * 32 + 4096 == MIXTRAL.non_embedding


def test_a_shared_expert_counts_for_every_token() -> None:
    """Qwen1.5-MoE-A2.7B: "14.3B parameters in total and 2.7B activated parameters" (its model card)."""
    qwen = Architecture(
        2048, 24, 16, 16, 128, 1408, 151936, 4096, experts=60, active_experts=4, shared_feed_forward=5632,
        attention_bias=True,
    )  # fmt: skip
    assert qwen.total == 14_315_784_192 and qwen.active == 2_689_173_504
    assert qwen.shared_params == 4 * qwen.expert_params + 2048


def test_experts_of_a_spec_by_hand() -> None:
    """FLOPs of a training step per token count the active experts, the router, the shared MLP and the head."""
    sizes: dict[str, Any] = {"experts": 6, "experts_per_token": 2, "expert_intermediate_size": 40}
    spec = ModelSpec("qwen2_moe", 64, 3, 4, 160, 1024, 256, router_aux_loss=0.001, **sizes)
    architecture = Architecture.of_spec(spec)
    assert architecture.non_embedding == spec.params and architecture.active_non_embedding == spec.active_params
    layer = 4 * 64 * 64 + 3 * 64 + 2 * 64 + 2 * 3 * 64 * 40 + 6 * 64 + 3 * 64 * 160 + 64
    by_hand = 6 * (3 * layer + 64 + 64 * 1024) + 6 * 3 * 64 * 256
    assert flops_per_token(spec) == architecture.training_flops_per_token() == by_hand


@given(
    st.sampled_from(["llama", "qwen2"]), st.integers(1, 4), st.integers(1, 8), st.integers(1, 300),
    st.integers(1, 500), st.integers(1, 9), st.sampled_from([1, 2, 4]), st.booleans(),
)  # fmt: skip
def test_a_spec_and_its_architecture_count_the_same(
    kind: str, layers: int, head: int, inner: int, vocabulary: int, length: int, keys: int, tied: bool
) -> None:
    spec = ModelSpec(kind, 8 * head, layers, 4, inner, vocabulary, 2 * length, tied, kv_heads=keys)
    architecture = Architecture.of_spec(spec)
    assert architecture.non_embedding == architecture.active_non_embedding == spec.params
    assert architecture.embedding == (1 if tied else 2) * vocabulary * 8 * head
    by_hand = 6 * (spec.params + 8 * head * vocabulary) + 6 * layers * 8 * head * 2 * length
    assert flops_per_token(spec) == architecture.training_flops_per_token() == by_hand


def test_recomputation_runs_the_layers_a_second_time_but_not_the_head() -> None:
    again = LLAMA.training_flops_per_token(recompute=True) - LLAMA.training_flops_per_token()
    assert again == LLAMA.forward_flops_per_token() - 2 * 4096 * 32000
    assert (
        LLAMA.training_flops_per_token(8192) > LLAMA.training_flops_per_token() == 3 * LLAMA.forward_flops_per_token()
    )


@pytest.mark.parametrize("window", [None, 3, 7, 40])
@pytest.mark.parametrize("windowed", [0, 2, 3])
def test_reading_is_the_sum_of_writing(window: int | None, windowed: int) -> None:
    """Token by token with i keys each, against the mean in closed form, which has S / 2 keys for (S + 1) / 2."""
    model = Architecture(16, 3, 2, 1, 8, 32, 100, 12, window=window, windowed_layers=windowed if window else 0)
    length = 400
    head = 2 * 16 * 100
    written = sum(model.decode_flops_per_token(kept) - head for kept in range(1, length + 1)) + head
    assert model.prefill_flops(length) == pytest.approx(written, rel=0.01)
    short = model.decode_flops_per_token(length)
    assert short == 2 * model.non_embedding + head + 4 * 16 * sum(
        min(length, window or length) if layer < model.windowed_layers else length for layer in range(3)
    )


def test_keys_and_values_kept() -> None:
    assert LLAMA.cache_values(1000) == 2 * 32 * 4096 * 1000
    assert MISTRAL.cache_values(1000) == LLAMA.cache_values(1000) // 4
    assert replace(MISTRAL, window=100, windowed_layers=32).cache_values(1000) == MISTRAL.cache_values(100)
