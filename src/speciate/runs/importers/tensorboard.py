"""TensorBoard: the scalars in folders of event files, one run a folder. Needs the package ``tensorboard``."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.importers.log import RunLog, series_of

EVENTS = "tfevents"  # in the name of every event file


def is_events(name: str) -> bool:
    """Whether a file of this name holds events."""
    return EVENTS in name


def read_tensorboard(files: Sequence[Path], name: str) -> RunLog:
    """One run from its event files: scalars as TensorFlow 1 and 2, PyTorch and JAX write them; the rest is passed over.

    A file that was cut off counts up to there; of values at the same step the last one written counts.
    Raises UserError when ``tensorboard`` is not installed, or a file is unreadable.
    """
    loader, to_array = _tensorboard(str(files[0].parent))
    points: dict[str, tuple[array[float], array[float]]] = {}
    kinds: dict[str, str] = {}  # which plugin a tag is for: only its first value may say so
    for path in sorted(files):
        try:
            for event in loader(str(path)).Load():
                for value in event.summary.value:
                    kinds.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                    if kinds[value.tag] == "scalars":
                        steps, values = points.setdefault(value.tag, (array("d"), array("d")))
                        steps.append(event.step)
                        values.append(float(to_array(value.tensor).item()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(Problem(f"cannot be read ({error})", str(path), "is it an event file?")) from None
        except Exception as error:  # protobuf's DecodeError, which cannot be imported without it
            if type(error).__name__ != "DecodeError":
                raise
            raise UserError(Problem("is no event file", str(path), "remove it from the folder")) from None
    return RunLog(name, str(files[0].parent), series={tag: series_of(*found) for tag, found in points.items()})


def _tensorboard(where: str) -> tuple[Any, Any]:
    """TensorBoard's loader of event files, and its way from a tensor to NumPy."""
    try:
        loader = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
        tensors = importlib.import_module("tensorboard.util.tensor_util")
    except ModuleNotFoundError as error:
        what = f"event files are read with TensorBoard, and {error.name} is not installed"
        raise UserError(Problem(what, where, "pip install tensorboard")) from None
    return loader.EventFileLoader, tensors.make_ndarray
