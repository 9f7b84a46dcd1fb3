"""Which answer is generated next: a bounded line, turns for every request, worker threads.

Requests come in order. One that asks for several answers gets one and goes to the end of the line, so that nobody waits
for all of another's. Of the first in line those are taken whose expert is in memory and idle, then in memory; nobody is
passed over more than ``PATIENCE`` times, so an expert that is not in memory is loaded soon.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from speciate.specialists.server.errors import ApiError
from speciate.specialists.server.metrics import Metrics
from speciate.specialists.server.served import Served, Streamed

PATIENCE = 8
LOOKED_AT = 64  # first in line


@dataclass(frozen=True)
class Job:
    """One answer to generate. ``choice`` is its place among the request's."""

    choice: int
    prompt: str
    expert: str
    most_new: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Some text of a choice."""

    choice: int
    text: str


@dataclass(frozen=True)
class End:
    """A choice is complete: why, and how many tokens it has."""

    choice: int
    finish: str
    tokens: int


@dataclass(frozen=True)
class Failed:
    """The request cannot be answered, as this went wrong with that expert."""

    expert: str
    error: Exception


Event = Piece | End | Failed


@dataclass(eq=False)
class Ticket:
    """A request in line. ``deliver`` is called from worker threads."""

    jobs: deque[Job]
    deliver: Callable[[Event], None]
    gone: threading.Event = field(default_factory=threading.Event)
    passed: int = 0
    streams: set[Streamed] = field(default_factory=set)  # being generated


class Scheduler:
    """Threads that generate. ``admit`` and ``leave`` bound how many requests are in the house."""

    def __init__(self, served: Served, workers: int, most_waiting: int, metrics: Metrics) -> None:
        self.served, self.workers, self.most_waiting, self.metrics = served, workers, most_waiting, metrics
        self.inside = 0  # requests from their admission to their last byte
        self.running: list[str] = []  # experts, one entry for each generation
        self.line: deque[Ticket] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._taken: list[Ticket] = []  # one entry for each generation
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work."""
        for number in range(self.workers):
            thread = threading.Thread(target=self._work, name=f"generate-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def admit(self) -> None:
        """Let a request in; ``ApiError`` 503 where as many wait as may."""
        with self._change:
            if self.inside >= self.workers + self.most_waiting:
                what = f"{self.most_waiting} requests are waiting already; try again in a moment"
                raise ApiError(503, what, code="overloaded", headers={"Retry-After": "1"})
            self.inside += 1

    def leave(self) -> None:
        """A request has ended, however it did."""
        with self._change:
            self.inside -= 1

    def submit(self, ticket: Ticket) -> None:
        """Put a request's answers in line."""
        with self._change:
            self.line.append(ticket)
            self._change.notify(len(ticket.jobs))

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for these answers any more: they leave the line, and those being generated end."""
        with self._change:
            ticket.gone.set()
            if ticket in self.line:
                self.line.remove(ticket)
            for stream in ticket.streams:
                stream.close()

    def stop(self, seconds: float) -> bool:
        """Take no more work and wait for the threads; whether all have ended."""
        with self._change:
            self._closed = True
            for ticket in [*self.line, *self._taken]:
                ticket.gone.set()
                for stream in ticket.streams:
                    stream.close()
            self.line.clear()
            self._change.notify_all()
        for thread in self._threads:
            thread.join(seconds / max(len(self._threads), 1))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> int:
        """Answers in line."""
        with self._change:
            return sum(len(ticket.jobs) for ticket in self.line)

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            ticket, job = turn
            try:
                self._generate(ticket, job)
            except Exception as error:
                ticket.gone.set()  # its other answers are of no use
                ticket.deliver(Failed(job.expert, error))
            finally:
                with self._change:
                    self.running.remove(job.expert)
                    self._taken.remove(ticket)

    def _next(self) -> tuple[Ticket, Job] | None:
        with self._change:
            while not self.line and not self._closed:
                self._change.wait()
            if self._closed:
                return None
            at = self._chosen()
            for ticket in list(self.line)[:at]:
                ticket.passed += 1
            ticket = self.line[at]
            del self.line[at]
            job = ticket.jobs.popleft()
            if ticket.jobs and not ticket.gone.is_set():
                ticket.passed = 0
                self.line.append(ticket)
                self._change.notify()
            self.running.append(job.expert)
            self._taken.append(ticket)
            return ticket, job

    def _chosen(self) -> int:
        """Where in the line the next to be served stands."""
        if self.line[0].passed >= PATIENCE:
            return 0
        loaded, busy = set(self.served.loaded), set(self.running)
        first = [ticket.jobs[0].expert for ticket in list(self.line)[:LOOKED_AT]]
        for wanted in (loaded - busy, busy):
            for at, expert in enumerate(first):
                if expert in wanted:
                    return at
        return 0

    def _generate(self, ticket: Ticket, job: Job) -> None:
        if ticket.gone.is_set():
            return
        if job.expert not in self.served.loaded and self.running.count(job.expert) == 1:
            self.metrics.add("speciate_expert_loads_total", expert=job.expert)
        stream = self.served.stream(
            job.prompt,
            expert=job.expert,
            max_new_tokens=job.most_new,
            temperature=job.temperature,
            top_p=job.top_p,
            seed=job.seed,
            stop=job.stop,
        )
        with self._change:
            ticket.streams.add(stream)
            if ticket.gone.is_set():
                stream.close()
        for text in stream:
            if text and not ticket.gone.is_set():
                ticket.deliver(Piece(job.choice, text))
        with self._change:
            ticket.streams.discard(stream)
        if (result := stream.result) is not None and not ticket.gone.is_set():
            ticket.deliver(End(job.choice, result.finish, result.tokens))
