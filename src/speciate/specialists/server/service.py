"""What is served, by whom, within which limits, and what is known to be broken."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from speciate.errors import Problem, UserError, machine_problem
from speciate.specialists.server.errors import ApiError
from speciate.specialists.server.limits import Limits
from speciate.specialists.server.metrics import Metrics
from speciate.specialists.server.schedule import Failed, Scheduler
from speciate.specialists.server.served import Served

if TYPE_CHECKING:
    from speciate.specialists.server.answers import Answer

AUTO = "auto"
TRY_AGAIN = 10.0  # seconds after which a damaged expert is read again: somebody may have mended it
log = logging.getLogger("speciate.serve")


@dataclass
class Service:
    """One folder of specialists behind one address."""

    served: Served
    limits: Limits = field(default_factory=Limits)
    key: str | None = None
    others: tuple[str, ...] = ()  # models that are never routed to, as the unsplit one
    metrics: Metrics = field(default_factory=Metrics)
    stopping: bool = False
    open: set[Answer] = field(default_factory=set)
    damaged: dict[str, tuple[str, float]] = field(default_factory=dict)  # what is wrong, since when

    def __post_init__(self) -> None:
        if AUTO in self.served.names:
            what = f"an expert is called {AUTO!r}, the name that stands for routing"
            raise UserError(Problem(what, "the specialists", "build the folder with another name for it"))
        self.scheduler = Scheduler(self.served, self.limits.generations, self.limits.waiting, self.metrics)
        self.readers = ThreadPoolExecutor(self.limits.generations, "read")  # of prompts: tokens and routes
        self.started = int(time.time())

    @property
    def models(self) -> tuple[str, ...]:
        """The names that a request may give."""
        return (AUTO, *self.experts)

    @property
    def experts(self) -> tuple[str, ...]:
        """Everything that generates."""
        return (*self.served.names, *self.others)

    def start(self) -> None:
        """Begin to generate."""
        self.scheduler.start()

    def interrupt(self) -> None:
        """End every request that has not ended, with an error."""
        for answer in list(self.open):
            answer.interrupt(ApiError(503, "The server is stopping", code="stopping"))

    def stop(self, seconds: float) -> bool:
        """End the threads; whether all have ended."""
        self.readers.shutdown(wait=False, cancel_futures=True)
        return self.scheduler.stop(seconds)

    def known_damage(self, expert: str) -> ApiError | None:
        """The error for an expert that was broken a moment ago: its files are not read for each request."""
        what, since = self.damaged.get(expert, ("", -TRY_AGAIN))
        return _damage(expert, what) if what and time.monotonic() - since < TRY_AGAIN else None

    def failure(self, failed: Failed) -> ApiError:
        """What a client is told of a fault of ours; the operator reads the whole of it."""
        error = failed.error
        if isinstance(error, ApiError):
            return error
        if isinstance(error, UserError):
            log.error("expert %s: %s", failed.expert, error)
            what = error.problems[0].what
            self.damaged[failed.expert] = (what, time.monotonic())
            return _damage(failed.expert, what)
        if (refused := machine_problem(error)) is not None:
            log.error("expert %s: %s", failed.expert, refused)
            return ApiError(503, f"The machine refuses: {refused.what}", code="machine", headers={"Retry-After": "5"})
        log.error("expert %s", failed.expert, exc_info=error)
        return ApiError(500, "A fault of the server's, which its log tells", code="internal_error")


def _damage(expert: str, what: str) -> ApiError:
    return ApiError(500, f"Expert {expert!r} cannot be used: {what}", code="expert_damaged", param="model")
