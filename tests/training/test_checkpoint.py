from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from speciate.errors import UserError
from speciate.runs.spec import ModelSpec, Phase, RunSpec
from speciate.training.checkpoint import find_checkpoint, load_optimizer, load_weights, read_checkpoint, save_checkpoint
from speciate.training.model import CausalLM, build_model
from speciate.training.step import build_optimizer, train_step

SPEC = RunSpec("run", ModelSpec("llama", 16, 1, 2, 32, 64, 16), 0, (Phase((("a", 1.0),), 320, 0.01),), 2, "")


def trained(steps: int) -> tuple[CausalLM, torch.optim.AdamW]:
    model = build_model(SPEC.model, 0)
    optimizer = build_optimizer(model, SPEC)
    for _ in range(steps):
        train_step(model, optimizer, torch.arange(34).reshape(2, 17), SPEC, 0.01)
    return model, optimizer


def save(folder: Path, steps: int) -> tuple[CausalLM, torch.optim.AdamW]:
    model, optimizer = trained(steps)
    rows = [{"eval_on": "a", "loss": 1.5, "bits_per_byte": None, "tokens": 32}]
    save_checkpoint(
        folder, model, optimizer, key="k", tokens=32 * steps, seconds=1.0, eval_hash="", rows=rows, losses=[2.5] * steps
    )
    return model, optimizer


def test_round_trip_and_replacement(tmp_path: Path) -> None:
    save(tmp_path, 1)
    model, optimizer = save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    checkpoint = read_checkpoint(tmp_path)
    assert (checkpoint.key, checkpoint.tokens, checkpoint.rows[0]["loss"]) == ("k", 64, 1.5)
    np.testing.assert_array_equal(checkpoint.losses, np.full(2, 2.5, np.float32))
    other = build_model(SPEC.model, 7)
    restored = build_optimizer(other, SPEC)
    load_weights(other, checkpoint)
    load_optimizer(other, restored, checkpoint)
    for mine, copy in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, copy)
        for kind, value in optimizer.state[mine].items():
            assert torch.equal(value, restored.state[copy][kind]) and value.dtype == restored.state[copy][kind].dtype


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "losses.npy", "state.json"])
def test_one_flipped_bit(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    path = tmp_path / "checkpoint" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"{name}: the checkpoint is damaged"):
        read_checkpoint(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) is None
    assert "this part of the run starts again" in caplog.text
    assert not list(tmp_path.iterdir())
    assert find_checkpoint(tmp_path) is None


def test_the_older_one_stands_in_while_they_are_swapped(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    assert read_checkpoint(tmp_path).tokens == 32
    shutil.copytree(tmp_path / "checkpoint.old", tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "model.safetensors").unlink()
    assert read_checkpoint(tmp_path).tokens == 32
    save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    shutil.rmtree(tmp_path / "checkpoint")
    with pytest.raises(UserError, match="no checkpoint"):
        read_checkpoint(tmp_path)
