from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from speciate.corpus.tokens.tokenizer import train_tokenizer
from speciate.errors import UserError
from speciate.runs.spec import ModelSpec, RunSpec
from speciate.runs.tree import RunTree, build_tree
from speciate.training.model import build_model, export_model, non_embedding_params

TINY = ModelSpec("llama", 16, 1, 2, 32, 64, 16)
MIXED = replace(
    TINY,
    architecture="qwen2_moe",
    experts=4,
    experts_per_token=2,
    expert_intermediate_size=8,
    router_aux_loss=0.01,
)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("kv_heads", [None, 1])
def test_counts_and_seeds(architecture: str, tie: bool, kv_heads: int | None) -> None:
    spec = replace(TINY, architecture=architecture, layers=2, tie_embeddings=tie, kv_heads=kv_heads)
    before = torch.random.get_rng_state()
    model, same, other = build_model(spec, 1), build_model(spec, 1), build_model(spec, 2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert non_embedding_params(model) == spec.params
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tie
    assert torch.equal(model.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(model.lm_head.weight, other.lm_head.weight)
    assert model.training and all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("kv_heads", [None, 1])
def test_counts_of_experts(kv_heads: int | None) -> None:
    spec = replace(MIXED, layers=2, kv_heads=kv_heads)
    model, same = build_model(spec, 1), build_model(spec, 1)
    assert non_embedding_params(model) == spec.params
    router = model.get_parameter("model.layers.1.mlp.gate.weight")
    assert router.shape == (4, 16) and router.std() > 0.01
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), same.parameters(), strict=True))


def test_a_folder_of_experts_says_what_is_wrong(tmp_path: Path) -> None:
    build_model(MIXED, 3).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="experts_per_token is 2 but the run's model has 1"):
        build_model(replace(MIXED, init_from=str(tmp_path), experts_per_token=1), 0)
    with pytest.raises(UserError, match="model_type is qwen2_moe but the run's model is llama"):
        build_model(replace(TINY, init_from=str(tmp_path)), 0)


@pytest.mark.parametrize("spec", [TINY, MIXED], ids=["dense", "experts"])
def test_starts_from_a_folder(spec: ModelSpec, tmp_path: Path) -> None:
    first = build_model(spec, 3)
    first.save_pretrained(tmp_path)
    again = build_model(replace(spec, init_from=str(tmp_path)), 99)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("tie", [True, False])
def test_a_checkpoint_keeps_its_own_config(architecture: str, tie: bool, tmp_path: Path) -> None:
    spec = replace(TINY, architecture=architecture, heads=4, kv_heads=2, tie_embeddings=tie)
    first = build_model(spec, 3)
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}
    kind, config = type(first), first.config
    config.rope_parameters, config.rms_norm_eps = rope, 1e-5
    scaled = kind(config)  # the rotary frequencies are computed once, from the config
    scaled.load_state_dict(first.state_dict())
    scaled.to(torch.bfloat16).save_pretrained(tmp_path)  # as checkpoints come
    model = build_model(replace(spec, init_from=str(tmp_path)), 0)
    assert model.config.rope_parameters == rope and model.config.rms_norm_eps == 1e-5
    assert non_embedding_params(model) == spec.params
    assert all(p.dtype == torch.float32 for p in model.parameters())
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager")
    tokens = torch.arange(16)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, plain(tokens).logits)
        assert not torch.allclose(model(tokens).logits, build_model(spec, 3)(tokens).logits, atol=1e-4)


def test_says_all_that_is_wrong_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no config.json"):
        build_model(replace(TINY, init_from=str(tmp_path)), 0)
    build_model(TINY, 3).save_pretrained(tmp_path)
    with pytest.raises(UserError) as caught:
        build_model(replace(TINY, init_from=str(tmp_path), layers=2, vocab_size=65), 0)
    assert {p.what.split()[0] for p in caught.value.problems} == {"layers", "vocab_size", "params"}
    with pytest.raises(UserError, match="kv_heads is 2 but the run's model has 1"):
        build_model(replace(TINY, init_from=str(tmp_path), kv_heads=1), 0)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read"):
        build_model(replace(TINY, init_from=str(tmp_path)), 0)


def test_export_is_an_ordinary_folder(short_and_long: RunTree, train: Callable[..., str], tmp_path: Path) -> None:
    node = short_and_long.nodes[0]
    with pytest.raises(UserError, match="no spec.json"):
        export_model(tmp_path / node.key, tmp_path / "out")
    train(node, tmp_path)
    train_tokenizer(["some text"], 257).save(str(tmp_path / "tokenizer.json"))
    out = export_model(tmp_path / node.key, tmp_path / "out", tmp_path / "tokenizer.json")
    assert "speciate" not in (out / "config.json").read_text(encoding="utf-8")
    loaded = AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    tokens = torch.arange(8)[None]
    ours = build_model(replace(TINY, init_from=str(out)), 0)
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, ours(tokens).logits)
    tokenizer = AutoTokenizer.from_pretrained(out, local_files_only=True)
    assert tokenizer.decode(tokenizer.encode("some text")) == "some text"
    assert RunSpec.from_json(json.loads((tmp_path / node.key / "spec.json").read_text())["spec"]) == node.spec


def test_experts_are_exported_as_an_ordinary_folder(mixed: RunSpec, train: Callable[..., str], tmp_path: Path) -> None:
    node = build_tree([mixed]).nodes[0]
    train(node, tmp_path)
    out = export_model(tmp_path / node.key, tmp_path / "out")
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "qwen2_moe" and "speciate" not in str(config)
    assert (config["num_experts"], config["num_experts_per_tok"], config["router_aux_loss_coef"]) == (4, 2, 0.1)
    loaded = AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    tokens = torch.arange(8)[None]
    ours = build_model(replace(mixed.model, init_from=str(out)), 0)
    fresh = build_model(mixed.model, mixed.init_seed)
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, ours(tokens).logits)
        assert not torch.allclose(ours(tokens).logits, fresh(tokens).logits, atol=1e-3), "it was trained"
