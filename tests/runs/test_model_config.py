"""Everything that a config.json does not say, said at once. Counts against transformers: tests/training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speciate.errors import UserError
from speciate.runs.model_config import LONGEST_ASSUMED, architecture_of, read_architecture

MISTRAL: dict[str, Any] = {
    "model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "max_position_embeddings": 32768,
    "sliding_window": 4096, "tie_word_embeddings": False,
}  # fmt: skip


def problems(change: dict[str, Any]) -> list[str]:
    found = {name: value for name, value in (MISTRAL | change).items() if value != "absent"}
    with pytest.raises(UserError) as caught:
        architecture_of(found, "config.json")
    return [problem.what for problem in caught.value.problems]


def test_a_file_and_its_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(MISTRAL), encoding="utf-8")
    found = read_architecture(tmp_path)
    assert found == read_architecture(tmp_path / "config.json")
    assert found.total == 7_241_732_096
    assert (found.window, found.windowed_layers) == (4096, 32)
    assert found.sequence_length == LONGEST_ASSUMED
    assert read_architecture(tmp_path, 32768).sequence_length == 32768
    assert architecture_of(MISTRAL | {"max_position_embeddings": 512}, "").sequence_length == 512


def test_experts_under_either_name() -> None:
    mixtral = MISTRAL | {"model_type": "mixtral", "sliding_window": None, "num_experts_per_tok": 2}
    one, other = (architecture_of(mixtral | {name: 8}, "") for name in ("num_local_experts", "num_experts"))
    assert one == other == architecture_of(mixtral | {"num_local_experts": 8, "num_experts": None}, "")
    assert one.total == 46_702_792_704
    assert one.windowed_layers == 0


def test_all_that_is_missing_or_wrong_at_once() -> None:
    change = {"hidden_size": "absent", "num_key_value_heads": None, "vocab_size": -3, "num_hidden_layers": True}
    assert sorted(problems(change)) == [
        "hidden_size is missing",
        "num_hidden_layers is True",
        "num_key_value_heads is missing",
        "vocab_size is -3",
    ]
    assert problems({"intermediate_size": 1.5e4}) == ["intermediate_size is 15000.0"]
    assert sorted(problems({"model_type": "mixtral"})) == ["num_experts is missing", "num_experts_per_tok is missing"]


def test_switches_are_true_or_false() -> None:
    assert problems({"tie_word_embeddings": "false", "mlp_bias": 0}) == [
        "tie_word_embeddings is 'false'",
        "mlp_bias is 0",
    ]
    gemma = MISTRAL | {"model_type": "gemma", "head_dim": 128}
    assert architecture_of(gemma | {"tie_word_embeddings": None}, "").tied  # as its family has it
    assert not architecture_of(gemma, "").tied


def test_windows_of_gemma_3_follow_its_pattern() -> None:
    gemma = MISTRAL | {"model_type": "gemma3_text", "head_dim": 128, "num_hidden_layers": 26, "sliding_window": 512}
    assert architecture_of(gemma, "").windowed_layers == 22  # Gemma 3 1B: every sixth layer sees all
    assert architecture_of(gemma | {"sliding_window_pattern": 2}, "").windowed_layers == 13


def test_sizes_that_contradict_each_other() -> None:
    assert problems({"num_key_value_heads": 5}) == ["32 heads share 5 key and value heads"]
    assert "no head_dim" in problems({"num_attention_heads": 31, "num_key_value_heads": 31})[0]
    assert problems({"model_type": "mixtral", "num_experts": 2, "num_experts_per_tok": 3}) == [
        "3 of 2 experts are active"
    ]


def test_models_that_are_not_known() -> None:
    assert problems({"model_type": "mamba"}) == ["models of the type 'mamba' are not known"]
    assert problems({"model_type": "absent"}) == ["it has no model_type"]
    assert "text_config" in problems({"model_type": "gemma3", "text_config": {}})[0]
    assert "take turns" in problems(
        {"model_type": "qwen3_moe", "moe_intermediate_size": 9, "num_experts": 4, "num_experts_per_tok": 2,
         "mlp_only_layers": [0]}
    )[0]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [("{", "is no JSON"), ("[1]", "JSON list"), ("\xff", "is no JSON")])
def test_files_that_are_no_config(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=said):
        read_architecture(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_architecture(tmp_path)


def test_windows_of_qwen_begin_above_a_layer() -> None:
    qwen = MISTRAL | {"model_type": "qwen2", "max_window_layers": 28}
    assert architecture_of(qwen, "").windowed_layers == 0  # it is off where the file does not switch it on
    assert architecture_of(qwen | {"use_sliding_window": True}, "").windowed_layers == 4
