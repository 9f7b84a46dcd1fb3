"""Several worker processes on this machine; one that is killed costs the part it was at, and is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from speciate.corpus.steps.engine import TRIES, Outcome, Task, limit_threads, lost
from speciate.corpus.steps.parts import Part


def process_outcomes(task: Task, parts: Sequence[Part], processes: int) -> Iterator[Outcome]:
    """Outcomes as they come. The workers end with the iterator, whatever ends it."""
    workers: dict[Connection, tuple[BaseProcess, Part | None]] = {}
    waiting, tries = deque(parts), Counter[int]()
    try:
        while waiting or any(part is not None for _, part in workers.values()):
            idle = [connection for connection, (_, part) in workers.items() if part is None]
            while waiting and (idle or len(workers) < processes):
                connection = idle.pop() if idle else _start(task, workers)
                _send(connection, waiting, workers)
            for connection in [c for c in wait(list(workers)) if isinstance(c, Connection)]:
                process, part = workers[connection]
                try:
                    outcome: Outcome = connection.recv()
                except (EOFError, ConnectionError):
                    del workers[connection]
                    connection.close()
                    process.join()
                    if part is None:
                        continue
                    tries[part.number] += 1
                    if tries[part.number] < TRIES:
                        waiting.appendleft(part)
                        continue
                    outcome = lost(part, _ended(process.exitcode))
                else:
                    workers[connection] = (process, None)
                yield outcome
    finally:
        for connection, (process, part) in workers.items():
            connection.close()  # an idle worker ends at the end of its input
            if part is not None:
                process.terminate()
        for process, _ in workers.values():
            process.join()
            process.close()


def _send(
    connection: Connection, waiting: deque[Part], workers: dict[Connection, tuple[BaseProcess, Part | None]]
) -> None:
    workers[connection] = (workers[connection][0], waiting[0])
    with contextlib.suppress(ConnectionError):  # killed while idle or as it started: recv tells, and the part is back
        connection.send(waiting[0])
    waiting.popleft()


def _start(task: Task, workers: dict[Connection, tuple[BaseProcess, Part | None]]) -> Connection:
    """A new worker; a fork of this process would inherit threads and locks of numerical libraries."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    with contextlib.suppress(ConnectionError):  # killed as it started: recv tells
        ours.send(task)
    workers[ours] = (process, None)
    return ours


def _work(connection: Connection) -> None:
    """The task in, then parts in, outcomes out, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    limit_threads()  # before the task comes, which imports the numerical libraries
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        run: Task = connection.recv()
        while True:
            connection.send(run(connection.recv()))


def _ended(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f", last with exit code {exit_code}"
    return f", last by signal {-exit_code}" + (" (no memory left?)" if exit_code == -signal.SIGKILL else "")
