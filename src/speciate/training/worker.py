"""The main loop of a training process, fed by the executor: one JSON line per node in, JSON lines of progress out.

    in    {"key": node}                                         end of input: stop after a checkpoint
    out   {"event": "ready"}
          {"event": "progress", "key", "tokens", "tokens_per_second"}
          {"event": "done"} or {"event": "stopped"}             "stopped" ends the process
          {"event": "error", "problems": [[what, where, fix], ...] or null, "text"}

The process stops by itself, with a checkpoint, when the executor is gone: its input ends then.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from speciate.errors import Problem, UserError, machine_problem

Progress = Callable[[int, float], None]
Train = Callable[[str, Progress, Callable[[], bool]], str]


def serve(train: Train) -> None:
    """Call ``train(key, progress, stop)`` for each node asked for on standard input, until it ends.

    ``train`` returns "done" or "stopped". SIGTERM makes ``stop()`` true; SIGINT is left to the executor. What
    ``train`` prints goes to standard error, as standard output belongs to the protocol.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks, stopping), daemon=True).start()
    _send(out, stopping, {"event": "ready"})
    while not stopping.is_set():
        try:
            key = tasks.get(timeout=0.2)
        except queue.Empty:  # look at `stopping` again
            continue
        if key is None:
            break
        _send(out, stopping, _run(train, key, out, stopping))
    with contextlib.suppress(BrokenPipeError):  # what an executor that is gone did not read
        out.close()


def _run(train: Train, key: str, out: TextIO, stopping: threading.Event) -> dict[str, Any]:
    def progress(tokens: int, rate: float) -> None:
        _send(out, stopping, {"event": "progress", "key": key, "tokens": tokens, "tokens_per_second": rate})

    try:
        result = train(key, progress, stopping.is_set)
        assert result in ("done", "stopped"), result
        return {"event": result, "key": key}
    except UserError as error:
        return _error(key, error.problems, str(error))
    except Exception as error:
        refused = machine_problem(error)
        return _error(key, None if refused is None else (refused,), traceback.format_exc())


def _error(key: str, problems: tuple[Problem, ...] | None, text: str) -> dict[str, Any]:
    """``problems`` are the user's or the machine's; None is a fault of ours, and ``text`` its traceback."""
    listed = None if problems is None else [[problem.what, problem.where, problem.fix] for problem in problems]
    return {"event": "error", "key": key, "problems": listed, "text": text}


def _read(tasks: queue.SimpleQueue[str | None], stopping: threading.Event) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line)["key"])
    stopping.set()
    tasks.put(None)


def _send(out: TextIO, stopping: threading.Event, message: dict[str, Any]) -> None:
    try:
        out.write(json.dumps(message) + "\n")
    except BrokenPipeError:  # the executor is gone
        stopping.set()
