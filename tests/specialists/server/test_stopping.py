"""Signals: running answers may end, new ones are turned away, the exit code is 0 and nothing is left."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from specialists.server.standin import Reply, StandIn, ask, complete, serving, soon
from speciate.errors import UserError
from speciate.specialists.server.run import Server, listen

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from specialists.server.standin import StandIn
from speciate.specialists.server.limits import Limits
from speciate.specialists.server.run import Server

server = Server(StandIn(pause=0.02), limits=Limits(workers=1, grace_seconds=float(sys.argv[1])))
sys.exit(0 if server.run(lambda: print(server.port, flush=True)) else 9)
"""


@contextmanager
def process(grace: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that serves, and its port."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(grace)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
    ) as running:
        try:
            assert running.stdout is not None
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


def started(port: int, words: int, stream: bool = True) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = {"model": "law", "prompt": "x", "max_tokens": words, "stream": stream}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection


def ended(connection: http.client.HTTPConnection) -> Reply:
    reply = connection.getresponse()
    told = Reply(reply.status, dict(reply.getheaders()), reply.read())
    connection.close()
    return told


def test_a_signal_lets_running_answers_end() -> None:
    with process(grace=20) as (running, port):
        busy, waiting = started(port, 20), started(port, 3, stream=False)
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        idle.request("POST", "/v1/completions", b"{}", {"Content-Type": "application/json"})
        refused = idle.getresponse()
        assert (refused.status, refused.getheader("Connection")) == (503, "close")
        assert json.loads(refused.read())["error"]["code"] == "stopping"
        idle.close()
        assert ended(busy).events[-1] == "[DONE]"
        assert ended(waiting).json["usage"]["completion_tokens"] == 3
        out, err = running.communicate(timeout=20)
        assert (running.returncode, out, err) == (0, "", "")


def test_what_takes_longer_than_the_grace_is_told_so() -> None:
    with serving(StandIn(pause=0.02), workers=1, grace_seconds=0.3) as server:
        stream, whole = started(server.port, 900), started(server.port, 900, stream=False)
        soon(lambda: len(server.service.open) == 2)
        server.stop()
        assert ended(stream).events[-1]["error"]["code"] == "stopping"
        reply = ended(whole)
        assert (reply.status, reply.error["code"]) == (503, "stopping")


def test_a_second_call_waits_for_nobody() -> None:
    stand_in = StandIn(pause=0.02)
    with serving(stand_in, workers=1, grace_seconds=600.0) as server:
        stream = started(server.port, 900)
        soon(lambda: stand_in.written > 3)
        server.stop()
        soon(lambda: server.service.stopping)  # the second call comes at the end of the block
    assert ended(stream).events[-1]["error"]["code"] == "stopping"


def test_a_stopping_server_says_so() -> None:
    stand_in = StandIn(pause=0.02)
    with serving(stand_in) as server:
        replies: list[Reply] = []
        thread = threading.Thread(target=lambda: replies.append(complete(server, max_tokens=25)))
        thread.start()
        soon(lambda: stand_in.written)
        server.stop()
        soon(lambda: server.service.stopping)
        health = ask(server, "/health")
        assert (health.status, health.json["status"]) == (503, "stopping")
        assert ask(server, "/metrics").status == 200
        assert complete(server).error["code"] == "stopping"
        thread.join()
        assert replies[0].status == 200


def test_addresses_that_cannot_be_listened_on() -> None:
    taken = listen("127.0.0.1", 0)
    try:
        with pytest.raises(UserError, match="in use") as error:
            listen("127.0.0.1", taken.getsockname()[1])
        assert "--port" in error.value.problems[0].fix
    finally:
        taken.close()
    with pytest.raises(UserError, match="no address of this machine"):
        listen("nowhere.invalid", 0)
    with pytest.raises(UserError, match="cannot listen"):
        listen("192.0.2.1", 0)


def test_private_is_what_only_this_machine_reaches() -> None:
    for host, private in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        server = Server(StandIn(), host)
        assert server.private is private
        server._socket.close()
    assert Server.__dataclass_fields__["host"].default == "127.0.0.1"
