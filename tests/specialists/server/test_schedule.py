"""Turns: order, fairness between requests, experts in memory first, and nobody for ever."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import pytest

pytest.importorskip("fastapi")

from specialists.server.standin import StandIn, soon
from speciate.specialists.server.errors import ApiError
from speciate.specialists.server.metrics import Metrics
from speciate.specialists.server.schedule import PATIENCE, End, Event, Job, Scheduler, Ticket


def job(expert: str, choice: int = 0, words: int = 1) -> Job:
    return Job(choice, "a prompt", expert, words, 0.0, 1.0, 0)


@dataclass
class Told:
    """Which answers ended, in order."""

    ended: list[str] = field(default_factory=list)

    def ticket(self, name: str, *jobs: Job) -> Ticket:
        def deliver(event: Event) -> None:
            if isinstance(event, End):
                self.ended.append(f"{name}{event.choice}")

        return Ticket(deque(jobs), deliver)


class Loading(StandIn):
    """Only the expert that was asked last is in memory."""

    @property
    def loaded(self) -> tuple[str, ...]:
        return (self.asked[-1]["expert"],) if self.asked else ()


def carried_out(scheduler: Scheduler, tickets: list[Ticket], told: Told) -> list[str]:
    """The order in which one worker ends them, all being in line before it begins."""
    expected = sum(len(ticket.jobs) for ticket in tickets)
    for ticket in tickets:
        scheduler.submit(ticket)
    scheduler.start()
    soon(lambda: len(told.ended) == expected)
    assert scheduler.stop(5)
    return told.ended


def test_requests_take_turns() -> None:
    told = Told()
    many = told.ticket("many", *(job("law", at) for at in range(4)))
    others = [told.ticket(name, job("law")) for name in "ab"]
    order = carried_out(Scheduler(StandIn(), 1, 10, Metrics()), [many, *others], told)
    assert order == ["many0", "a0", "b0", "many1", "many2", "many3"]


def test_experts_in_memory_come_first_but_nobody_waits_for_ever() -> None:
    told = Told()
    tickets = [told.ticket("first", job("law")), told.ticket("other", job("code"))]
    tickets += [told.ticket(f"law{at}-", job("law")) for at in range(2 * PATIENCE)]
    served = Loading()
    metrics = Metrics()
    order = carried_out(Scheduler(served, 1, 10, metrics), tickets, told)
    assert order.index("other0") == PATIENCE + 1  # passed over so often and no more
    assert order[1] == "law0-0"
    assert metrics.total("speciate_expert_loads_total") == 3  # law, code, law: not one for each turn


def test_an_idle_expert_is_preferred_to_a_busy_one() -> None:
    served, told = StandIn(pause=0.05), Told()
    scheduler = Scheduler(served, 2, 10, Metrics())
    scheduler.submit(told.ticket("long", job("law", words=20)))
    scheduler.submit(told.ticket("same", job("law", words=20)))
    scheduler.submit(told.ticket("idle", job("code")))
    scheduler.start()
    soon(lambda: told.ended)
    assert told.ended == ["idle0"]
    assert scheduler.stop(5)


def test_stopping_ends_what_runs_and_what_waits() -> None:
    served, told = StandIn(pause=0.05), Told()
    scheduler = Scheduler(served, 1, 10, Metrics())
    scheduler.start()
    for name in "abc":
        scheduler.submit(told.ticket(name, job("law", words=900)))
    soon(lambda: served.written)
    assert scheduler.stop(5)
    assert told.ended == []
    assert served.written < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("generate-")]


def test_only_so_many_are_let_in() -> None:
    scheduler = Scheduler(StandIn(), 1, 2, Metrics())
    for _ in range(3):
        scheduler.admit()
    with pytest.raises(ApiError, match="2 requests are waiting"):
        scheduler.admit()
    scheduler.leave()
    scheduler.admit()
