"""What stands in a node's folder, runs/<key>/, and how to read it. No torch here: the ledger is made from these.

spec.json       the node (`Node.to_json`)
checkpoint/     weights, optimizer, losses and measurements so far (see checkpoint.py)
metrics.jsonl   one JSON object per measurement, in the order they were made
losses.npy      training loss of every step, float32, nats per token
DONE            written last: {"key", "seconds", "tokens", "tokens_per_second", "eval_hash", "metrics_sha256"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speciate.errors import Problem, UserError
from speciate.storage import file_digest

TOLD = {"key", "seconds", "tokens", "tokens_per_second", "eval_hash"}  # what every DONE says


def read_done(folder: Path, eval_hash: str = "") -> dict[str, Any] | None:
    """The content of DONE, or None when the node is not finished.

    A node measured on other evaluation text (``eval_hash``) is not finished: its rows could not be used beside others.
    Nor is one whose measurements were altered since: its last checkpoint holds them, so it is finished again at once.
    """
    try:
        done = json.loads((folder / "DONE").read_text(encoding="utf-8"))
        if not isinstance(done, dict) or not set(done) >= TOLD or done["eval_hash"] != eval_hash:
            return None
        if "metrics_sha256" in done and file_digest(folder / "metrics.jsonl") != done["metrics_sha256"]:
            return None
    except (OSError, ValueError):  # ValueError: not JSON or not UTF-8, so it is made again
        return None
    return done


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The measurements of a finished node: {"tokens": within the phase, "eval_on", "loss", ...}."""
    path = folder / "metrics.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(row, dict) and {"tokens", "eval_on", "loss"} <= set(row) for row in rows):
            raise ValueError("a row is no measurement")
        return rows
    except (OSError, ValueError) as error:
        raise UserError(Problem(f"cannot be read ({error})", str(path), _redo(folder))) from error


def read_losses(folder: Path) -> NDArray[np.float32]:
    """Training loss of every step of a finished node, nats per token."""
    path = folder / "losses.npy"
    try:
        losses: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(Problem(f"cannot be read ({error})", str(path), _redo(folder))) from error
    return losses


def _redo(folder: Path) -> str:
    return f"delete the folder {folder.name} and relaunch the same command, which trains it again"
