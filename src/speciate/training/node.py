"""Train one node of the run tree: from its parent's last weights to its own, measured on the way.

All that a step depends on is the weights, the optimizer's moments and the number of tokens seen, so a node that is
stopped or killed and started again ends with the same bits (CPU, same thread count), and a trunk with a branch
equals the run in one piece.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from speciate.errors import Problem, UserError
from speciate.runs.tree import Node
from speciate.storage import canonical_json, file_digest, write_atomic
from speciate.training.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from speciate.training.folder import read_done
from speciate.training.model import CausalLM, build_model
from speciate.training.step import build_optimizer, learning_rate, train_step

PROGRESS_SECONDS = 0.5
STEPS_PER_READ = 32  # losses are fetched this often: each fetch makes a GPU wait

Rows = list[dict[str, Any]]
Measure = Callable[[CausalLM, int], Sequence[dict[str, Any]]]


class Samples(Protocol):
    """The part of `corpus.stream.Stream` that training needs."""

    def batch(self, start: int, count: int) -> NDArray[np.int64]: ...


@dataclass
class _State:
    """A node in training. ``tokens`` counts within the phase; ``seconds`` were spent on it until ``counted``."""

    model: CausalLM
    optimizer: torch.optim.AdamW
    tokens: int
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    unread: list[Tensor] = field(default_factory=list)
    rows: Rows = field(default_factory=list)
    counted: float = field(default_factory=time.monotonic)


def train_node(
    node: Node,
    stream: Samples,
    root: Path,
    *,
    measure: Measure,
    eval_tokens: Iterable[int],
    progress: Callable[[int, float], None] = lambda tokens, rate: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 20.0,
    eval_hash: str = "",
) -> str:
    """Train ``node`` below ``root``/<key>, or go on from its last checkpoint. Returns "done" or "stopped".

    ``measure(model, tokens)`` is called at each of ``eval_tokens`` (tokens within the phase, rounded up to a whole
    step) that lies in this node, and at 0 when that is asked for and the node starts the phase; its rows are kept
    with their ``tokens``. ``progress(tokens of this node, tokens per second)`` is called about twice a second.
    ``stop()`` is asked before each step; when true, a checkpoint is written. A child's parent must be finished.

    Raises UserError when a loss stops being finite, or when the parent's checkpoint is damaged.
    """
    folder = root / node.key
    if read_done(folder, eval_hash) is not None:
        return "done"
    torch.set_num_threads(node.spec.threads)
    if not (folder / "spec.json").exists():
        write_atomic(folder / "spec.json", canonical_json(node.to_json()))
    (folder / "DONE").unlink(missing_ok=True)  # one that is damaged, or measured on other text
    state = _start(node, root, eval_hash)
    due = _due(node, eval_tokens) - {row["tokens"] for row in state.rows}
    first, began = state.tokens, time.monotonic()
    told = saved = began
    while True:
        if state.tokens in due:
            _measure(state, node, measure)
            due.remove(state.tokens)
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            progress(state.tokens - node.start_tokens, (state.tokens - first) / (now - began))
            told = now
        if state.tokens >= node.end_tokens:
            break
        if stop():
            _save(state, node, folder, eval_hash)
            return "stopped"
        if now - saved >= checkpoint_seconds:
            _save(state, node, folder, eval_hash)
            saved = time.monotonic()
        _step(state, node, stream)
    _save(state, node, folder, eval_hash)
    _finish(state, node, folder, eval_hash)
    return "done"


def _start(node: Node, root: Path, eval_hash: str) -> _State:
    """The state to go on from: this node's own checkpoint, else its parent's last, else initial weights."""
    model = build_model(node.spec.model, node.spec.init_seed)
    optimizer = build_optimizer(model, node.spec)
    own = find_checkpoint(root / node.key)
    if own is not None and own.eval_hash == eval_hash:
        _load(model, optimizer, own, node.key)
        return _State(model, optimizer, own.tokens, own.seconds, own.losses.tolist(), rows=own.rows)
    if node.parent is not None:
        parent = read_checkpoint(root / node.parent)
        end = node.start_tokens or node.spec.phases[node.phase_index - 1].tokens
        assert parent.tokens == end, f"node {node.parent} is not finished"
        fresh = node.start_tokens == 0 and node.phase.reset_optimizer
        _load(model, None if fresh else optimizer, parent, node.parent)
    return _State(model, optimizer, node.start_tokens)


def _load(model: CausalLM, optimizer: torch.optim.AdamW | None, checkpoint: Checkpoint, key: str) -> None:
    assert checkpoint.key == key, f"{checkpoint.folder} belongs to node {checkpoint.key}"
    load_weights(model, checkpoint)
    if optimizer is not None:
        load_optimizer(model, optimizer, checkpoint)


def _due(node: Node, eval_tokens: Iterable[int]) -> set[int]:
    step = node.spec.tokens_per_step
    rounded = {math.ceil(tokens / step) * step for tokens in eval_tokens}
    return {t for t in rounded if node.start_tokens < t <= node.end_tokens or t == node.start_tokens == 0}


def _step(state: _State, node: Node, stream: Samples) -> None:
    spec = node.spec
    position = (node.tokens_before_phase + state.tokens) // spec.model.sequence_length
    samples = torch.from_numpy(stream.batch(position, spec.batch_sequences)).to(state.model.device)
    tokens = state.tokens + spec.tokens_per_step
    rate = learning_rate(node.phase, tokens)
    state.unread.append(train_step(state.model, state.optimizer, samples, spec, rate))
    state.tokens = tokens
    if len(state.unread) >= STEPS_PER_READ:
        _read_losses(state, node)


def _save(state: _State, node: Node, folder: Path, eval_hash: str) -> None:
    _read_losses(state, node)
    now = time.monotonic()
    state.seconds, state.counted = state.seconds + now - state.counted, now
    save_checkpoint(
        folder,
        state.model,
        state.optimizer,
        key=node.key,
        tokens=state.tokens,
        seconds=state.seconds,
        eval_hash=eval_hash,
        rows=state.rows,
        losses=state.losses,
    )


def _read_losses(state: _State, node: Node) -> None:
    if state.unread:
        values = torch.stack(state.unread).float().tolist()
        state.unread.clear()
        _check_finite(values, "training loss", state, node)
        state.losses += values


def _measure(state: _State, node: Node, measure: Measure) -> None:
    rows = [{**row, "tokens": state.tokens} for row in measure(state.model, state.tokens)]
    _check_finite([v for row in rows for v in row.values() if isinstance(v, float)], "measured loss", state, node)
    state.rows += rows


def _check_finite(values: list[float], what: str, state: _State, node: Node) -> None:
    if not all(math.isfinite(value) for value in values):
        where = f"run {node.runs[0]}, phase {node.phase_index}, by {state.tokens} tokens"
        fix = f"lower its learning_rate (now {node.phase.learning_rate}) or lengthen its warmup"
        raise UserError(Problem(f"the {what} is no longer finite", where, fix))


def _finish(state: _State, node: Node, folder: Path, eval_hash: str) -> None:
    """Write the node's results, DONE last, so that DONE stands for all of them."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(state.losses, dtype=np.float32), allow_pickle=False)
    write_atomic(folder / "losses.npy", buffer.getvalue())
    write_atomic(folder / "metrics.jsonl", "".join(canonical_json(row) + "\n" for row in state.rows))
    done = {"key": node.key, "seconds": state.seconds, "tokens": node.tokens, "eval_hash": eval_hash}
    done["tokens_per_second"] = node.tokens / max(state.seconds, 1e-9)
    done["metrics_sha256"] = file_digest(folder / "metrics.jsonl")
    write_atomic(folder / "DONE", canonical_json(done))
