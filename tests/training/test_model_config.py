"""Architectures read from config.json count what transformers builds, on the meta device: no weights are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speciate.runs.memory import activation_bytes
from speciate.runs.model_config import read_architecture

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WIDE = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 200}
GROUPED = WIDE | {"num_key_value_heads": 2}
HEADED = GROUPED | {"head_dim": 16}
EXPERTS = GROUPED | {"num_experts_per_tok": 2}
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("llama", GROUPED),
    ("llama", WIDE | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 8}),
    ("mistral", GROUPED),
    ("mixtral", EXPERTS | {"num_local_experts": 4}),
    ("qwen2", GROUPED | {"tie_word_embeddings": True}),
    ("qwen2_moe", EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 56}),
    ("qwen2_moe", EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "qkv_bias": False}),
    ("qwen3", HEADED),
    ("qwen3_moe", HEADED | {"num_experts_per_tok": 2, "num_experts": 4, "moe_intermediate_size": 24}),
    ("gemma", HEADED),
    ("gemma2", HEADED),
    ("gemma3_text", HEADED),
    ("gpt2", {"n_embd": 48, "n_layer": 3, "n_head": 4, "vocab_size": 200, "n_positions": 64}),
    ("gpt2", {"n_embd": 48, "n_layer": 3, "n_head": 4, "vocab_size": 200, "n_positions": 64, "n_inner": 100}),
    ("gpt_neox", WIDE),
    ("gpt_neox", WIDE | {"attention_bias": False, "tie_word_embeddings": True}),
    ("olmo", GROUPED),
    ("olmo2", GROUPED),
    ("olmoe", EXPERTS | {"num_experts": 4}),
]


@pytest.mark.parametrize(("kind", "sizes"), MODELS, ids=lambda value: value if isinstance(value, str) else "")
def test_parameters_are_those_that_transformers_builds(kind: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(kind, **sizes)
    config.save_pretrained(tmp_path)  # the file as checkpoints come with it
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    counted = sum(parameter.numel() for parameter in model.parameters())
    inside = [name for name, _ in model.named_parameters() if not any(part in name for part in ("embed", "wte", "wpe"))]
    inside = [name for name in inside if "lm_head" not in name]
    found = read_architecture(tmp_path)
    assert found.total == counted
    assert found.non_embedding == sum(model.get_parameter(name).numel() for name in inside)
    types = getattr(config, "layer_types", None) or ["sliding_attention"] * 3 * (kind == "mistral")
    assert found.windowed_layers == (types.count("sliding_attention") if config.to_dict().get("sliding_window") else 0)
    file = tmp_path / "config.json"
    plain = json.loads(file.read_text(encoding="utf-8"))
    plain.pop("layer_types", None)  # files of older releases do not list them
    file.write_text(json.dumps(plain), encoding="utf-8")
    assert read_architecture(file) == found


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "gpt_neox", "gemma"])
def test_flops_agree_with_the_counter_of_torch(kind: str, tmp_path: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    sizes = {name: size * 4 if name in ("hidden_size", "intermediate_size", "head_dim") else size
             for name, size in next(sizes for name, sizes in MODELS if name == kind).items()}  # fmt: skip
    config = transformers.AutoConfig.for_model(kind, **sizes, attn_implementation="eager")
    config._experts_implementation = "eager"  # the counter does not know grouped matrix products
    config.save_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_config(config)
    ids = torch.arange(2 * 32).reshape(2, 32)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    found = read_architecture(tmp_path)
    # Norms and biases are 1 % of so small a model's FLOPs; we count them, torch does not.
    masked = 6 * found.layers * found.heads * found.head_size * 32  # eager attention multiplies these too
    expected = found.training_flops_per_token(32) + masked
    assert counter.get_total_flops() / ids.numel() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("kind", "low", "high"), [("gpt_neox", 0.99, 1.02), ("llama", 1.15, 1.3)])
def test_activations_are_those_that_torch_keeps(kind: str, low: float, high: float, tmp_path: Path) -> None:
    """Bytes kept for the backward pass, over the formula's. transformers' RMSNorm keeps float32 copies, ours not."""
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_attention_heads": 4, "vocab_size": 100}
    kept = []
    for layers in (1, 3):
        config = transformers.AutoConfig.for_model(kind, num_hidden_layers=layers, attn_implementation="sdpa", **sizes)
        model = transformers.AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        found: dict[int, Any] = {}

        def keep(tensor: Any, weights: set[int] = weights, found: dict[int, Any] = found) -> Any:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                found[storage.data_ptr()] = storage
            return tensor

        ids = torch.arange(128).reshape(2, 64) % 100
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(input_ids=ids, labels=ids).loss
        assert loss.isfinite()
        kept.append(sum(storage.nbytes() for storage in found.values()))
    config.save_pretrained(tmp_path)
    assert low <= (kept[1] - kept[0]) / 2 / 128 / (activation_bytes(read_architecture(tmp_path)) / 3) <= high
