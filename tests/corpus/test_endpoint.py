"""Grades by a language model: a server on this machine that refuses, fails, babbles and hangs up."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from speciate.corpus.classify.endpoint import AGAIN, TRIES, Endpoint, estimate, parse_grade
from speciate.corpus.classify.sampling import Candidate
from speciate.errors import UserError

Answer = Callable[[str, int], Any]  # (text of the question, how often it was asked) -> words, a status, or "cut"


class Server:
    """An endpoint whose answers a test decides."""

    def __init__(self) -> None:
        self.answer: Answer = lambda text, times: "0"
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                text = body["messages"][-1]["content"]
                text = text.split("<<<TEXT\n")[-1].split("\nTEXT>>>")[0]
                with outer.lock:
                    outer.asked[text] += 1
                    outer.bodies.append(body)
                    said = outer.answer(text, outer.asked[text])
                status, words, headers = said if isinstance(said, tuple) else (200, said, {})
                if words == "cut":
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                    return
                if status == 200:
                    message = {"role": "assistant", "content": words}
                    choice = {"index": 0, "finish_reason": "stop", "message": message}
                    used = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
                    told: Any = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
                    told |= {"choices": [choice], "usage": used}
                else:
                    told = {"error": {"message": words, "code": words}}
                data = words.encode() if headers.get("raw") else json.dumps(told).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), made.handler())
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{http.server_address[1]}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield made
    http.shutdown()
    thread.join()
    http.server_close()


def graded(texts: list[str], cache: Path, **options: Any) -> tuple[dict[str, int | None], Endpoint, list[float]]:
    """Grades by text, the endpoint, and the seconds that it would have slept."""
    waits: list[float] = []
    endpoint = Endpoint("model-1", "Roman law", cache, wait=waits.append, **options)
    grades: dict[str, int | None] = {}
    try:
        endpoint.grade([Candidate(text, text) for text in texts], grades.__setitem__)
    finally:
        if endpoint._client is not None:
            endpoint._client.close()
    return grades, endpoint, waits


def test_grades_come_back_and_are_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    server.answer = lambda text, times: text[-1]
    texts = [f"text {i} of grade {i % 6}" for i in range(20)]
    grades, endpoint, _ = graded(texts, tmp_path)
    assert grades == {text: int(text[-1]) for text in texts}
    assert endpoint.usage.calls == 20 and endpoint.usage.tokens_in == 200 and endpoint.usage.tokens_out == 20
    assert "Roman law" in server.bodies[0]["messages"][0]["content"]
    again, endpoint, _ = graded([*texts, "new 3"], tmp_path)
    assert again == grades | {"new 3": 3}
    assert (endpoint.usage.calls, endpoint.usage.cached) == (1, 20)
    assert not any(b"text 1" in file.read_bytes() for file in tmp_path.rglob("*.json"))


def test_the_cache_knows_model_prompt_and_text_and_mends_damage(server: Server, tmp_path: Path) -> None:
    graded(["a"], tmp_path)
    for model, topic in (("model-2", "Roman law"), ("model-1", "Roman roads")):
        other = Endpoint(model, topic, tmp_path)
        other.grade([Candidate("a", "a")], lambda name, score: None)
        other.client.close()
        assert other.usage.calls == 1
    for file in tmp_path.rglob("*.json"):
        file.write_text("{oops")
    assert graded(["a"], tmp_path)[1].usage.calls == 1


def test_what_passes_is_tried_again_and_waited_for(server: Server, tmp_path: Path) -> None:
    troubles = [(429, "slow down", {"retry-after": "7"}), (500, "oops", {}), (200, "cut", {}), (503, "busy", {})]

    def answer(text: str, times: int) -> Any:
        return troubles[times - 1] if times <= len(troubles) else "4"

    server.answer = answer
    grades, endpoint, waits = graded(["a"], tmp_path)
    assert grades == {"a": 4}
    assert endpoint.usage.calls == 5 and endpoint.usage.retries == 4
    assert len(waits) == 4 and waits[0] == 7.0 and 1 <= waits[1] <= 2 <= waits[2] <= 4 <= waits[3] <= 8


def test_a_server_that_only_fails_is_told_and_what_was_graded_is_kept(server: Server, tmp_path: Path) -> None:
    server.answer = lambda text, times: (500, "oops", {}) if text == "bad" else "1"
    kept: dict[str, int | None] = {}
    endpoint = Endpoint("model-1", "x", tmp_path, parallel=1, wait=lambda seconds: None)
    with pytest.raises(UserError, match=f"{TRIES} tries failed, the last with status 500.*grades so far are kept"):
        endpoint.grade([Candidate(name, name) for name in ("a", "b", "bad", "c")], kept.__setitem__)
    endpoint.client.close()
    assert {"a", "b"} <= kept.keys() and server.asked["bad"] == TRIES


def test_no_connection_is_told_with_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1.*tries failed"):
        graded(["a"], tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY: no key"):
        graded(["a"], tmp_path)


@pytest.mark.parametrize("nonsense", ["7", "I would say it is good.", "", "2 or 3", "-1", "3.5"])
def test_a_malformed_answer_is_counted_and_asked_again_once(server: Server, tmp_path: Path, nonsense: str) -> None:
    server.answer = lambda text, times: "2" if text == AGAIN and server.asked["odd"] else nonsense
    grades, endpoint, _ = graded(["odd"], tmp_path)
    assert grades == {"odd": 2} and endpoint.usage.malformed == 1 and endpoint.usage.calls == 2
    assert len(server.bodies[-1]["messages"]) == 3
    server.answer = lambda text, times: nonsense
    grades, endpoint, _ = graded(["hopeless"], tmp_path)
    assert grades == {"hopeless": None} and endpoint.usage.malformed == 2 and endpoint.usage.calls == 2
    assert graded(["hopeless"], tmp_path)[1].usage.calls == 0


def test_a_body_that_is_no_answer_is_tried_again(server: Server, tmp_path: Path) -> None:
    pages = ["<html>maintenance</html>", "[]", "null", '{"choices": []}', '{"choices": [{}]}']
    server.answer = lambda text, times: (200, pages[times - 1], {"raw": "1"}) if times <= len(pages) else "3"
    grades, endpoint, _ = graded(["a"], tmp_path)
    assert grades == {"a": 3} and endpoint.usage.retries == 5


def test_one_text_that_is_refused_is_left_out(server: Server, tmp_path: Path) -> None:
    server.answer = lambda text, times: (400, "context_length_exceeded", {}) if text == "long" else "1"
    grades, endpoint, _ = graded(["long", "b"], tmp_path)
    assert grades == {"long": None, "b": 1} and endpoint.usage.refused == 1


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (401, "OPENAI_API_KEY"),
        (403, "OPENAI_API_KEY"),
        (404, "a model that the endpoint"),
        (400, "see what the endpoint"),
    ],
)
def test_what_is_refused_for_good_is_told_at_once(server: Server, tmp_path: Path, status: int, fix: str) -> None:
    server.answer = lambda text, times: (status, "no such thing", {})
    with pytest.raises(UserError, match=f"model-1: it refused .status {status}.*{fix}"):
        graded(["a", "b", "c"], tmp_path, parallel=1)
    assert sum(server.asked.values()) <= 2


def test_a_model_without_a_temperature_is_asked_without(server: Server, tmp_path: Path) -> None:
    def answer(text: str, times: int) -> Any:
        return (400, "temperature is not supported", {}) if "temperature" in server.bodies[-1] else "2"

    server.answer = answer
    grades, endpoint, _ = graded(["a", "b"], tmp_path, parallel=1)
    assert grades == {"a": 2, "b": 2} and endpoint.usage.calls == 3


def test_answers_as_models_give_them() -> None:
    told = {"4": 4, " 3\n": 3, "Score: 5": 5, "**2**": 2, "1/5": 1, "4 out of 5": 4, "Grade (0-5): 3": 3}
    assert {text: parse_grade(text) for text in told} == told
    assert [parse_grade(text) for text in ("6", "10", "", None, "1 2", "5.0", "five", "-3")] == [None] * 8


def test_the_estimate_counts_every_label() -> None:
    told = estimate("law", [Candidate("a", "x" * 4000), Candidate("b", "")], 1000)
    assert told["calls"] == 1000 and 500_000 < told["tokens_in"] < 1_000_000
