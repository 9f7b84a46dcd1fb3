"""What goes wrong for a client, in the form that OpenAI's clients know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

INVALID, SERVER = "invalid_request_error", "server_error"
MOST_TOLD = 5  # mistakes of one request that are listed


class ApiError(Exception):
    """An answer that is an error: its HTTP status and OpenAI's four fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer.

        >>> ApiError(404, "there is no model 'x'", code="model_not_found", param="model").body()["error"]["type"]
        'invalid_request_error'
        """
        kind = SERVER if self.status >= 500 else INVALID
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse(self.body(), self.status, self.headers)


class ClientGone(Exception):
    """The client has closed its connection: nobody waits for an answer."""


def of_validation(error: ValidationError) -> ApiError:
    """Every mistake of a request (the first few of them) in one message; ``param`` is where the first is."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    if mistakes[0]["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {mistakes[0]['msg']}", code="invalid_json")
    told = list(dict.fromkeys(_mistake(each["type"], _place(each["loc"]), each["msg"]) for each in mistakes))
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    code = "unknown_parameter" if mistakes[0]["type"] == "extra_forbidden" else None
    return ApiError(400, "; ".join(told[:MOST_TOLD]) + more, code=code, param=_place(mistakes[0]["loc"]) or None)


def _mistake(kind: str, where: str, said: str) -> str:
    if kind == "extra_forbidden":
        return f"Unrecognized request argument: {where}"
    return f"{where}: {said}" if where else said


def _place(loc: tuple[int | str, ...]) -> str:
    """The path of a field as users write it; what pydantic adds for the kind of a value is left out.

    >>> _place(("messages", 0, "content", "str"))
    'messages[0].content'
    """
    kept = [each for each in loc if isinstance(each, int) or (each.isidentifier() and each != "str")]
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in kept)
    return text.removeprefix(".")[:200]
