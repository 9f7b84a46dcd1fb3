"""The bill of a run against published device hours, and as a person and a program read it."""

from __future__ import annotations

import json

import pytest

from speciate.runs.actuals import Correction
from speciate.runs.architecture import Architecture
from speciate.runs.devices import Device, device_named
from speciate.runs.estimate import TRAINING_MFU
from speciate.runs.training_cost import TrainingCost, training_cost

LLAMA = Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096)
EIGHT_B = Architecture(4096, 32, 32, 8, 128, 14336, 128256, 8192)
PUBLISHED = [  # hidden, layers, heads, key heads, width, vocabulary, sequence; tokens, device hours, device
    # Touvron et al. 2023 (LLaMA), table 15
    (Architecture(4096, 32, 32, 32, 128, 11008, 32000, 2048), 1.0e12, 82_432, "A100-80"),
    (Architecture(5120, 40, 40, 40, 128, 13824, 32000, 2048), 1.0e12, 135_168, "A100-80"),
    (Architecture(6656, 60, 52, 52, 128, 17920, 32000, 2048), 1.4e12, 530_432, "A100-80"),
    (Architecture(8192, 80, 64, 64, 128, 22016, 32000, 2048), 1.4e12, 1_022_362, "A100-80"),
    # Touvron et al. 2023 (Llama 2), table 2
    (LLAMA, 2e12, 184_320, "A100-80"),
    (Architecture(5120, 40, 40, 40, 128, 13824, 32000, 4096), 2e12, 368_640, "A100-80"),
    (Architecture(8192, 80, 64, 8, 128, 28672, 32000, 4096), 2e12, 1_720_320, "A100-80"),
    # model card of Llama 3.1: "15T+" tokens; 15.6T of the largest (Llama Team 2024)
    (EIGHT_B, 15e12, 1_460_000, "H100"),
    (Architecture(8192, 80, 64, 8, 128, 28672, 128256, 8192), 15e12, 7_000_000, "H100"),
    (Architecture(16384, 126, 128, 8, 128, 53248, 128256, 8192), 15.6e12, 30_840_000, "H100"),
]


def test_published_device_hours_lie_within_the_range_for_eight_models_of_ten() -> None:
    shares, inside = [], 0
    for model, tokens, hours, name in PUBLISHED:
        found = training_cost(model, tokens, device=device_named(name), count=64).estimate
        assert found is not None
        inside += found.device_hours.low <= hours <= found.device_hours.high
        shares.append(TRAINING_MFU[1] * found.device_hours.expected / hours)
    assert inside == 8
    assert (round(min(shares), 2), round(max(shares), 2)) == (0.15, 0.52)  # as estimate's page of documentation says
    assert sorted(shares)[4] == pytest.approx(0.41, abs=0.01) and TRAINING_MFU[1] == 0.4


def text(found: TrainingCost) -> str:
    return "\n".join(f"{name}: {value}" for name, value in found.rows())


def test_flops_beside_the_shortcut() -> None:
    found = training_cost(LLAMA, 2e12)
    assert found.flops == 2e12 * LLAMA.training_flops_per_token()
    assert found.six_n == 6 * LLAMA.non_embedding
    assert "6 N is 3.886e+10, 9.3% below" in text(found)
    again = training_cost(LLAMA, 2e12, recompute=True)
    assert again.flops_per_token == LLAMA.training_flops_per_token(recompute=True)
    longer = training_cost(LLAMA, 2e12, sequence_length=32768)
    attention = 3 * LLAMA.attention_flops_per_token(32768)
    assert longer.flops_per_token - found.flops_per_token == attention * 7 // 8
    assert f"{attention / longer.flops_per_token:.1%} of it attention" in text(longer)


def test_a_number_of_parameters_says_what_it_cannot_know() -> None:
    found = training_cost(7_000_000_000, 1e12, device=device_named("H100"))
    assert found.flops == 6 * 7e9 * 1e12
    assert training_cost(7_000_000_000, 1e12, recompute=True).flops == 8 * 7e9 * 1e12
    told = found.to_json()
    assert (told["serving"], told["memory"]["activations"], told["memory"]["fits"]) == (None, None, False)
    assert "unknown activations" in text(found) and "does not fit" in text(found)
    assert "may fit" in text(training_cost(1_000_000_000, 1e12, device=device_named("H100")))
    assert training_cost(7, 1e12).to_json()["params"] == {"total": 7, "non_embedding": None, "active": None}


def test_without_a_device_hours_and_money_are_unknown() -> None:
    found = training_cost(LLAMA, 1e12)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [told[name] for name in ("device", "seconds", "device_hours", "money", "mfu")] == [None] * 5
    assert told["memory"]["fits"] is None
    assert "time and money: unknown: name a --device" in text(found)
    assert "hours and money unknown" in found.status


def test_prices_and_memories_that_are_unknown() -> None:
    found = training_cost(LLAMA, 1e12, device=Device("mine", 1e14, None, ""))
    assert found.to_json()["money"] is None and found.fits is None
    assert "money: unknown: give a --price per hour" in text(found)
    assert "the memory of mine is unknown" in text(found)


def test_sharding_and_the_way_to_make_it_fit() -> None:
    h100 = device_named("H100")
    alone = training_cost(EIGHT_B, 1e12, device=h100, count=8)
    assert alone.fits is False and alone.remedy is not None
    assert f"would fit with {alone.remedy}" in text(alone)
    spread = training_cost(EIGHT_B, 1e12, device=h100, count=8, sharded=True)
    assert spread.fits is True and spread.remedy is None and "would fit" not in text(spread)
    assert alone.remedy.startswith("full sharding over 8 devices: ")
    assert spread.estimate == alone.estimate  # communication is in the utilisation
    huge = training_cost(EIGHT_B, 1e12, device=Device("tiny", 1e12, 1e6, ""))
    assert huge.remedy is None and "needs a larger device" in text(huge)


def test_experts_and_serving_are_told() -> None:
    experts = Architecture(4096, 32, 32, 8, 128, 14336, 32000, 4096, experts=8, active_experts=2)
    found = training_cost(experts, 1e12, device=device_named("H100"), correction=Correction(1.0, 1.5, 2.0, 3, 1))
    assert "a token passes through 12,879,925,248" in text(found)
    assert found.six_n == 6 * experts.active_non_embedding
    serving = found.to_json()["serving"]
    assert serving["prefill_flops"] == experts.prefill_flops(4096)
    assert serving["decode_flops_per_token"] == experts.decode_flops_per_token(4096)
    assert "these times are: corrected by 1.5 (1 to 2)" in text(found) and "assumed" not in text(found)
    assert found.to_json()["correction"]["runs"] == 3


def test_a_utilisation_below_a_percent_is_told() -> None:
    found = training_cost(LLAMA, 1e12, device=device_named("H100"), mfu=(0.0012, 0.002, 0.003), batch=1000)
    assert "assumed: 0.2% of 989 TFLOP/s is used, 0.12% to 0.3%" in text(found)
    assert found.estimate is not None and found.estimate.told_source() == "at 0.12% to 0.3% of its peak"
    assert "activations of 1,000 sequences" in text(found)
