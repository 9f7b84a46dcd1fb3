"""A ModelSpec becomes an ordinary `transformers` model, and a trained node an ordinary Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)
from transformers.utils import logging

from speciate.errors import Problem, UserError
from speciate.runs.spec import ModelSpec, RunSpec
from speciate.training import attention

CausalLM = LlamaForCausalLM | Qwen2ForCausalLM | Qwen2MoeForCausalLM
CLASSES: dict[str, type[CausalLM]] = {
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen2_moe": Qwen2MoeForCausalLM,
}


def device() -> torch.device:
    """The first CUDA device when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_model(spec: ModelSpec, init_seed: int) -> CausalLM:
    """A Llama, Qwen2 or Qwen2-MoE model in float32 on `device()`, in training mode, without dropout.

    Weights are drawn from ``init_seed`` (on the CPU, so that they are the same on any device), or read from the
    local Hugging Face folder ``spec.init_from``. The caller's random state is left as it was.
    Raises UserError when that folder cannot be read or holds a model of another shape than ``spec``.

    >>> from speciate.runs.spec import ModelSpec
    >>> model = build_model(ModelSpec("llama", 16, 1, 2, 32, 64, 8), init_seed=0)
    >>> type(model).__name__, non_embedding_params(model)
    ('LlamaForCausalLM', 2608)
    """
    attention.register()
    where = device()
    name = attention.NAME if where.type == "cpu" else "sdpa"
    if spec.init_from is not None:
        model = _read_model(spec, Path(spec.init_from))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init_seed)
            model = CLASSES[spec.architecture](_config(spec))
        assert non_embedding_params(model) == spec.params, "ModelSpec.params counts what transformers builds"
    model.set_attn_implementation(name)
    if spec.experts is not None and where.type == "cpu":
        # One expert after the other. Behind transformers' grouped products, gradients add up in the order that threads
        # finish in: on 2 threads no two runs had the same bits. They save little (163 to 193 ms a step against 193 to
        # 195, a model of 282,304 parameters on one thread).
        model.set_experts_implementation("eager")
    torch.nn.Module.to(model, device=where, dtype=torch.float32)  # transformers' own wrapper of it has no types
    model.train()
    return model


def non_embedding_params(model: torch.nn.Module) -> int:
    """Trainable parameters N of a causal LM without its token embedding and output head."""
    outside = ("embed_tokens.", "lm_head.")
    return sum(p.numel() for n, p in model.named_parameters() if not any(part in n for part in outside))


def export_model(node_dir: Path, out_dir: Path, tokenizer_path: Path | None = None) -> Path:
    """Write a node's last checkpoint as a Hugging Face folder that ``AutoModelForCausalLM`` reads.

    ``tokenizer_path`` is the corpus's ``tokenizer.json`` (or a folder with one); it is saved beside the model.
    Raises UserError when the node has no checkpoint or it is damaged.
    """
    from transformers import PreTrainedTokenizerFast

    from speciate.corpus.tokens.tokenizer import end_of_text_id, load_tokenizer
    from speciate.training.checkpoint import load_weights, read_checkpoint

    spec_path = node_dir / "spec.json"
    if not spec_path.exists():
        raise UserError(Problem("no spec.json", str(node_dir), "give a folder below runs/ that was trained"))
    spec = RunSpec.from_json(json.loads(spec_path.read_text(encoding="utf-8"))["spec"])
    model = build_model(spec.model, spec.init_seed)
    load_weights(model, read_checkpoint(node_dir))
    model.set_attn_implementation("sdpa")
    model.config.use_cache = True  # off in training; a reader's generate would be quadratic without
    if model.generation_config is not None:
        model.generation_config.use_cache = True
    with no_bars():
        model.save_pretrained(out_dir)
    if tokenizer_path is not None:
        plain = load_tokenizer(tokenizer_path)
        end = plain.id_to_token(end_of_text_id(plain, tokenizer_path))
        tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=plain, eos_token=end, bos_token=end
        )
        tokenizer.model_max_length = spec.model.sequence_length
        tokenizer.save_pretrained(out_dir)
    return out_dir


@contextmanager
def no_bars() -> Iterator[None]:
    """transformers' progress bars, which would stand among a study's own lines, are off within."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _config(spec: ModelSpec) -> Any:
    shape: dict[str, Any] = {
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.intermediate_size,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.key_heads,
        "max_position_embeddings": spec.sequence_length,
        "tie_word_embeddings": spec.tie_embeddings,
        "initializer_range": 0.02,  # transformers' default, and GPT-2's
        "attention_dropout": 0.0,
        "bos_token_id": 0,  # <|endoftext|>, id 0 of the corpus's tokenizers
        "eos_token_id": 0,
        "use_cache": False,
    }
    if spec.architecture == "llama":
        return LlamaConfig(**shape)
    if spec.architecture == "qwen2":
        return Qwen2Config(**shape)
    assert spec.architecture == "qwen2_moe", spec.architecture
    shape |= {
        "shared_expert_intermediate_size": spec.intermediate_size,
        "moe_intermediate_size": spec.expert_intermediate_size,
        "num_experts": spec.experts,
        "num_experts_per_tok": spec.experts_per_token,
        "router_aux_loss_coef": spec.router_aux_loss,
    }
    return Qwen2MoeConfig(**shape)


def _check_kind(spec: ModelSpec, folder: Path) -> None:
    """Weights of another family would only look like missing ones."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise UserError(Problem(f"config.json cannot be read ({error})", str(folder), "save the model again")) from None
    if found != spec.architecture:
        what = f"model_type is {found} but the run's model is {spec.architecture}"
        raise UserError(Problem(what, str(folder), "make the two agree"))


def _read_model(spec: ModelSpec, folder: Path) -> CausalLM:
    kind = CLASSES[spec.architecture]
    if not (folder / "config.json").is_file():
        raise UserError(Problem("no config.json", str(folder), "give a local Hugging Face model folder as init_from"))
    _check_kind(spec, folder)
    try:
        with no_bars():
            found_there: Any = kind.from_pretrained(  # with loading info it is a pair, which its types do not say
                folder, local_files_only=True, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(Problem(f"the model cannot be read ({error})", str(folder), "save it again")) from error
    model: CausalLM
    model, loaded = found_there
    config = model.config
    found: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "layers": config.num_hidden_layers,
        "vocab_size": config.vocab_size,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "params": non_embedding_params(model),
    }
    if spec.experts is not None:
        found |= {"experts": config.num_experts, "experts_per_token": config.num_experts_per_tok}
    wanted = {name: getattr(spec, name) for name in found} | {"kv_heads": spec.key_heads}
    problems = [
        Problem(f"{name} is {value} but the run's model has {wanted[name]}", str(folder), "make the two agree")
        for name, value in found.items()
        if value != wanted[name]
    ]
    problems += [
        Problem(f"weights are missing: {name}", str(folder), "give a complete model") for name in loaded["missing_keys"]
    ]
    if problems:
        raise UserError(problems)
    config.attention_dropout, config.use_cache = 0.0, False  # nothing random after the first weights
    if spec.experts is not None:
        config.router_aux_loss_coef = spec.router_aux_loss
    return model
