"""Bytes by hand, against published figures, and orders that must hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciate.runs.architecture import Architecture
from speciate.runs.devices import Device, device_named
from speciate.runs.memory import (
    USABLE,
    activation_bytes,
    fits,
    gigabytes,
    inference_memory,
    training_memory,
    would_fit,
)

LLAMA = Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096)
MIXTRAL = Architecture(4096, 32, 32, 8, 128, 14336, 32000, 4096, experts=8, active_experts=2)
SMALL = Architecture(64, 4, 4, 2, 16, 160, 1000, 128)


def test_the_numbers_of_the_zero_paper() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5B parameters, 64 devices: 120 GB data parallel, 1.9 GB fully sharded."""
    assert training_memory(7_500_000_000, devices=64).known == 120e9
    assert training_memory(7_500_000_000, devices=64, sharded=True).known == pytest.approx(1.9e9, rel=0.02)


def test_activations_are_those_of_korthikanti_without_dropout() -> None:
    """Equation 2: s b h (34 + 5 a s / h); without the scores (flash attention), two dropout masks' 1 + 1 bytes."""
    gpt3 = Architecture(12288, 96, 96, 96, 128, 4 * 12288, 50257, 2048, gated=False)
    assert activation_bytes(gpt3) == 96 * 12288 * (34 - 2)
    again = activation_bytes(gpt3, recompute=True)
    assert again == 96 * 12288 * 2 + 12288 * 32  # 2 s b h per layer (their section 5), and the one in work


def test_parts_by_hand() -> None:
    found = training_memory(SMALL, batch=3, sequence_length=50, devices=4, sharded=True)
    share = -(-SMALL.total // 4)
    assert (found.weights, found.gradients, found.optimizer) == (2 * share, 2 * share, 12 * share)
    assert found.gathered == 2 * 2 * SMALL.layer_params + 2 * 2 * 1000 * 64  # two layers, embedding and output head
    layer = 2 * (4 * 64 + 2 * 64 + 2 * 32 + 4 * 160)
    assert found.activations == 150 * 4 * layer
    assert found.logits == 150 * 1000 * 8
    assert (
        found.total == found.known == sum(value for name, value in found.to_json().items() if name != "total" and value)
    )
    assert training_memory(SMALL, devices=1, sharded=True).gathered == 0
    experts = replace(SMALL, experts=8, active_experts=2)
    assert activation_bytes(experts) == 4 * (layer + 2 * (4 * 160 + 2 * 64))
    shared = replace(experts, shared_feed_forward=96)  # input of both gate and value, and their product
    assert activation_bytes(shared) == activation_bytes(experts) + 4 * 2 * 4 * 96


def test_of_a_number_of_parameters_activations_are_unknown() -> None:
    found = training_memory(1000)
    assert (found.known, found.total, found.activations) == (16000, None, None)
    assert fits(found, device_named("L4")) is None  # they may be larger than what is left
    assert fits(training_memory(10**10), device_named("L4")) is False
    assert fits(found, Device("mine", 1e12, None, "")) is None


@given(st.integers(1, 64), st.integers(1, 64), st.booleans(), st.booleans())
def test_more_devices_and_recomputation_never_take_more(devices: int, batch: int, sharded: bool, again: bool) -> None:
    def known(count: int, batch: int, sharded: bool, again: bool) -> int:
        memory = training_memory(LLAMA, batch=batch, devices=count, sharded=sharded, recompute=again)
        return memory.known

    now = known(devices, batch, sharded, again)
    assert known(2 * devices, batch, sharded, again) <= now or (sharded and devices == 1)  # layers to gather
    assert known(devices, batch, sharded, True) <= now < known(devices, batch + 1, sharded, again)
    assert known(max(devices, 2), batch, True, again) <= known(max(devices, 2), batch, False, again)


def test_what_would_fit_is_the_least_that_does() -> None:
    h100, l4 = device_named("H100"), device_named("L4")
    assert would_fit(SMALL, h100, batch=1) == f"as it is: {gigabytes(training_memory(SMALL).known)}"
    eight = training_memory(LLAMA, devices=8, sharded=True)
    assert would_fit(LLAMA, h100, batch=1, devices=8) == f"full sharding over 8 devices: {gigabytes(eight.known)}"
    assert fits(eight, h100) and not fits(training_memory(LLAMA), h100)
    told = would_fit(LLAMA, l4, batch=64, devices=8)
    assert told is not None
    assert told.startswith("full sharding over 8 devices, recomputing activations, one sequence per device: ")
    wide = {"sharded": True, "recompute": True}
    for device, model in ((h100, MIXTRAL), (l4, LLAMA), (l4, MIXTRAL)):
        told = would_fit(model, device, batch=1)
        assert told is not None
        number = int(told.split()[3])
        assert fits(training_memory(model, devices=number, **wide), device)
        assert not fits(training_memory(model, devices=number // 2, **wide), device), "half of them would do"
    assert would_fit(MIXTRAL, Device("tiny", 1e12, 1e6, ""), batch=1) is None


def test_memory_to_serve() -> None:
    weights, cache = inference_memory(MIXTRAL, 4096, sequences=3)
    assert weights == 2 * MIXTRAL.total  # all experts lie there, however few a token meets
    assert cache == 3 * 4096 * 32 * 2 * 8 * 128 * 2
    assert gigabytes(cache) == "1.61 GB"
    assert 0 < USABLE < 1
