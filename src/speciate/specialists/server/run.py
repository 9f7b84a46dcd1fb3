"""A server that listens, stops when told to, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import FrameType

import uvicorn

from speciate.errors import Problem, UserError
from speciate.specialists.server.app import build
from speciate.specialists.server.connection import connections
from speciate.specialists.server.limits import Limits
from speciate.specialists.server.served import Served
from speciate.specialists.server.service import Service

KEEP_ALIVE = 65  # seconds; longer than clients keep theirs, so that none writes into a closing connection
FLUSH = 2  # seconds for last bytes to leave
LAST_TOKENS = 10.0  # seconds for threads to end the step they are in


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; UserError where the machine refuses. Port 0: the system chooses."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        what = f"{host!r} is no address of this machine ({error})"
        raise UserError(Problem(what, "--host", "give one, as 127.0.0.1")) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        fix = "give another --port (0: the system chooses one), or another --host"
        raise UserError(Problem(f"cannot listen there: {error.strerror}", f"{host}:{port}", fix)) from None
    return listening


@dataclass
class Server:
    """Specialists at an address. ``run`` returns when a signal, or ``stop`` from another thread, has ended it."""

    served: Served
    host: str = "127.0.0.1"
    port: int = 0
    limits: Limits = field(default_factory=Limits)
    key: str | None = None
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.service = Service(self.served, self.limits, self.key, self.others)
        self._socket = listen(self.host, self.port)
        self.port = self._socket.getsockname()[1]
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients find it; OpenAI's clients want this with /v1."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def private(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self._socket.getsockname()[0].partition("%")[0]).is_loopback

    def run(self, on_ready: Callable[[], None] | None = None) -> bool:
        """Serve until told to stop; whether every thread has ended."""
        config = uvicorn.Config(
            build(self.service),
            http=connections(self.limits),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=FLUSH,
        )
        self._server = _Listening(config, self)
        self.service.start()
        try:
            asyncio.run(self._serve(on_ready))
        finally:
            self._socket.close()
            ended = self.service.stop(LAST_TOKENS)
        return ended

    async def _serve(self, on_ready: Callable[[], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._server.serve([self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            if on_ready is not None:
                on_ready()
            self.ready.set()
        await serving
        self._loop = None

    def stop(self) -> None:
        """Begin to stop; from any thread, and from a handler of signals. A second call waits for nobody."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self.service.stopping:
            self.service.interrupt()
            self._server.force_exit = self._server.should_exit = True
            return
        self.service.stopping = True
        self._stops.add(asyncio.ensure_future(self._finish()))

    async def _finish(self) -> None:
        """New requests get 503 from now on; running ones may end in time, the others are told."""
        end = time.monotonic() + self.limits.grace_seconds
        while self.service.open and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self.service.interrupt()
        end = time.monotonic() + FLUSH
        while self.service.open and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self._server.should_exit = True


class _Listening(uvicorn.Server):
    """uvicorn's, but signals begin our way of stopping, and are not raised again at the end: the exit code is 0."""

    def __init__(self, config: uvicorn.Config, owner: Server) -> None:
        super().__init__(config)
        self.owner = owner

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(number: int, frame: FrameType | None) -> None:
            self.owner.stop()

        before = {each: signal.signal(each, told) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
