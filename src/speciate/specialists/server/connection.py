"""Connections that do not last for ever: uvicorn's, which waits for slow senders and readers as long as they like."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from speciate.specialists.server.errors import ApiError
from speciate.specialists.server.limits import Limits

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)


def connections(limits: Limits) -> type[H11Protocol]:
    """The class of connections within these limits, for uvicorn's ``http``."""
    return type("LimitedConnection", (_Connection,), {"limits": limits})


class _Connection(H11Protocol):
    limits: Limits
    _unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "connection": self}  # so that a response can cut it
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            import json

            error = ApiError(503, f"{self.limits.connections} connections are open already", code="overloaded")
            body = json.dumps(error.body()).encode()
            transport.write(BUSY % (len(body), body))
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """An idle connection closes; one whose client has not even read its last answer is cut."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _watch(self) -> None:
        """A request that has begun must be whole in time; a 408 of the body comes before this."""
        partial = self.conn.their_state is h11.SEND_BODY or (
            self.conn.their_state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        )
        if not partial:
            self._unwatch()
        elif self._unsent is None:
            self._unsent = self.loop.call_later(2 * self.limits.read_seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None
