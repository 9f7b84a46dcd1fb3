"""The sizes of a model that is continued from a local Hugging Face checkpoint, read from its config.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.spec import ARCHITECTURES
from speciate.study.config import ModelConfig
from speciate.study.yamltext import read_text

_SIZES = {
    "architecture": "model_type",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
}
_EXPERT_SIZES = {
    "intermediate_size": "shared_expert_intermediate_size",
    "experts": "num_experts",
    "experts_per_token": "num_experts_per_tok",
    "expert_intermediate_size": "moe_intermediate_size",
}


def with_checkpoint_sizes(model: ModelConfig, where: str) -> ModelConfig:
    """``model`` with its sizes taken from ``init_from``/config.json; unchanged when it has no ``init_from``.

    Raises UserError at ``where`` for a folder that is not a checkpoint, an architecture that cannot be
    continued, heads of a size of their own, and sizes in the study that disagree with the checkpoint's.
    Rotary embeddings and norms need no mention: training loads the checkpoint with its own config.
    """
    if model.init_from is None:
        return model
    file = Path(model.init_from) / "config.json"
    if not file.is_file():
        fix = "give a local folder; fetch one with: hf download ORGANISATION/MODEL --local-dir FOLDER"
        raise UserError(Problem(f"{model.init_from} is not a folder with a config.json", f"{where}.init_from", fix))
    try:
        found: dict[str, Any] = json.loads(read_text(file))
        sizes = _sizes(found)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        fix = "use a Llama, Qwen2 or Qwen2-MoE checkpoint saved by transformers"
        raise UserError(Problem(f"{file} does not describe a model ({error!r})", f"{where}.init_from", fix)) from None
    problems = [Problem(what, f"{where}.init_from", fix) for what, fix in _unsupported(found, sizes)]
    for name in sorted(set(sizes) & model.model_fields_set):
        given = getattr(model, name)
        if given != sizes[name] and given is not None:  # null leaves it to the checkpoint
            what = f"{name} is {given}, but the checkpoint's is {sizes[name]}"
            problems.append(Problem(what, f"{where}.{name}", "leave it out: it is read from the checkpoint"))
    if problems:
        raise UserError(problems)
    if sizes["architecture"] == "qwen2_moe" and model.router_aux_loss is None:
        sizes["router_aux_loss"] = found.get("router_aux_loss_coef")
    return model.model_copy(update=sizes)


def _sizes(found: dict[str, Any]) -> dict[str, Any]:
    """Our names and values of the sizes in a config.json; KeyError, TypeError or ValueError when it has them not."""
    names = _SIZES | (_EXPERT_SIZES if found["model_type"] == "qwen2_moe" else {})
    sizes = {ours: found[theirs] for ours, theirs in names.items()}
    keys = found.get("num_key_value_heads")
    sizes["kv_heads"] = sizes["heads"] if keys is None else keys
    for name, value in sizes.items():
        if name != "architecture" and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} is {value!r}")
    return sizes


def _unsupported(found: dict[str, Any], sizes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(What, what to do) for every trait of a checkpoint that the study cannot carry."""
    if sizes["architecture"] not in ARCHITECTURES:
        yield f"a checkpoint of the architecture {sizes['architecture']}", f"use one of {', '.join(ARCHITECTURES)}"
        return
    hidden, heads, head_dim = sizes["hidden_size"], sizes["heads"], found.get("head_dim")
    if hidden % heads or head_dim not in (None, hidden // heads):
        size = "" if head_dim is None else f" of size {head_dim}"
        what = f"the checkpoint has {heads} attention heads{size}, which do not make up its hidden_size of {hidden}"
        yield what, "use a checkpoint whose head_dim is hidden_size / num_attention_heads"
    if sizes["architecture"] == "qwen2_moe":
        if found.get("mlp_only_layers") or found.get("decoder_sparse_step", 1) != 1:
            yield "some of the checkpoint's layers have no experts", "use one with experts in every layer"
        if found.get("qkv_bias") is False:
            yield "the checkpoint has no qkv_bias, which models here do", "use a checkpoint with it"
    for name in ("attention_bias", "mlp_bias"):
        if sizes["architecture"] == "llama" and found.get(name):
            yield f"the checkpoint has {name}, which Llama models here do not", "use a checkpoint without it"
