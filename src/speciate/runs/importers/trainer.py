"""Hugging Face's Trainer: ``trainer_state.json``, in an output folder or in one of its checkpoints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.importers.log import RunLog, Series, series_of

STATE = "trainer_state.json"
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
TOKENS = "num_input_tokens_seen"  # stays 0 where the Trainer was not told to count


def run_folder(state: Path) -> Path:
    """The output folder that a state belongs to: a checkpoint's is the one around it."""
    return state.parent.parent if CHECKPOINT.fullmatch(state.parent.name) else state.parent


def newest(states: list[Path]) -> Path:
    """Of one run's states the one that holds most: the last checkpoint's, or the one saved when training ended."""

    def step(state: Path) -> float:
        found = CHECKPOINT.fullmatch(state.parent.name)
        return float(found[1]) if found else _step(state)

    return max(states, key=lambda state: (step(state), not CHECKPOINT.fullmatch(state.parent.name)))


def read_trainer(path: Path, name: str) -> RunLog:
    """One run from its state. Raises UserError when the file is no trainer state."""
    state = _load(path)
    points: dict[str, tuple[list[float], list[float]]] = {}
    for entry in state["log_history"]:
        step = _number(entry.get("step"))
        for metric, value in entry.items() if step is not None else ():
            number = _number(value)
            if metric not in ("step", "epoch") and number is not None:
                steps, values = points.setdefault(metric, ([], []))
                steps.append(step or 0.0)
                values.append(number)
    if TOKENS in points and not any(points[TOKENS][1]):
        del points[TOKENS]
    series: dict[str, Series] = {metric: series_of(*found) for metric, found in points.items()}
    counts = (TOKENS, "total_flos", "global_step")  # the last ones: no facts about every measurement
    facts = {key: value for key, value in state.items() if key not in counts and isinstance(value, str | int | float)}
    return RunLog(name, str(path), facts=facts, series=series)


def _load(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        fix = "it may have been cut off: take an earlier checkpoint's"
        raise UserError(Problem(f"cannot be read ({error})", str(path), fix)) from None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        fix = f"give a {STATE} as Hugging Face's Trainer writes it"
        raise UserError(Problem("is no trainer state (it has no log_history)", str(path), fix))
    assert isinstance(state, dict)
    return state


def _step(path: Path) -> float:
    return _number(_load(path).get("global_step")) or 0.0


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
