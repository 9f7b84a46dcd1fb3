"""One request from its body to its answer, whole or as a stream."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from speciate.specialists.server.errors import ApiError
from speciate.specialists.server.limits import room
from speciate.specialists.server.prompts import END_OF_ANSWER, chat_text, routed_by
from speciate.specialists.server.protocol import SEEDS, ChatRequest, CompletionRequest
from speciate.specialists.server.responses import (
    AnswerKind,
    ChatChoice,
    ChatCompletion,
    Choice,
    Chosen,
    Completion,
    Said,
    Usage,
    chunk,
    piece,
)
from speciate.specialists.server.schedule import End, Event, Failed, Job, Piece, Ticket
from speciate.specialists.server.sending import event
from speciate.specialists.server.service import AUTO, Service

Request = CompletionRequest | ChatRequest


@dataclass(frozen=True)
class Plan:
    """What is to be generated: for each prompt its expert, and for each choice a job."""

    asked: Request
    kind: AnswerKind
    prompts: tuple[str, ...]
    chosen: tuple[Chosen, ...]  # of each prompt
    prompt_tokens: int
    jobs: tuple[Job, ...]

    def of(self, choice: int) -> Chosen:
        """The expert of a choice."""
        return self.chosen[choice // self.asked.choices]

    def opening(self, choice: int) -> str:
        """What stands before the generated text of a choice."""
        echo = isinstance(self.asked, CompletionRequest) and self.asked.echo
        return self.prompts[choice // self.asked.choices] if echo else ""

    @property
    def together(self) -> Chosen | None:
        """The expert of all prompts; None if they have several."""
        experts = {each.expert for each in self.chosen}
        if len(experts) > 1:
            return None
        return self.chosen[0] if len(self.chosen) == 1 else Chosen(expert=experts.pop())


def plan(service: Service, asked: Request) -> Plan:
    """Count, route and check; takes a while for long prompts. ``ApiError`` for what cannot be answered."""
    if asked.model not in service.models:
        listed = ", ".join(service.models[:20])
        what = f"There is no model {asked.model[:100]!r}; there are {listed}"
        raise ApiError(404, what, code="model_not_found", param="model")
    if isinstance(asked, ChatRequest):
        kind: AnswerKind = "chat"
        prompts: tuple[str, ...] = (chat_text(asked.messages),)
        texts = [routed_by(asked.messages)]
        stop = (*(asked.stop or ()), END_OF_ANSWER)
    else:
        kind, prompts, texts, stop = "completion", tuple(asked.prompt), asked.prompt, tuple(asked.stop or ())
    counts = [max(service.served.count_tokens(prompt), 1) for prompt in prompts]  # of none: the end of a text before
    new = [room(count, asked.most_new, service.served.sequence_length, service.limits) for count in counts]
    if asked.model == AUTO:
        chosen = tuple(Chosen(expert=r.expert, scores=dict(r.scores)) for r in service.served.route(texts))
    else:
        chosen = (Chosen(expert=asked.model),) * len(prompts)
    for expert in {each.expert for each in chosen}:
        if (damage := service.known_damage(expert)) is not None:
            raise damage
    first = asked.first_seed()
    seeds = [(first + i) % SEEDS for i in range(asked.choices)]
    jobs = tuple(
        Job(at * asked.choices + i, prompt, chosen[at].expert, new[at], asked.heat, asked.nucleus, seeds[i], stop)
        for at, prompt in enumerate(prompts)
        for i in range(asked.choices)
    )
    return Plan(asked, kind, prompts, chosen, sum(counts), jobs)


class Answer:
    """A request that has been let in. ``close`` it, whatever happens."""

    def __init__(self, service: Service) -> None:
        service.scheduler.admit()
        self.service = service
        self.id, self.created = uuid.uuid4().hex, int(time.time())
        self.tokens = 0
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()  # no longer than the answer: a slow reader bounds nothing
        self._ticket: Ticket | None = None
        self._closed = False
        service.open.add(self)

    async def begin(self, asked: Request) -> None:
        """Plan, and stand in line."""
        self.plan = await self._loop.run_in_executor(self.service.readers, plan, self.service, asked)
        self._ticket = Ticket(deque(self.plan.jobs), self._deliver)
        self.service.metrics.add("speciate_prompt_tokens_total", self.plan.prompt_tokens)
        self.service.scheduler.submit(self._ticket)

    def _deliver(self, event: Event) -> None:
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop has closed: the server has stopped
            if self._ticket is not None:
                self._ticket.gone.set()

    def interrupt(self, error: ApiError) -> None:
        """End it with an error."""
        self._events.put_nowait(Failed("", error))

    def close(self) -> None:
        """Nobody waits any more; also when nothing has begun."""
        if self._closed:
            return
        self._closed = True
        if self._ticket is not None:
            self.service.scheduler.cancel(self._ticket)
        self.service.open.discard(self)
        self.service.scheduler.leave()

    async def next(self) -> Piece | End:
        """The next piece or end of a choice; ``ApiError`` where it cannot go on."""
        happened = await self._events.get()
        if isinstance(happened, Failed):
            raise self.service.failure(happened)
        if isinstance(happened, End):
            expert = self.plan.of(happened.choice).expert
            self.service.damaged.pop(expert, None)
            self.service.metrics.add("speciate_completion_tokens_total", happened.tokens, expert=expert)
            self.tokens += happened.tokens
        return happened

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        read = self.plan.prompt_tokens
        return Usage(prompt_tokens=read, completion_tokens=self.tokens, total_tokens=read + self.tokens)

    def _head(self, model: str) -> dict[str, Any]:
        prefix = "cmpl" if self.plan.kind == "completion" else "chatcmpl"
        return {"id": f"{prefix}-{self.id}", "created": self.created, "model": model}

    async def whole(self) -> Completion | ChatCompletion:
        """The answer in one piece."""
        texts = {job.choice: [self.plan.opening(job.choice)] for job in self.plan.jobs}
        finish: dict[int, str] = {}
        while len(finish) < len(texts):
            happened = await self.next()
            if isinstance(happened, Piece):
                texts[happened.choice].append(happened.text)
            else:
                finish[happened.choice] = happened.finish
        together = self.plan.together
        head = self._head(AUTO if together is None else together.expert)
        if self.plan.kind == "chat":
            said = [
                ChatChoice(index=at, message=Said(content="".join(parts).lstrip()), finish_reason=finish[at])
                for at, parts in texts.items()
            ]
            return ChatCompletion(**head, usage=self.usage, speciate=together, choices=said)
        told = [
            Choice(index=at, text="".join(parts), finish_reason=finish[at], speciate=self.plan.of(at))
            for at, parts in texts.items()
        ]
        return Completion(**head, usage=self.usage, speciate=together, choices=told)

    async def events(self, first: Piece | End) -> AsyncIterator[bytes]:
        """The answer as server-sent events, from the first that has happened. An error ends them without [DONE]."""
        begun: set[int] = set()
        try:
            left, happened = len(self.plan.jobs), first
            while True:
                if (made := self._chunk(happened, begun)) is not None:
                    yield event(made)
                left -= isinstance(happened, End)
                if not left:
                    break
                happened = await self.next()
            if self.plan.asked.with_usage:
                together = self.plan.together
                head = self._head(AUTO if together is None else together.expert)
                yield event(chunk(self.plan.kind, head, [], True, self.usage))
            yield event("[DONE]")
        except ApiError as error:
            yield event(error.body())

    def _chunk(self, happened: Piece | End, begun: set[int]) -> Mapping[str, Any] | None:
        at, kind, chosen = happened.choice, self.plan.kind, self.plan.of(happened.choice)
        text = happened.text if isinstance(happened, Piece) else None
        new = at not in begun
        if kind == "chat" and new and text is not None and not (text := text.lstrip()):
            return None  # an answer does not begin with the space after "Assistant:"
        begun.add(at)
        if new:
            text = self.plan.opening(at) + (text or "")
        finish = happened.finish if isinstance(happened, End) else None
        head = self._head(chosen.expert)
        if new:
            head["speciate"] = chosen.model_dump()
        return chunk(kind, head, [piece(kind, at, text, finish, new)], self.plan.asked.with_usage, None)
