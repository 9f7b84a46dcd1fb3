"""Answers of OpenAI's completions and chat endpoints, whole and in pieces.

``model`` is the expert that answered. ``speciate`` is ours: the expert and, where it was routed, every expert's score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

AnswerKind = Literal["completion", "chat"]


class Chosen(BaseModel):
    """Which expert, and the router's scores; null where the request named the expert."""

    expert: str
    scores: dict[str, float] | None = None


class Usage(BaseModel):
    """Tokens of the prompts, and of all answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(BaseModel):
    """One completion."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: str
    speciate: Chosen  # of its prompt, as there may be several


class Said(BaseModel):
    """What the assistant says."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """One answer of a chat."""

    index: int
    message: Said
    logprobs: None = None
    finish_reason: str


class Response(BaseModel):
    """What both kinds have. ``model`` is "auto" where several prompts went to several experts."""

    id: str
    created: int
    model: str
    usage: Usage
    speciate: Chosen | None


class Completion(Response):
    """The answer of POST /v1/completions."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[Choice]


class ChatCompletion(Response):
    """The answer of POST /v1/chat/completions."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


def piece(kind: AnswerKind, index: int, text: str | None, finish: str | None, first: bool) -> dict[str, Any]:
    """One choice of one chunk of a stream."""
    if kind == "completion":
        return {"index": index, "text": text or "", "logprobs": None, "finish_reason": finish}
    delta: dict[str, str] = {} if text is None else {"content": text}
    if first:
        delta = {"role": "assistant", "content": text or ""}
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def chunk(
    kind: AnswerKind, head: Mapping[str, Any], choices: list[dict[str, Any]], with_usage: bool, usage: Usage | None
) -> dict[str, Any]:
    """A chunk of a stream; ``usage`` is null in all but the last where it was asked for."""
    made = {**head, "object": "text_completion" if kind == "completion" else "chat.completion.chunk"}
    made["choices"] = choices
    if with_usage:
        made["usage"] = None if usage is None else usage.model_dump()
    return made
