"""One launch at a time per folder of runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from speciate.errors import Problem, UserError


@contextlib.contextmanager
def exclusive(root: Path, patience_seconds: float = 15.0) -> Iterator[int]:
    """Hold ``root``/.lock while the block runs; yields its descriptor, which worker processes inherit.

    The lock belongs to the open file, so it is held until the last of them ends, and a kill -9 of the parent cannot
    leave two launches in one folder. When the parent is gone, its workers are given ``patience_seconds`` to write
    their checkpoints. Raises UserError naming the process that holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, root, patience_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, root: Path, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            alive = holder.isdigit() and _alive(int(holder))
            if alive or time.monotonic() > deadline:
                who = f"process {holder}" if alive else f"worker processes left by process {holder or 'unknown'}"
                fix = "wait for it, or stop it (it keeps its checkpoints) and relaunch"
                raise UserError(Problem(f"{who} trains here already", str(root), fix)) from None
            time.sleep(0.1)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
