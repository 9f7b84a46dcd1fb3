"""Train a tree of runs on this machine: a few worker processes, each one node at a time, parents before children.

A worker that dies is started again and its node goes on from its last checkpoint. SIGINT or SIGTERM let every worker
write a checkpoint first; after kill -9 the workers notice the end of their input and do the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciate.errors import Problem, UserError
from speciate.runs.tree import RunTree
from speciate.training.folder import read_done
from speciate.training.lock import exclusive
from speciate.training.schedule import Progress, Running, Schedule

POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0  # for a checkpoint after SIGTERM, before kill
# glibc: keep freed memory for the next step instead of returning it to the kernel (measured 5-10 % of a step)
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(32 << 20),
}


class Interrupted(KeyboardInterrupt):
    """The user stopped the training; every node has its checkpoint and the same command goes on from there."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    key: str | None = None  # the node it trains
    tokens: int = 0
    rate: float = 0.0
    ready: bool = False
    buffer: bytes = b""

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


def run_nodes(
    tree: RunTree,
    root: Path,
    command: Sequence[str],
    *,
    processes: int,
    threads: int = 1,
    progress: Callable[[Progress], None] = lambda progress: None,
    retries: int = 2,
    eval_hash: str = "",
) -> dict[str, dict[str, Any]]:
    """Train every node of ``tree`` below ``root`` that has no DONE yet; returns the DONE of all of them by key.

    ``command`` starts a worker (see worker.py); ``processes`` of them run with ``threads`` each.
    Raises UserError for a fault of the user's in a node, a worker that dies more than ``retries`` times on a node,
    or a folder that another launch trains in; Interrupted after SIGINT or SIGTERM; RuntimeError with the worker's
    traceback for a fault of ours. Finished nodes stay finished.
    """
    done = {node.key: read_done(root / node.key, eval_hash) for node in tree.nodes}
    schedule = Schedule(tree, {key: value for key, value in done.items() if value is not None})
    if schedule.finished:
        return schedule.done
    with exclusive(root) as lock, _signals() as stopped:
        pool = _Pool(command, threads, lock)
        try:
            _work(schedule, pool, processes, root, eval_hash, progress, retries, stopped)
        finally:
            pool.close()
    return schedule.done


def _work(
    schedule: Schedule,
    pool: _Pool,
    processes: int,
    root: Path,
    eval_hash: str,
    progress: Callable[[Progress], None],
    retries: int,
    stopped: threading.Event,
) -> None:
    deaths: dict[str, int] = {}
    while not schedule.finished:
        if stopped.is_set():
            raise Interrupted("stopped; relaunch the same command to go on from the checkpoints")
        while len(pool.workers) < processes and len(pool.workers) < len(schedule.tree.nodes) - len(schedule.done):
            pool.start()
        for worker in pool.workers:
            if worker.ready and worker.key is None and (key := schedule.next()) is not None:
                schedule.running.add(key)
                pool.give(worker, key)
        for worker, message in pool.messages():
            if message is None:
                _died(worker, schedule, deaths, retries)
            elif message["event"] == "error":
                raise _error(message)
            elif message["event"] == "done":
                assert worker.key is not None
                schedule.running.discard(worker.key)
                found = read_done(root / worker.key, eval_hash)
                assert found is not None, f"the worker says node {worker.key} is done, its DONE does not"
                schedule.done[worker.key] = found
                worker.key, worker.tokens, worker.rate = None, 0, 0.0
        progress(schedule.progress(pool.running(), processes))


def _died(worker: _Worker, schedule: Schedule, deaths: dict[str, int], retries: int) -> None:
    """A worker is gone: let its node start again, unless that happened too often."""
    key = worker.key or "start-up"
    schedule.running.discard(key)
    deaths[key] = deaths.get(key, 0) + 1
    if deaths[key] > retries:
        code = worker.process.returncode
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        what = f"a worker process ended {deaths[key]} times {how}"
        fix = "see its messages above; after SIGKILL look for too little memory, then relaunch the same command"
        raise UserError(Problem(what, f"node {key}", fix))


def _error(message: dict[str, Any]) -> Exception:
    if message["problems"] is not None:
        return UserError([Problem(*problem) for problem in message["problems"]])
    return RuntimeError(f"node {message['key']}:\n{message['text']}")


class _Pool:
    """The worker processes and the pipes to them."""

    def __init__(self, command: Sequence[str], threads: int, lock: int) -> None:
        self.command, self.lock, self.workers = list(command), lock, list[_Worker]()
        count = str(threads)
        self.environment = {**MALLOC, **os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        self.selector = selectors.DefaultSelector()

    def start(self) -> None:
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            pass_fds=(self.lock,),
            process_group=0,  # the terminal's Ctrl-C reaches this process only, which then ends the workers in order
        )
        worker = _Worker(process)
        self.workers.append(worker)
        self.selector.register(worker.output, selectors.EVENT_READ, worker)

    def give(self, worker: _Worker, key: str) -> None:
        worker.key, worker.tokens, worker.rate = key, 0, 0.0
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; `messages` will say so
            worker.process.stdin.write(json.dumps({"key": key}).encode() + b"\n")
            worker.process.stdin.flush()

    def running(self) -> list[Running]:
        """What the workers train now, and how far they are."""
        return [Running(w.key, w.tokens, w.rate) for w in self.workers if w.key is not None]

    def messages(self) -> Iterator[tuple[_Worker, dict[str, Any] | None]]:
        """What the workers said within `POLL_SECONDS`; None for one that ended, which leaves the pool."""
        for selected, _ in self.selector.select(POLL_SECONDS):
            worker: _Worker = selected.data
            received = os.read(worker.output, 1 << 16)
            *lines, worker.buffer = (worker.buffer + received).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if message["event"] == "ready":
                    worker.ready = True
                elif message["event"] == "progress":
                    worker.tokens, worker.rate = message["tokens"], message["tokens_per_second"]
                else:
                    yield worker, message
            if not received:
                self._remove(worker)
                yield worker, None

    def close(self) -> None:
        """Ask every worker to write a checkpoint and end; kill those that do not."""
        for worker in self.workers:
            worker.process.terminate()
            assert worker.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                worker.process.stdin.close()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in list(self.workers):
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
            self._remove(worker)
        self.selector.close()

    def _remove(self, worker: _Worker) -> None:
        self.selector.unregister(worker.output)
        self.workers.remove(worker)
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; the handlers from before come back at the end."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread may set handlers; another caller has its own
        return
    previous = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
