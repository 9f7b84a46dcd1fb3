"""A Hugging Face ``config.json`` read as an Architecture: sizes from the file, the rest from the model's family."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.architecture import Architecture

LARGEST = 10**9  # of any size in a file: more is a slip of the keyboard
LONGEST_ASSUMED = 4096  # tokens; (assumption: models are mostly trained on shorter sequences than they can take)

_KEYS = {
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_size": "head_dim",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "experts": "num_experts",
    "active_experts": "num_experts_per_tok",
    "shared_feed_forward": "shared_expert_intermediate_size",
}
_GPT2_KEYS = {
    "hidden_size": "n_embd",
    "layers": "n_layer",
    "heads": "n_head",
    "feed_forward": "n_inner",
    "positions": "n_positions",
}
_OTHER_NAMES = {"num_experts": "num_local_experts"}  # one release of transformers writes the one, one the other
_ALWAYS = ("hidden_size", "layers", "heads", "feed_forward", "vocabulary")


@dataclass(frozen=True)
class _Family:
    """What a family of models fixes. ``needs``: sizes that the file must tell, as no other size implies them."""

    needs: tuple[str, ...] = ()
    keys: dict[str, str] = field(default_factory=dict)  # where they differ from _KEYS
    gated: bool = True
    tied: bool = False  # where the file does not say
    attention_bias: bool = False  # of queries, keys, values; where the file does not say
    output_bias: bool | None = None  # None: as attention_bias
    feed_forward_bias: bool = False
    norms: int = 2
    norm_weights: int = 1
    head_norms: str = "none"  # "head": one weight per channel of a head; "all": per channel of all heads
    learned_positions: bool = False
    experts: bool = False
    shared_expert: bool = False


_EXPERTS = ("experts", "active_experts")
_SHARED = "shared_feed_forward"
_FAMILIES = {
    "llama": _Family(),
    "mistral": _Family(needs=("kv_heads",)),
    "mixtral": _Family(needs=("kv_heads", *_EXPERTS), experts=True),
    "qwen2": _Family(needs=("kv_heads",), attention_bias=True, output_bias=False),
    "qwen2_moe": _Family(
        needs=("kv_heads", *_EXPERTS, _SHARED),
        keys={"feed_forward": "moe_intermediate_size"},
        attention_bias=True,
        output_bias=False,
        experts=True,
        shared_expert=True,
    ),
    "qwen3": _Family(needs=("kv_heads", "head_size"), head_norms="head"),
    "qwen3_moe": _Family(
        needs=("kv_heads", *_EXPERTS),
        keys={"feed_forward": "moe_intermediate_size"},
        head_norms="head",
        experts=True,
    ),
    "gemma": _Family(needs=("kv_heads", "head_size"), tied=True),
    "gemma2": _Family(needs=("kv_heads", "head_size"), tied=True, norms=4),
    "gemma3_text": _Family(needs=("kv_heads", "head_size"), tied=True, norms=4, head_norms="head"),
    "gpt2": _Family(
        keys=_GPT2_KEYS,
        gated=False,
        tied=True,
        attention_bias=True,
        feed_forward_bias=True,
        norm_weights=2,
        learned_positions=True,
    ),
    "gpt_neox": _Family(gated=False, attention_bias=True, feed_forward_bias=True, norm_weights=2),
    "olmo": _Family(norm_weights=0),
    "olmo2": _Family(head_norms="all"),
    "olmoe": _Family(needs=_EXPERTS, head_norms="all", experts=True),
}
_FIXED_BIASES = ("mistral", "mixtral", "qwen2", "gpt2")  # whose attention does not ask the file
_SWITCHES = ("tie_word_embeddings", "attention_bias", "qkv_bias", "mlp_bias", "use_sliding_window")


def read_architecture(path: Path, sequence_length: int | None = None) -> Architecture:
    """The architecture that a ``config.json``, or the folder it lies in, describes.

    Without ``sequence_length`` sequences are as long as the model takes, at most ``LONGEST_ASSUMED`` tokens.
    Raises UserError naming everything that is missing or cannot be counted.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        fix = "give a config.json, or the folder of a Hugging Face checkpoint"
        raise UserError(Problem("no such file", str(file), fix)) from None
    except (ValueError, RecursionError) as error:
        raise UserError(Problem(f"is no JSON ({error})", str(file), "give a model's config.json")) from None
    if not isinstance(found, dict):
        raise UserError(Problem(f"holds a JSON {type(found).__name__}", str(file), "give a model's config.json"))
    return architecture_of(found, str(file), sequence_length)


