"""Sizes, times and lines: what is too much is refused in time, and hurts nobody else."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from specialists.server.standin import StandIn, ask, chat, complete, serving, soon
from speciate.specialists.server.metrics import resident_bytes
from speciate.specialists.server.run import Server


def raw(server: Server, data: bytes) -> socket.socket:
    """A connection that has sent these bytes."""
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall(data)
    return connection


def head(length: int | None, path: str = "/v1/completions", more: str = "") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{size}\r\n{more}\r\n".encode()


def streaming(server: Server, words: int) -> socket.socket:
    body = json.dumps({"model": "law", "prompt": "x", "max_tokens": words, "stream": True}).encode()
    return raw(server, head(len(body)) + body)


def received(connection: socket.socket) -> bytes:
    """Everything until the other end closes."""
    data = b""
    with connection:
        while part := connection.recv(65536):
            data += part
    return data


def test_a_prompt_of_ten_megabytes_is_too_large() -> None:
    with serving(StandIn()) as server:
        before = resident_bytes()
        for _ in range(3):
            reply = complete(server, prompt="x" * 10_000_000)
            assert reply.status == 413
            assert reply.error["code"] == "request_too_large"
        after = resident_bytes()
        assert complete(server).status == 200
    if before is not None and after is not None:
        assert after - before < 60e6


def test_a_body_of_unknown_length_is_read_no_further_than_allowed() -> None:
    with serving(StandIn(), body_bytes=10_000) as server:
        connection = raw(server, head(None) + b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(4)))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
        connection.close()
        connection = raw(server, head(10_001, more="Expect: 100-continue\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")  # and is not asked to go on
        connection.close()
        assert complete(server, prompt="x" * 9_000).status == 200


def test_what_does_not_fit_the_context() -> None:
    with serving(StandIn(sequence_length=20)) as server:
        for reply in (
            complete(server, prompt="w " * 20),
            chat(server, messages=[{"role": "user", "content": "w " * 30}]),
        ):
            assert reply.status == 400
            assert reply.error["code"] == "context_length_exceeded"
        reply = complete(server, prompt="w " * 15, max_tokens=6)
        assert (reply.status, reply.error["code"], reply.error["param"]) == (
            400,
            "context_length_exceeded",
            "max_tokens",
        )
        assert complete(server, prompt="w " * 15, max_tokens=5).status == 200
        assert complete(server, prompt="w " * 19, max_tokens=1).status == 200
        assert complete(server, prompt=["a", "w " * 20], max_tokens=1).status == 400


def test_limits_of_prompts_and_answers() -> None:
    with serving(StandIn(), prompt_tokens=5, new_tokens=4) as server:
        assert complete(server, prompt="w " * 6).error["code"] == "context_length_exceeded"
        assert "at most 4" in complete(server, max_tokens=5).error["message"]
        assert chat(server, max_tokens=None).json["usage"]["completion_tokens"] == 4


def test_a_full_line_turns_away_and_recovers() -> None:
    stand_in = StandIn(pause=0.01)
    with serving(stand_in, workers=1, waiting=2) as server:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(complete(server, max_tokens=30).status)) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        soon(lambda: server.service.scheduler.inside == 3)
        reply = complete(server)
        assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")
        for thread in threads:
            thread.join()
        assert statuses == [200, 200, 200]
        assert stand_in.most_running == 1
        assert complete(server).status == 200


def test_a_slow_sender_is_told_so() -> None:
    with serving(StandIn(), read_seconds=0.3) as server:
        connection = raw(server, head(100) + b"{")
        assert received(connection).startswith(b"HTTP/1.1 408")
        started = time.monotonic()
        silent, partial = raw(server, b""), raw(server, b"POST /v1/comp")
        assert (received(silent), received(partial)) == (b"", b"")
        assert 0.3 < time.monotonic() - started < 5
        assert complete(server).status == 200


def test_a_slow_reader_holds_nobody_up_and_is_cut_off() -> None:
    stand_in = StandIn(padding=200_000)
    with serving(stand_in, workers=1, write_seconds=0.5) as server:
        readers = [streaming(server, 40) for _ in range(4)]  # 8 MB for each, which nobody reads
        soon(lambda: stand_in.written == 160)  # all are generated all the same
        assert complete(server).status == 200
        soon(lambda: not server.service.open)
        for reader in readers:
            got = received(reader)
            assert got.startswith(b"HTTP/1.1 200")
            assert len(got) < 7_000_000  # cut: without its end
            assert b"[DONE]" not in got


def test_a_client_that_never_reads_its_answer_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speciate.specialists.server.run.KEEP_ALIVE", 1)
    with serving(StandIn(padding=200_000)) as server:
        body = json.dumps({"model": "law", "prompt": "x", "max_tokens": 50}).encode()
        connection = raw(server, head(len(body)) + body)
        connections = server._server.server_state.connections
        soon(lambda: len(connections) == 1)
        soon(lambda: not connections)
        connection.close()


def test_connections_have_a_limit() -> None:
    with serving(StandIn(), connections=3) as server:
        held = [raw(server, b"") for _ in range(3)]
        connections = server._server.server_state.connections
        soon(lambda: len(connections) == 3)
        assert received(raw(server, b"")).startswith(b"HTTP/1.1 503")
        for connection in held:
            connection.close()
        soon(lambda: not connections)
        assert complete(server).status == 200


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_ends_the_generation(stream: bool) -> None:
    stand_in = StandIn(pause=0.01)
    with serving(stand_in, workers=1) as server:
        body = json.dumps({"model": "law", "prompt": "x", "max_tokens": 900, "stream": stream, "n": 3}).encode()
        connection = raw(server, head(len(body)) + body)
        soon(lambda: stand_in.written > 3)
        if stream:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        waiting = raw(server, head(len(body)) + body)
        soon(lambda: server.service.scheduler.inside == 2)
        waiting.close()  # from the line
        connection.close()
        soon(lambda: server.service.scheduler.inside == 0 and stand_in.running == 0)
        assert server.service.scheduler.waiting == 0
        assert stand_in.written < 500
        assert complete(server).status == 200
        soon(lambda: server.service.metrics.total("speciate_requests_total") == 3)


def test_a_key_is_asked_for() -> None:
    with serving(StandIn(), key="a-long-word") as server:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "a-long-word"},
            {"Authorization": "é"},
        ):
            for path in ("/v1/models", "/metrics", "/nowhere", "/openapi.json"):
                reply = ask(server, path, headers=headers)
                assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert ask(server, "/v1/completions", {"model": "auto"}).status == 401
        assert ask(server, "/v1/models", headers={"Authorization": "Bearer a-long-word"}).status == 200
        assert ask(server, "/health").status == 200


def test_a_damaged_expert_is_named_and_the_others_serve(caplog: pytest.LogCaptureFixture) -> None:
    stand_in = StandIn(damaged={"law"})
    with serving(stand_in) as server:
        assert ask(server, "/health").json["status"] == "ok"
        for fields in ({"model": "law"}, {"stream": True}, {"prompt": ["code", "law"]}):
            reply = complete(server, **fields)
            assert (reply.status, reply.error["code"]) == (500, "expert_damaged")
            assert "'law'" in reply.error["message"]
            assert "model.safetensors has changed" in reply.error["message"]
            assert "/secret" not in reply.error["message"]
        assert complete(server, model="code").status == 200
        assert "/secret/place/law" in caplog.text  # the operator is told where
        assert len([one for one in stand_in.asked if one["expert"] == "law"]) == 1  # not read for each request
        health = ask(server, "/health")
        assert (health.status, health.json["status"]) == (200, "degraded")
        assert health.json["experts"]["law"] == {"status": "damaged", "problem": "model.safetensors has changed"}
        assert 'speciate_expert_damaged{expert="law"} 1' in ask(server, "/metrics").body.decode()
        stand_in.damaged.clear()
        server.service.damaged["law"] = (server.service.damaged["law"][0], -1e9)  # long ago
        assert complete(server, model="law").status == 200
        assert ask(server, "/health").json["status"] == "ok"
        stand_in.damaged.update(stand_in.names)
        for name in stand_in.names:
            complete(server, model=name)
        assert (ask(server, "/health").status, ask(server, "/health").json["status"]) == (503, "damaged")


def test_a_fault_of_ours_is_an_error_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    with serving(StandIn(breaks_after=2)) as server:
        reply = complete(server)
        assert (reply.status, reply.error["code"]) == (500, "internal_error")
        assert "wheel" not in reply.error["message"]
        assert "a wheel came off" in caplog.text
        *chunks, last = complete(server, stream=True).events
        assert len(chunks) == 2
        assert last["error"]["code"] == "internal_error"


def samples(server: Server) -> dict[str, float]:
    lines = ask(server, "/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_count() -> None:
    with serving(StandIn()) as server:
        complete(server)
        complete(server, model="nobody")
        ask(server, "/a/path/nobody/knows")
        told = samples(server)
        assert told['speciate_requests_total{endpoint="/v1/completions",status="200"}'] == 1
        assert told['speciate_requests_total{endpoint="/v1/completions",status="404"}'] == 1
        assert told['speciate_requests_total{endpoint="other",status="404"}'] == 1
        assert told['speciate_completion_tokens_total{expert="law"}'] == 3
        assert told["speciate_prompt_tokens_total"] == 3
        assert told['speciate_request_seconds_bucket{endpoint="/v1/completions",le="+Inf"}'] == 2
        assert told['speciate_request_seconds_count{endpoint="/v1/completions"}'] == 2
        assert told["speciate_running"] == told["speciate_waiting"] == 0
