"""Checkpoints that a kill at any instant cannot spoil, without pickle, verified when they are read.

    model.safetensors       weights by parameter name (a tied head is stored once)
    optimizer.safetensors   exp_avg/<parameter>, exp_avg_sq/<parameter>, step/<parameter>
    losses.npy              loss of every step of this node so far, float32
    state.json              key, tokens within the phase, measurements so far, SHA-256 of the files and of itself

A new checkpoint is written beside the old one as ``checkpoint.tmp`` and synced, then the old one is renamed to
``checkpoint.old``, the new one to ``checkpoint``, and the old one deleted. At every instant one of the two is whole.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from speciate.errors import Problem, UserError
from speciate.storage import canonical_json, digest, file_digest

MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # what AdamW keeps for a parameter
FILES = ("model.safetensors", "optimizer.safetensors", "losses.npy")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: where it is, which node, how far (tokens within the phase), what was measured so far."""

    folder: Path
    key: str
    tokens: int
    seconds: float
    eval_hash: str
    rows: list[dict[str, Any]]
    losses: NDArray[np.float32]


def save_checkpoint(
    node_dir: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.AdamW,
    *,
    key: str,
    tokens: int,
    seconds: float,
    eval_hash: str,
    rows: list[dict[str, Any]],
    losses: list[float],
) -> None:
    """Replace the node's checkpoint by the present state (see the module's text for the order of the renames)."""
    fresh, current, old = (node_dir / name for name in ("checkpoint.tmp", "checkpoint", "checkpoint.old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: p.detach().contiguous() for name, p in model.named_parameters()}, fresh / FILES[0])
    save_file(_optimizer_tensors(model, optimizer), fresh / FILES[1])
    np.save(fresh / FILES[2], np.asarray(losses, dtype=np.float32), allow_pickle=False)
    state: dict[str, Any] = {"key": key, "tokens": tokens, "seconds": seconds, "eval_hash": eval_hash, "rows": rows}
    state["files"] = {name: file_digest(fresh / name) for name in FILES}
    state["sha256"] = digest(state)
    (fresh / "state.json").write_text(canonical_json(state), encoding="utf-8")
    for name in (*FILES, "state.json"):
        _sync(fresh / name)
    _sync(fresh)
    if current.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(current, old)
    os.replace(fresh, current)
    _sync(node_dir)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(node_dir: Path) -> Checkpoint:
    """The node's checkpoint. Raises UserError naming the file when there is none that is whole."""
    problems: list[Problem] = []
    for folder in (node_dir / "checkpoint", node_dir / "checkpoint.old"):
        if folder.exists():
            try:
                return _verify(folder)
            except UserError as error:
                problems += error.problems
    fix = f"delete the folder {node_dir.name} and relaunch the same command, which trains it again"
    raise UserError(problems or Problem("no checkpoint", str(node_dir), fix))


def find_checkpoint(node_dir: Path) -> Checkpoint | None:
    """As `read_checkpoint` for a node that is not finished: a damaged one is dropped with a warning, None is none."""
    folders = [node_dir / "checkpoint", node_dir / "checkpoint.old"]
    if not any(folder.exists() for folder in folders):
        return None
    try:
        return read_checkpoint(node_dir)
    except UserError as error:
        for problem in error.problems:
            logger.warning("%s: %s; this part of the run starts again", problem.where, problem.what)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        return None


def load_weights(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Copy a checkpoint's weights into a model of the same shape."""
    tensors = load_file(checkpoint.folder / FILES[0])
    parameters = dict(model.named_parameters())
    assert tensors.keys() == parameters.keys(), "a node's checkpoint has its model's parameters"
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def load_optimizer(model: torch.nn.Module, optimizer: torch.optim.AdamW, checkpoint: Checkpoint) -> None:
    """Set AdamW's moments and step counts from a checkpoint; settings such as the learning rate stay."""
    tensors = load_file(checkpoint.folder / FILES[1])
    for name, parameter in model.named_parameters():
        if f"step/{name}" in tensors:
            moments = {kind: tensors[f"{kind}/{name}"].to(parameter.device, copy=True) for kind in MOMENTS}
            optimizer.state[parameter] = moments


def _optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    return {
        f"{kind}/{name}": optimizer.state[parameter][kind].contiguous()
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
        for kind in MOMENTS
    }


def _verify(folder: Path) -> Checkpoint:
    fix = f"delete the folder {folder.parent.name} and relaunch the same command, which trains it again"
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        whole = state.pop("sha256") == digest(state)
    except (OSError, ValueError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise UserError(Problem("the checkpoint is damaged", str(folder / "state.json"), fix))
    for name, expected in state["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise UserError(Problem("the checkpoint is damaged (its SHA-256 is another)", str(path), fix))
    fields = {name: state[name] for name in ("key", "tokens", "seconds", "eval_hash", "rows")}
    return Checkpoint(folder, losses=np.load(folder / FILES[2], allow_pickle=False), **fields)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
