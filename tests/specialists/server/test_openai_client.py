"""OpenAI's own Python client against the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("openai")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import openai

from specialists.server.standin import StandIn, serving
from speciate.specialists.server.run import Server

KEY = "a-key-of-the-server"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(StandIn(), key=KEY, body_bytes=50_000) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0, timeout=20) as made:
        yield made


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", "biology", "code", "law"]
    assert client.models.retrieve("law").owned_by == "speciate"


def test_completions(client: openai.OpenAI) -> None:
    told = client.completions.create(model="auto", prompt="law first", max_tokens=4, n=2, temperature=0)
    assert [choice.text for choice in told.choices] == [" law1 law2 law3 law4"] * 2
    assert (told.model, told.speciate["expert"]) == ("law", "law")
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (2, 8, 10)


def test_chats(client: openai.OpenAI) -> None:
    turns = [{"role": "user", "content": "code please"}]
    told = client.chat.completions.create(model="auto", messages=turns, max_completion_tokens=2)
    assert told.choices[0].message.content == "code1 code2"
    assert told.choices[0].finish_reason == "length"
    assert told.model == "code"
    again = client.chat.completions.create(  # what came back is sent again, as the client parsed it
        model="auto", messages=[*turns, told.choices[0].message, {"role": "user", "content": "more"}], max_tokens=1
    )
    assert again.choices[0].message.content == "code1"


def test_streams(server: Server, client: openai.OpenAI) -> None:
    with client.completions.create(model="law", prompt="a", max_tokens=3, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == " law1 law2 law3"
    turns = [{"role": "user", "content": "code"}]
    chunks = list(
        client.chat.completions.create(
            model="auto", messages=turns, max_tokens=3, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "code1 code2 code3"
    assert chunks[0].speciate["expert"] == "code"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    server.served.finish = "stop"  # type: ignore[attr-defined]  the client takes "length" for a failure here
    with client.chat.completions.stream(model="auto", messages=turns, max_tokens=3) as events:
        assert events.get_final_completion().choices[0].message.content == "code1 code2 code3"


def test_errors_are_its_own_classes(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-4") as missing:
        client.completions.create(model="gpt-4", prompt="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model="law", prompt="w " * 2000)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "prompt")
    with pytest.raises(openai.APIStatusError) as large:
        client.completions.create(model="law", prompt="w" * 60_000)
    assert large.value.status_code == 413
    with pytest.raises(openai.BadRequestError, match="logprobs"):
        client.completions.create(model="law", prompt="a", logprobs=2)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").models.list()
    assert isinstance(server.served, StandIn)
    server.served.damaged.add("biology")
    with pytest.raises(openai.InternalServerError, match="biology"):
        client.completions.create(model="biology", prompt="a")


def test_an_error_within_a_stream(server: Server, client: openai.OpenAI) -> None:
    assert isinstance(server.served, StandIn)
    server.served.breaks_after = 2
    try:
        stream = client.completions.create(model="law", prompt="a", max_tokens=3, stream=True)
        with pytest.raises(openai.APIError, match="fault of the server"):
            list(stream)
    finally:
        server.served.breaks_after = None
