"""What a request may cost: sizes and times."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from speciate.specialists.server.errors import ApiError, ClientGone


@dataclass(frozen=True)
class Limits:
    """Bytes, tokens, requests and seconds; the longest prompt and answer are the context's where they are None."""

    body_bytes: int = 4 * 2**20
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    workers: int = 0  # 0: one for each core
    waiting: int = 256
    connections: int = 1024
    read_seconds: float = 30.0  # for a client to send its request
    write_seconds: float = 30.0  # for a client to take what it is sent
    grace_seconds: float = 30.0  # for running answers, when the server stops

    @property
    def generations(self) -> int:
        """Answers that are generated at once."""
        return self.workers or cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body of a request, never more of it in memory than is allowed.

    Raises ``ApiError``: 413 too large, 415 not JSON, 408 too slow; ``ClientGone``.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Pages of other sites can make a browser send plain text and forms here, but not JSON.
        raise ApiError(415, "Send JSON with the header Content-Type: application/json", code="unsupported_media_type")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told) > limits.body_bytes:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                parts.append(part)
    except TimeoutError:
        what = f"The request's body took longer than {limits.read_seconds:g} seconds"
        raise ApiError(408, what, code="request_timeout", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise ClientGone from None
    return b"".join(parts)


def _too_large(limits: Limits) -> ApiError:
    return ApiError(413, f"The body is larger than {limits.body_bytes} bytes", code="request_too_large")


def room(prompt_tokens: int, asked: int | None, context: int, limits: Limits) -> int:
    """How many new tokens an answer may have; ``ApiError`` 400 where the prompt, or what is asked, does not fit.

    >>> room(10, None, 64, Limits()), room(10, 5, 64, Limits())
    (54, 5)
    """
    longest = context - 1 if limits.prompt_tokens is None else min(limits.prompt_tokens, context - 1)
    if prompt_tokens > longest:
        what = f"The prompt has {prompt_tokens} tokens; at most {longest} are read (the context has {context})"
        raise ApiError(400, what, code="context_length_exceeded", param="prompt")
    if asked is not None and limits.new_tokens is not None and asked > limits.new_tokens:
        what = f"max_tokens is {asked}; this server writes at most {limits.new_tokens}"
        raise ApiError(400, what, param="max_tokens")
    left = context - prompt_tokens
    if asked is not None and asked > left:
        what = f"The context has {context} tokens, the prompt {prompt_tokens}; max_tokens {asked} does not fit"
        raise ApiError(400, what, code="context_length_exceeded", param="max_tokens")
    return asked if asked is not None else min(left, limits.new_tokens or left)
