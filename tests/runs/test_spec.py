"""A spec survives JSON, counts its parameters as transformers does, and says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from speciate.runs.spec import ModelSpec, Phase, RunSpec, spec_problems

MODEL = ModelSpec("llama", 64, 3, 4, 160, 1024, 256)
SIZES: dict[str, Any] = {
    "experts": 6, "experts_per_token": 2, "expert_intermediate_size": 40, "router_aux_loss": 0.001
}  # fmt: skip
MIXED = replace(MODEL, architecture="qwen2_moe", **SIZES)
RUN = RunSpec("r", MODEL, 0, (Phase((("a", 0.25), ("b", 0.75)), 2048, 1e-3),), 4, "corpus")


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 1, 2])
def test_params_is_the_real_count(architecture: str, tie: bool, kv_heads: int | None) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    spec = replace(MODEL, architecture=architecture, tie_embeddings=tie, kv_heads=kv_heads)
    config_class = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[architecture]
    config = config_class(
        hidden_size=spec.hidden_size,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=4 if kv_heads is None else kv_heads,
        intermediate_size=spec.intermediate_size,
        vocab_size=spec.vocab_size,
        tie_word_embeddings=tie,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    named = dict(model.named_parameters())  # tied weights once
    embedding = sum(p.numel() for name, p in named.items() if "embed_tokens" in name or "lm_head" in name)
    assert sum(p.numel() for p in named.values()) - embedding == spec.params
    assert embedding == spec.hidden_size * spec.vocab_size * (1 if tie else 2)


def test_params_of_experts_by_hand() -> None:
    """h = 64, 3 layers, 6 experts of width 40 (2 active), a shared MLP of width 160 with a gate of h weights."""
    attention = 4 * 64 * 64 + 3 * 64  # four matrices, three biases
    layer = attention + 3 * 64 * 160 + 64 + 6 * 64 + 2 * 64  # shared MLP, its gate, the router, two norms
    assert MIXED.params == 3 * (layer + 6 * 3 * 64 * 40) + 64
    assert MIXED.active_params == 3 * (layer + 2 * 3 * 64 * 40) + 64
    assert MODEL.active_params == MODEL.params


def test_sizes_of_experts_go_together() -> None:
    def found(model: ModelSpec) -> list[str]:
        return [problem.what for problem in spec_problems(replace(RUN, model=model))]

    for sound in (MIXED, replace(MIXED, experts_per_token=6), replace(MIXED, router_aux_loss=0.0)):
        assert found(sound) == []
    bare = "a mixture of experts without experts, experts_per_token, expert_intermediate_size, router_aux_loss"
    assert found(replace(MODEL, architecture="qwen2_moe")) == [bare]
    assert found(replace(MODEL, experts=4)) == ["llama has no experts"]
    assert found(replace(MIXED, experts_per_token=7)) == ["7 of 6 experts of width 40"]
    assert found(replace(MIXED, router_aux_loss=-1.0)) == ["router_aux_loss is -1.0"]


def test_round_trip_through_json() -> None:
    mixed = replace(RUN, model=MIXED)
    assert RunSpec.from_json(json.loads(json.dumps(mixed.to_json()))) == mixed
    model = replace(MODEL, init_from="base", init_digest="d", kv_heads=2)
    run = replace(RUN, model=model, phases=(RUN.phases[0], replace(RUN.phases[0], schedule="cosine")))
    assert RunSpec.from_json(json.loads(json.dumps(run.to_json()))) == run
    written_before = RUN.to_json()
    for name in ("kv_heads", *SIZES):  # as a spec.json from before there were the fields
        del written_before["model"][name]
    assert RunSpec.from_json(written_before) == RUN


def test_a_sound_run_has_no_problems() -> None:
    assert spec_problems(RUN) == []
    assert RUN.tokens_per_step == 1024


def test_every_problem_is_named_at_once() -> None:
    phase = Phase((("b", 0.5), ("a", 0.6)), 1500, -1.0, warmup_tokens=-1, schedule="linear")
    model = replace(MODEL, architecture="gpt", hidden_size=66, init_from="base")
    run = replace(RUN, model=model, precision="int8", phases=(phase, replace(RUN.phases[0], tokens=0)))
    text = "\n".join(str(problem) for problem in spec_problems(run))
    expected = ["int8", "'gpt'", "66 over 4 heads", "not identified", "1500 tokens", "use 1024 or 2048", "'linear'"]
    expected += ["learning_rate is -1.0", "warmup_tokens is -1", "[0.5, 0.6]", "['b', 'a']", "phase 2: 0 tokens"]
    assert [part for part in expected if part not in text] == []


@pytest.mark.parametrize(
    ("kv_heads", "sound"), [(None, True), (1, True), (4, True), (0, False), (3, False), (8, False)]
)
def test_key_heads_divide_heads(kv_heads: int | None, sound: bool) -> None:
    found = [str(p) for p in spec_problems(replace(RUN, model=replace(MODEL, kv_heads=kv_heads)))]
    assert (found == []) == sound and all(f"4 heads share {kv_heads} kv_heads" in text for text in found)


def test_no_phases_and_no_sequences() -> None:
    text = "\n".join(str(problem) for problem in spec_problems(replace(RUN, phases=(), batch_sequences=0)))
    assert "no phases" in text and "0 sequences of 256" in text
