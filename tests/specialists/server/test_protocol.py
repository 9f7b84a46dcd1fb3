"""What is asked, what is answered, and what is refused, in OpenAI's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from specialists.server.standin import StandIn, ask, chat, complete, serving
from speciate.specialists.server.run import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(StandIn(), others=("base",)) as running:
        yield running


def test_a_completion_names_its_expert_and_counts_tokens(server: Server) -> None:
    told = complete(server).json
    assert told["object"] == "text_completion"
    assert told["model"] == "law"
    assert told["speciate"] == {"expert": "law", "scores": {"biology": 0.0, "code": 0.0, "law": 1.0}}
    assert told["choices"][0]["text"] == " law1 law2 law3"
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_a_named_expert_answers_without_a_route(server: Server) -> None:
    told = complete(server, model="code").json
    assert (told["model"], told["speciate"]) == ("code", {"expert": "code", "scores": None})
    assert complete(server, model="base").json["choices"][0]["text"] == " base1 base2 base3"


def test_several_prompts_and_choices_come_in_order(server: Server) -> None:
    told = complete(server, prompt=["law x", "code y"], n=2, echo=True).json
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2, 3]
    assert [choice["text"] for choice in told["choices"]] == 2 * ["law x law1 law2 law3"] + 2 * [
        "code y code1 code2 code3"
    ]
    assert [choice["speciate"]["expert"] for choice in told["choices"]] == ["law", "law", "code", "code"]
    assert (told["model"], told["speciate"]) == ("auto", None)
    assert told["usage"] == {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16}


def test_defaults_are_openais(server: Server) -> None:
    stand_in = server.served
    assert isinstance(stand_in, StandIn)
    ask(server, "/v1/completions", {"model": "law", "prompt": "a"})
    last = stand_in.asked[-1]
    assert (last["max_new_tokens"], last["temperature"], last["top_p"], last["stop"]) == (16, 1.0, 1.0, ())
    first = last["seed"]
    ask(server, "/v1/completions", {"model": "law", "prompt": "a"})
    assert stand_in.asked[-1]["seed"] != first  # drawn anew
    complete(server, n=3, seed=-5, temperature=1e-9)
    assert sorted(one["seed"] for one in stand_in.asked[-3:]) == [2**63 - 5, 2**63 - 4, 2**63 - 3]
    assert stand_in.asked[-1]["temperature"] == 0.0


def test_seeds_of_choices_stay_seeds(server: Server) -> None:
    assert isinstance(server.served, StandIn)
    assert complete(server, n=3, seed=-1).status == 200
    assert all(0 <= one["seed"] < 2**63 for one in server.served.asked[-3:])


def test_a_chat_is_laid_out_and_routed_by_what_the_user_says(server: Server) -> None:
    assert isinstance(server.served, StandIn)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "law "}, {"type": "text", "text": "now"}]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "code"},
    ]
    told = chat(server, messages=messages, stop="x").json
    asked = server.served.asked[-1]
    assert asked["prompt"] == "Be brief.\n\nUser: law now\nAssistant: Yes.\nUser: code\nAssistant:"
    assert asked["stop"] == ("x", "\nUser:")
    assert told["object"] == "chat.completion"
    assert told["model"] == told["speciate"]["expert"] == "law"
    assert told["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "law1 law2 law3"},
            "logprobs": None,
            "finish_reason": "length",
        }
    ]


def test_a_chat_without_a_limit_has_what_the_context_has_room_for(server: Server) -> None:
    assert isinstance(server.served, StandIn)
    chat(server, max_tokens=None)
    assert server.served.asked[-1]["max_new_tokens"] == 1000 - 4
    chat(server, max_tokens=None, max_completion_tokens=7)
    assert server.served.asked[-1]["max_new_tokens"] == 7


def test_a_stream_of_a_completion(server: Server) -> None:
    reply = complete(server, stream=True, echo=True, n=2)
    assert reply.headers["content-type"].startswith("text/event-stream")
    *chunks, done = reply.events
    assert done == "[DONE]"
    for at in (0, 1):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == at]
        assert "".join(choice["text"] for choice in mine) == "law and order law1 law2 law3"
        assert [choice["finish_reason"] for choice in mine] == [None, None, None, "length"]
    assert {chunk["model"] for chunk in chunks} == {"law"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert sum("speciate" in chunk for chunk in chunks) == 2
    assert all("usage" not in chunk for chunk in chunks)


def test_a_stream_of_a_chat_with_its_usage(server: Server) -> None:
    *chunks, last, done = chat(server, stream=True, stream_options={"include_usage": True}).events
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "code1"}
    assert chunks[1]["choices"][0]["delta"] == {"content": " code2"}
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"prompt": None}, "prompt", "give text"),
        ({"prompt": [1, 2, 3]}, "prompt", "arrays of tokens are not read"),
        ({"prompt": []}, "prompt", "give text"),
        ({"model": 3}, "model", "string"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens", "integer"),
        ({"max_tokens": "5"}, "max_tokens", "integer"),
        ({"max_tokens": True}, "max_tokens", "integer"),
        ({"temperature": 2.1}, "temperature", "less than or equal to 2"),
        ({"temperature": -0.1}, "temperature", "greater than or equal to 0"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 1000}, "n", "less than or equal to 128"),
        ({"prompt": ["a"] * 100, "n": 2}, None, "more than 128"),
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stop": ""}, "stop", "none of them empty"),
        ({"seed": 2**63}, "seed", "less than"),
        ({"logprobs": 0}, "logprobs", "not supported"),
        ({"suffix": "x"}, "suffix", "not supported"),
        ({"best_of": 2}, None, "best_of"),
        ({"presence_penalty": 0.5}, "presence_penalty", "not supported"),
        ({"frequency_penalty": -1}, "frequency_penalty", "not supported"),
        ({"logit_bias": {"50256": -100}}, "logit_bias", "not supported"),
        ({"stream_options": {"include_usage": True}}, None, "only for stream"),
        ({"stream": "yes"}, "stream", "boolean"),
        ({"top_k": 5}, "top_k", "Unrecognized request argument: top_k"),
    ],
)
def test_what_a_completion_refuses(server: Server, fields: dict[str, Any], param: str | None, said: str) -> None:
    reply = complete(server, **fields)
    assert reply.status == 400
    assert said in reply.error["message"]
    assert (reply.error["type"], reply.error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hello"}, "messages", "array"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "'user'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "required"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "give text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0].type", "'text'"),
        ({"messages": [{"role": "user", "content": "a", "name": "Ann"}]}, "messages[0].name", "not supported"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, None, "differ"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "'text'"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "Unrecognized"),
        ({"prompt": "x"}, "prompt", "Unrecognized"),
    ],
)  # fmt: skip
def test_what_a_chat_refuses(server: Server, fields: dict[str, Any], param: str | None, said: str) -> None:
    reply = chat(server, **fields)
    assert reply.status == 400
    assert said in reply.error["message"]
    assert reply.error["param"] == param


def test_every_mistake_is_told_at_once(server: Server) -> None:
    told = complete(server, temperature=3, n=0, top_k=1).error["message"]
    assert all(name in told for name in ("temperature", "n:", "top_k"))


def test_what_changes_nothing_is_accepted(server: Server) -> None:
    neutral = {"user": "me", "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "best_of": 1, "n": 1}
    assert complete(server, **neutral, suffix=None, logprobs=None, stop=None, seed=None).status == 200
    ours = {"role": "assistant", "content": "a", "refusal": None, "annotations": [], "tool_calls": None, "audio": None}
    turns = [{"role": "developer", "content": "b"}, ours, {"role": "user", "content": "c"}]
    fine = {"tools": [], "logprobs": False, "response_format": {"type": "text"}, "metadata": {"a": "b"}, "store": False}
    assert chat(server, messages=turns, **fine).status == 200


def test_unknown_models_are_not_found(server: Server) -> None:
    for reply in (complete(server, model="gpt-4"), chat(server, model="Law"), ask(server, "/v1/models/gpt-4")):
        assert reply.status == 404
        assert reply.error["code"] == "model_not_found"
    assert "auto, biology, code, law, base" in complete(server, model="gpt-4").error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"\xff\xfe", b"[1]", b'"x"', b"null", b"{}", b'{"model": "auto"}',
        b"[" * 200_000, b'{"a":' * 100_000, b'{"model": "auto", "prompt": "\\ud800"}',
        b'{"model": "auto", "prompt": "x", "temperature": NaN}', b'{"model": "auto", "prompt": "x", "seed": 1e400}',
        b'{"model": "auto", "prompt": "x", "max_tokens": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_bodies_that_are_no_request(server: Server, body: bytes) -> None:
    for path in ("/v1/completions", "/v1/chat/completions"):
        reply = ask(server, path, body)
        assert reply.status == 400
        assert len(reply.error["message"]) < 1000


def test_a_body_that_is_not_json_says_where(server: Server) -> None:
    reply = ask(server, "/v1/completions", b'{"model": "auto",, }')
    assert reply.error["code"] == "invalid_json"
    assert "line 1 column 18" in reply.error["message"]


def test_only_json_is_read_and_only_known_paths_are(server: Server) -> None:
    body = json.dumps({"model": "auto", "prompt": "x"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask(server, "/v1/completions", body, {"Content-Type": kind}).status == 415
    assert ask(server, "/v1/completions", body, {"Content-Type": "Application/JSON; charset=utf-8"}).status == 200
    assert ask(server, "/v2/completions", body).error["type"] == "invalid_request_error"
    assert ask(server, "/v2/completions", body).status == ask(server, "/").status == ask(server, "/docs").status == 404
    wrong = ask(server, "/v1/completions")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def test_models_and_the_schema_are_listed(server: Server) -> None:
    listed = ask(server, "/v1/models").json
    assert [one["id"] for one in listed["data"]] == ["auto", "biology", "code", "law", "base"]
    assert ask(server, "/v1/models/law").json["object"] == "model"
    schema = ask(server, "/openapi.json").json
    assert "/v1/chat/completions" in schema["paths"]


def test_no_other_site_is_invited(server: Server) -> None:
    reply = ask(server, "/v1/models", headers={"Origin": "https://example.com"})
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert "server" not in reply.headers
