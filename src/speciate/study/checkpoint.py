"""The sizes of a model that is continued from a local Hugging Face checkpoint, read from its config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.study.config import ModelConfig
from speciate.study.yamltext import read_text

_SIZES = {
    "architecture": "model_type",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
}


def with_checkpoint_sizes(model: ModelConfig, where: str) -> ModelConfig:
    """``model`` with its sizes taken from ``init_from``/config.json; unchanged when it has no ``init_from``.

    Raises UserError at ``where`` for a folder that is not a checkpoint, an architecture that cannot be
    continued, grouped-query attention, and sizes in the study that disagree with the checkpoint's.
    """
    if model.init_from is None:
        return model
    file = Path(model.init_from) / "config.json"
    if not file.is_file():
        fix = "give a local folder; fetch one with: hf download ORGANISATION/MODEL --local-dir FOLDER"
        raise UserError(Problem(f"{model.init_from} is not a folder with a config.json", f"{where}.init_from", fix))
    try:
        found: dict[str, Any] = json.loads(read_text(file))
        sizes = {ours: found[theirs] for ours, theirs in _SIZES.items()}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        fix = "use a Llama or Qwen2 checkpoint saved by transformers"
        raise UserError(Problem(f"{file} does not describe a model ({error!r})", f"{where}.init_from", fix)) from None
    problems = []
    if sizes["architecture"] not in ("llama", "qwen2"):
        what = f"a checkpoint of the architecture {sizes['architecture']}"
        problems.append(Problem(what, f"{where}.init_from", "use a Llama or Qwen2 checkpoint"))
    if found.get("num_key_value_heads", sizes["heads"]) != sizes["heads"]:
        what = "the checkpoint shares keys between heads (grouped-query attention)"
        problems.append(Problem(what, f"{where}.init_from", "use one with as many key as attention heads"))
    for name in sorted(set(_SIZES) & model.model_fields_set):
        if getattr(model, name) != sizes[name]:
            what = f"{name} is {getattr(model, name)}, but the checkpoint's is {sizes[name]}"
            problems.append(Problem(what, f"{where}.{name}", "leave it out: it is read from the checkpoint"))
    if problems:
        raise UserError(problems)
    return model.model_copy(update=sizes)
