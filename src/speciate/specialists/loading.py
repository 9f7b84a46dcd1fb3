"""From a folder of the disk to a model that can be asked: checked by SHA-256, without code of its own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from speciate.corpus.tokens.tokenizer import end_of_text_id, load_tokenizer
from speciate.errors import Problem, UserError
from speciate.specialists.folder import AGAIN, Entry, Manifest, check_files
from speciate.storage import file_digest

ONE_AT_A_TIME = threading.Lock()
"""Loading patches torch while it lasts; two at once leave weights missing and torch patched (transformers 5.23)."""


def load_model(root: Path, entry: Entry, device: torch.device, dtype: torch.dtype | None) -> Any:
    """The causal language model of an entry, in evaluation mode; ``dtype`` None is as it was saved.

    Raises UserError naming the file when one is missing, changed or cannot be read.
    """
    folder, what = root / entry.folder, f"expert {entry.name}"
    check_files(folder, entry.files, what)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with ONE_AT_A_TIME:
            found: Any = AutoModelForCausalLM.from_pretrained(  # a pair, which its types do not say
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=dtype or "auto",
                output_loading_info=True,
            )  # fmt: skip
        model, told = found
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise UserError(Problem(f"{what}: the model cannot be read ({error})", str(folder), AGAIN)) from error
    if told["missing_keys"]:
        missing = ", ".join(sorted(told["missing_keys"])[:5])
        raise UserError(Problem(f"{what}: weights are missing ({missing})", str(folder), "build the folder again"))
    return model.to(device).eval()


def usable_device(device: torch.device | str) -> torch.device:
    """The device of a name. Raises UserError where this machine, or this build of torch, has none of it."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        fix = "give one that this machine has, as cpu, or None: the first CUDA device if there is one"
        raise UserError(Problem(f"no device {str(device)!r} ({str(error).splitlines()[0]})", "device", fix)) from error
    return found


def memory_bytes(root: Path, entry: Entry, dtype: torch.dtype | None) -> int:
    """What the weights of an entry take in memory."""
    if dtype is None:
        return entry.bytes
    try:
        config = json.loads((root / entry.folder / "config.json").read_text(encoding="utf-8"))
        saved = getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "float32"))
    except (OSError, ValueError, AttributeError):
        saved = torch.float32
    return int(entry.bytes * dtype.itemsize // saved.itemsize)


def load_common_tokenizer(manifest: Manifest) -> tuple[Any, int]:
    """The one tokenizer of all models and its id that ends a text.

    Raises UserError if no model's copy of it is whole.
    """
    for entry in manifest.entries:
        folder = manifest.root / entry.folder
        file = folder / "tokenizer.json"
        if file.is_file() and file_digest(file) == manifest.tokenizer_sha256:
            tokenizer = load_tokenizer(file)
            return tokenizer, end_of_text_id(tokenizer, folder)
    where = str(manifest.root / manifest.experts[0].folder / "tokenizer.json")
    raise UserError(Problem("no copy of the tokenizer is whole", where, AGAIN))
