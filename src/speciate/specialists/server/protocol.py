"""Requests of OpenAI's completions and chat endpoints. What is not supported and would change the answer is refused.

Defaults are OpenAI's: temperature 1, top_p 1, n 1, 16 new tokens for completions, the rest of the context for chats.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MOST_STOPS = 4
MOST_CHOICES = 128  # prompts times n of one request
SEEDS = 2**63
COLDEST = 1e-4
DEFAULT_TOKENS = 16  # of a completion, as OpenAI's


def _only(*neutral: Any) -> Any:
    """A field that may be given only where it changes nothing."""

    def check(value: Any) -> Any:
        if value not in neutral:
            raise PydanticCustomError("unsupported", "not supported by this server; leave it out")
        return value

    return Annotated[Any, AfterValidator(check)]


def _strings(kind: str, most: int | None) -> Callable[[Any], Any]:
    """One string or a list of them -> the list; a plain sentence for everything else."""

    def check(value: Any) -> Any:
        many = [value] if isinstance(value, str) else value
        if not isinstance(many, list) or not many or not all(isinstance(each, str) for each in many):
            raise PydanticCustomError("strings", "give {kind}", {"kind": kind})
        if most is not None and (len(many) > most or not all(many)):
            raise PydanticCustomError("strings", "give at most {most}, none of them empty", {"most": most})
        return many

    return check


Prompts = Annotated[
    list[str], BeforeValidator(_strings("text or a list of texts (arrays of tokens are not read)", None))
]
Stops = Annotated[list[str], BeforeValidator(_strings("text or a list of texts", MOST_STOPS))]


class StreamOptions(BaseModel):
    """What a stream tells beside its text."""

    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # we add none either way


class Asked(BaseModel):
    """What both endpoints take."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Annotated[str, Field(min_length=1, max_length=500)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    seed: Annotated[int, Field(ge=-SEEDS, lt=SEEDS)] | None = None
    stop: Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: _only(None, 0) = None  # type: ignore[valid-type]
    frequency_penalty: _only(None, 0) = None  # type: ignore[valid-type]
    logit_bias: _only(None, {}) = None  # type: ignore[valid-type]
    # Accepted, as they are about the asker and never about the answer:
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    store: _only(None, False) = None  # type: ignore[valid-type]
    service_tier: _only(None, "auto", "default") = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _streams(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("stream_options", "stream_options is only for stream: true")
        return self

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return self.n or 1

    @property
    def heat(self) -> float:
        """The temperature; OpenAI's default is 1. Next to none is none: scores divided by it would overflow."""
        heat = 1.0 if self.temperature is None else self.temperature
        return 0.0 if heat < COLDEST else heat

    @property
    def nucleus(self) -> float:
        """The share of probability that is sampled from."""
        return 1.0 if self.top_p is None else self.top_p

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with a count of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def first_seed(self) -> int:
        """The seed of the first choice; choice i has this one plus i."""
        return secrets.randbelow(SEEDS) if self.seed is None else self.seed % SEEDS


class CompletionRequest(Asked):
    """POST /v1/completions."""

    prompt: Prompts
    echo: bool | None = None
    suffix: _only(None, "") = None  # type: ignore[valid-type]
    logprobs: _only(None) = None  # type: ignore[valid-type]
    best_of: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.best_of is not None and self.best_of != self.choices:
            raise PydanticCustomError("best_of", "best_of other than n is not supported; leave it out")
        if len(self.prompt) * self.choices > MOST_CHOICES:
            raise PydanticCustomError("n", "prompts times n is more than {most}", {"most": MOST_CHOICES})
        return self

    @property
    def most_new(self) -> int | None:
        """New tokens at most."""
        return DEFAULT_TOKENS if self.max_tokens is None else self.max_tokens


class TextPart(BaseModel):
    """A piece of a message; only text is understood."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]
    text: str


def _parts(value: Any) -> Any:
    """Text is one part of type text."""
    if isinstance(value, str):
        return [TextPart(type="text", text=value)]
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    raise PydanticCustomError("content", "give text, or a list of parts of type text")


class Message(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(extra="forbid", strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[TextPart], BeforeValidator(_parts)]
    # A client sends our own messages back as it parsed them, with fields that are empty:
    name: _only(None) = None  # type: ignore[valid-type]
    refusal: _only(None) = None  # type: ignore[valid-type]
    annotations: _only(None, []) = None  # type: ignore[valid-type]
    audio: _only(None) = None  # type: ignore[valid-type]
    tool_calls: _only(None, []) = None  # type: ignore[valid-type]
    function_call: _only(None) = None  # type: ignore[valid-type]

    @property
    def text(self) -> str:
        """The words of the turn."""
        return "".join(part.text for part in self.content)


class ResponseFormat(BaseModel):
    """Only plain text is written."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]


class ChatRequest(Asked):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: ResponseFormat | None = None
    modalities: _only(None, ["text"]) = None  # type: ignore[valid-type]
    logprobs: _only(None, False) = None  # type: ignore[valid-type]
    top_logprobs: _only(None, 0) = None  # type: ignore[valid-type]
    tools: _only(None, []) = None  # type: ignore[valid-type]
    tool_choice: _only(None, "none", "auto") = None  # type: ignore[valid-type]
    functions: _only(None, []) = None  # type: ignore[valid-type]
    function_call: _only(None, "none", "auto") = None  # type: ignore[valid-type]
    parallel_tool_calls: _only(None, True, False) = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise PydanticCustomError("max_tokens", "max_tokens and max_completion_tokens differ; give one")
        return self

    @property
    def most_new(self) -> int | None:
        """New tokens at most; None: what the context has room for."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
