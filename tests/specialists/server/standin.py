"""Specialists that write made-up words as fast as a test wants them, and a server around any specialists."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from speciate.errors import Problem, UserError
from speciate.specialists.server.limits import Limits
from speciate.specialists.server.run import Server


@dataclass
class Route:
    expert: str
    scores: dict[str, float]


@dataclass
class Result:
    tokens: int
    finish: str


class Words:
    """A stream of `most` words."""

    def __init__(self, owner: StandIn, expert: str, most: int, seed: int | None) -> None:
        self.owner, self.expert, self.most, self.seed = owner, expert, most, seed
        self.result: Result | None = None
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[str]:
        written = 0
        with self.owner.counting():
            while written < self.most and not self.closed.is_set():
                if self.owner.pause:
                    self.closed.wait(self.owner.pause)
                if self.owner.breaks_after is not None and written >= self.owner.breaks_after:
                    raise RuntimeError("a wheel came off")
                self.owner.written += 1
                written += 1
                yield f" {self.expert}{written}" + "." * self.owner.padding
        self.result = Result(written, self.owner.finish)

    def close(self) -> None:
        self.closed.set()


@dataclass
class StandIn:
    """Routes by the first word; a prompt's tokens are its words."""

    names: tuple[str, ...] = ("biology", "code", "law")
    sequence_length: int = 1000
    pause: float = 0.0  # seconds for a word
    padding: int = 0  # letters behind each word
    breaks_after: int | None = None
    damaged: set[str] = field(default_factory=set)
    finish: str = "length"
    written: int = 0
    running: int = 0
    most_running: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def loaded(self) -> tuple[str, ...]:
        return self.names

    @contextmanager
    def counting(self) -> Iterator[None]:
        with self._lock:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def route(self, texts: Sequence[str]) -> list[Route]:
        first = [(text.split() or [""])[0].lower() for text in texts]
        return [
            Route(word if word in self.names else self.names[0], {name: float(name == word) for name in self.names})
            for word in first
        ]

    def stream(self, prompt: str, *, expert: str | None = None, **how: Any) -> Words:
        assert expert is not None
        self.asked.append({"prompt": prompt, "expert": expert, **how})
        if expert in self.damaged:
            raise UserError(Problem("model.safetensors has changed", f"/secret/place/{expert}", "copy it again"))
        return Words(self, expert, how["max_new_tokens"], how["seed"])


@contextmanager
def serving(served: Any, key: str | None = None, others: tuple[str, ...] = (), **limits: Any) -> Iterator[Server]:
    """A server that listens, and has ended without a trace when the block ends."""
    server = Server(served, limits=Limits(**{"workers": 2, "grace_seconds": 5.0} | limits), key=key, others=others)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(server.run()), name="server")
    thread.start()
    try:
        assert server.ready.wait(20)
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert ended == [True]
    assert not server.service.open
    assert server.service.scheduler.inside == 0


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        told = self.json["error"]
        assert set(told) == {"message", "type", "param", "code"}
        assert told["message"]
        return told

    @property
    def events(self) -> list[Any]:
        """The events of a stream, [DONE] as it is."""
        lines = self.body.decode().split("\n\n")
        assert lines.pop() == ""
        found = [line.removeprefix("data: ") for line in lines]
        return [one if one == "[DONE]" else json.loads(one) for one in found]


def ask(server: Server, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = "") -> Reply:
    """One request on a connection of its own; ``body`` as it is if bytes, else as JSON."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        told = {"Content-Type": "application/json"} | (headers or {})
        connection.request(method or ("GET" if body is None else "POST"), path, data, told)
        reply = connection.getresponse()
        return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def complete(server: Server, **fields: Any) -> Reply:
    return ask(server, "/v1/completions", {"model": "auto", "prompt": "law and order", "max_tokens": 3} | fields)


def chat(server: Server, **fields: Any) -> Reply:
    messages = [{"role": "user", "content": "code it"}]
    return ask(server, "/v1/chat/completions", {"model": "auto", "messages": messages, "max_tokens": 3} | fields)


def soon(true: Any, seconds: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