def architecture_of(found: dict[str, Any], where: str, sequence_length: int | None = None) -> Architecture:
    """As ``read_architecture``, from a config that was read already.

    >>> gpt2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
    >>> architecture_of(gpt2 | {"vocab_size": 50257}, "config.json").total
    124439808
    """
    kind = found.get("model_type")
    if not isinstance(kind, str) or kind not in _FAMILIES:
        what = "it has no model_type" if kind is None else f"models of the type {kind!r} are not known"
        if isinstance(found.get("text_config"), dict):
            what += " (its text_config may be: save that as a file)"
        raise UserError(Problem(what, where, f"use one of {', '.join(_FAMILIES)}, or give the number of parameters"))
    family = _FAMILIES[kind]
    sizes, problems = _sizes(found, family, where)
    problems += _no_switches(found, where)
    if not problems:
        problems = _contradictions(found, sizes, where)
    if problems:
        raise UserError(problems)
    asked = "qkv_bias" if kind == "qwen2_moe" else "attention_bias"
    bias = family.attention_bias if kind in _FIXED_BIASES else _switch(found, asked, family.attention_bias)
    head, queries, keys = sizes["head_size"], sizes["heads"], sizes["kv_heads"]
    positions = sizes.get("positions")
    window, windowed = _window(found, kind, sizes["layers"])
    return Architecture(
        hidden_size=sizes["hidden_size"],
        layers=sizes["layers"],
        heads=queries,
        kv_heads=keys,
        head_size=head,
        feed_forward=sizes["feed_forward"],
        vocabulary=sizes["vocabulary"],
        sequence_length=sequence_length or min(positions or LONGEST_ASSUMED, LONGEST_ASSUMED),
        gated=family.gated,
        tied=_switch(found, "tie_word_embeddings", family.tied),
        experts=sizes.get("experts", 1),
        active_experts=sizes.get("active_experts", 1),
        shared_feed_forward=sizes.get(_SHARED, 0),
        attention_bias=bias,
        output_bias=bias if family.output_bias is None else family.output_bias,
        feed_forward_bias=family.feed_forward_bias or (kind == "llama" and _switch(found, "mlp_bias", False)),
        norms=family.norms,
        norm_weights=family.norm_weights,
        head_norms={"none": 0, "head": 2 * head, "all": (queries + keys) * head}[family.head_norms],
        positions=(positions or 0) if family.learned_positions else 0,
        window=window,
        windowed_layers=windowed,
    )


def _sizes(found: dict[str, Any], family: _Family, where: str) -> tuple[dict[str, int], list[Problem]]:
    """The sizes by our names, and a problem for every one that is needed and missing, or no count."""
    names = _KEYS | family.keys
    needed = {*_ALWAYS, *family.needs, *(("positions",) if family.learned_positions else ())}
    if family.keys is _GPT2_KEYS:
        needed -= {"feed_forward"}  # n_inner is null where it is four times n_embd
    absent = {*(() if family.experts else _EXPERTS), *(() if family.shared_expert else (_SHARED,))}
    wanted = [name for name in names if name not in absent]
    sizes: dict[str, int] = {}
    problems = []
    for name in wanted:
        value = found.get(names[name])
        value = found.get(_OTHER_NAMES.get(names[name], "")) if value is None else value
        if value is None:
            if name in needed:
                fix = "add it: another size would be guessed for it"
                problems.append(Problem(f"{names[name]} is missing", where, fix))
        elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
            fix = f"use a whole number from 1 to {LARGEST:,}"
            problems.append(Problem(f"{names[name]} is {value!r}", where, fix))
        else:
            sizes[name] = value
    if not problems:
        sizes.setdefault("feed_forward", 4 * sizes["hidden_size"])
        sizes.setdefault("kv_heads", sizes["heads"])
        if "head_size" not in sizes and sizes["hidden_size"] % sizes["heads"]:
            what = f"{names['hidden_size']} {sizes['hidden_size']} over {sizes['heads']} heads, and no head_dim"
            problems.append(Problem(what, where, "add head_dim"))
        sizes.setdefault("head_size", sizes["hidden_size"] // sizes["heads"])
    return sizes, problems


def _no_switches(found: dict[str, Any], where: str) -> list[Problem]:
    """Switches that are neither true nor false: "false" in quotes would count as true."""
    wrong = [name for name in _SWITCHES if not isinstance(found.get(name), bool | None)]
    return [Problem(f"{name} is {found[name]!r}", where, "use true or false, without quotes") for name in wrong]


def _switch(found: dict[str, Any], name: str, otherwise: bool) -> bool:
    value = found.get(name)
    return otherwise if value is None else bool(value)


def _contradictions(found: dict[str, Any], sizes: dict[str, int], where: str) -> list[Problem]:
    problems = []
    if sizes["heads"] % sizes["kv_heads"]:
        what = f"{sizes['heads']} heads share {sizes['kv_heads']} key and value heads"
        problems.append(Problem(what, where, "use a number of key and value heads that divides the heads"))
    if sizes.get("active_experts", 1) > sizes.get("experts", 1):
        what = f"{sizes['active_experts']} of {sizes['experts']} experts are active"
        problems.append(Problem(what, where, "use at most as many as there are"))
    if found.get("mlp_only_layers") or found.get("decoder_sparse_step", 1) != 1:
        what = "layers with and without experts take turns (mlp_only_layers, decoder_sparse_step)"
        problems.append(Problem(what, where, "give the number of parameters instead; such models are not counted"))
    return problems


def _window(found: dict[str, Any], kind: str, layers: int) -> tuple[int | None, int]:
    """Tokens that windowed layers attend to, and how many layers those are."""
    window, types = found.get("sliding_window"), found.get("layer_types")
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        return None, 0
    if isinstance(types, list):
        windowed = sum(one == "sliding_attention" for one in types[:layers])
    elif kind in ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"):
        first = found.get("max_window_layers", layers)
        windowed = max(layers - first, 0) if found.get("use_sliding_window") and isinstance(first, int) else 0
    elif kind == "gemma2":
        windowed = (layers + 1) // 2
    elif kind == "gemma3_text":
        every = found.get("sliding_window_pattern") or found.get("_sliding_window_pattern") or 6
        windowed = layers - layers // every if isinstance(every, int) and every > 0 else layers
    else:
        windowed = layers if kind in ("mistral", "mixtral") else 0
    return (window, windowed) if windowed else (None, 0)
