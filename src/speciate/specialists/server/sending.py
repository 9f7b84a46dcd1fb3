"""Streams of server-sent events to clients that may leave, or read slowly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from speciate.specialists.server.errors import ClientGone

T = TypeVar("T")
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back
]


def event(data: Any) -> bytes:
    """One event.

    >>> event("[DONE]")
    b'data: [DONE]\\n\\n'
    """
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


async def unless_gone(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """What ``work`` returns; ``ClientGone`` as soon as the client has closed its connection, and the work ends."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """A response of events. A client that takes nothing for ``write_seconds`` is cut off.

    ``close`` is called when the stream has ended, however it did.
    """

    def __init__(self, events: AsyncIterator[bytes], close: Callable[[], None], write_seconds: float) -> None:
        super().__init__()
        self.events, self.close, self.write_seconds = events, close, write_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end, or the client leaves."""
        try:
            await unless_gone(self._send(send), receive)
        except (ClientGone, TimeoutError):
            await _abort(scope)
        finally:
            self.close()

    async def _send(self, send: Send) -> None:
        await self._one(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
        async for data in self.events:
            await self._one(send, {"type": "http.response.body", "body": data, "more_body": True})
        await self._one(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _one(self, send: Send, message: dict[str, Any]) -> None:
        async with asyncio.timeout(self.write_seconds):
            await send(message)


async def _abort(scope: Scope) -> None:
    """Cut the connection without waiting until the client has read what is left."""
    connection = scope.get("state", {}).get("connection")
    if connection is not None:
        connection.transport.abort()
        await asyncio.sleep(0)  # until the server knows: it would take the missing end for a fault
        await asyncio.sleep(0)
