"""The endpoints."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speciate.specialists.server.answers import Answer
from speciate.specialists.server.errors import ApiError, ClientGone, of_validation
from speciate.specialists.server.limits import read_body
from speciate.specialists.server.metrics import Labels, resident_bytes
from speciate.specialists.server.protocol import ChatRequest, CompletionRequest
from speciate.specialists.server.responses import ChatCompletion, Completion
from speciate.specialists.server.sending import EventStream, unless_gone
from speciate.specialists.server.service import Service

GONE = 499  # as nginx counts clients that left
ENDPOINTS = ("/health", "/metrics", "/openapi.json", "/v1/models", "/v1/completions", "/v1/chat/completions")


def build(service: Service) -> ASGIApp:
    """The application that serves these specialists."""
    app = FastAPI(title="Speciate", docs_url=None, redoc_url=None)  # those pages load scripts from elsewhere
    app.add_api_route("/health", _health(service), methods=["GET"])
    app.add_api_route("/metrics", _metrics(service), methods=["GET"], response_class=PlainTextResponse)
    app.add_api_route("/v1/models", _models(service), methods=["GET"])
    app.add_api_route("/v1/models/{name}", _model(service), methods=["GET"])
    for path, asked, told in (
        ("/v1/completions", CompletionRequest, Completion),
        ("/v1/chat/completions", ChatRequest, ChatCompletion),
    ):
        schema = {"content": {"application/json": {"schema": asked.model_json_schema()}}, "required": True}
        app.add_api_route(
            path,
            _answer(service, asked),
            methods=["POST"],
            openapi_extra={"requestBody": schema},
            responses={200: {"model": told}},
        )
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientGone, _gone)
    app.add_exception_handler(Exception, _fault)
    return Gate(app, service)


def _answer(
    service: Service, kind: type[CompletionRequest] | type[ChatRequest]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await read_body(request, service.limits)
        try:
            asked = kind.model_validate_json(body)
        except ValidationError as error:
            raise of_validation(error) from None
        answer = Answer(service)
        streams = False
        try:
            await unless_gone(answer.begin(asked), request.receive)
            if asked.stream:
                first = await unless_gone(answer.next(), request.receive)  # what fails now still has a status
                streams = True
                return EventStream(answer.events(first), answer.close, service.limits.write_seconds)
            whole = await unless_gone(answer.whole(), request.receive)
            return Response(whole.model_dump_json(), media_type="application/json")
        finally:
            if not streams:
                answer.close()

    return endpoint


def _models(service: Service) -> Callable[[], dict[str, Any]]:
    def endpoint() -> dict[str, Any]:
        """The experts, and "auto", which routes each prompt to one of them."""
        return {"object": "list", "data": [_about(service, name) for name in service.models]}

    return endpoint


def _model(service: Service) -> Callable[[str], dict[str, Any]]:
    def endpoint(name: str) -> dict[str, Any]:
        if name not in service.models:
            raise ApiError(404, f"There is no model {name[:100]!r}", code="model_not_found", param="model")
        return _about(service, name)

    return endpoint


def _about(service: Service, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": service.started, "owned_by": "speciate"}


def _health(service: Service) -> Callable[[], JSONResponse]:
    def endpoint() -> JSONResponse:
        """200 as long as an expert can be asked; which are damaged, as far as that has been seen."""
        loaded, damaged = set(service.served.loaded), {name: what for name, (what, _) in service.damaged.items()}
        experts = {
            name: {"status": "damaged", "problem": damaged[name]}
            if name in damaged
            else {"status": "loaded" if name in loaded else "ready"}
            for name in service.experts
        }
        dead = service.stopping or len(damaged) == len(experts)
        status = "stopping" if service.stopping else "damaged" if dead else "degraded" if damaged else "ok"
        scheduler = service.scheduler
        told = {"status": status, "experts": experts, "running": len(scheduler.running), "waiting": scheduler.waiting}
        return JSONResponse(told, 503 if dead else 200)

    return endpoint


def _metrics(service: Service) -> Callable[[], PlainTextResponse]:
    def endpoint() -> PlainTextResponse:
        """Prometheus' text format."""
        loaded, none = set(service.served.loaded), ()
        gauges: dict[str, dict[Labels, float]] = {
            "speciate_running": {none: len(service.scheduler.running)},
            "speciate_waiting": {none: service.scheduler.waiting},
            "speciate_expert_loaded": {(("expert", each),): each in loaded for each in service.experts},
            "speciate_expert_damaged": {(("expert", each),): each in service.damaged for each in service.experts},
        }
        if (memory := resident_bytes()) is not None:
            gauges["process_resident_memory_bytes"] = {none: memory}
        text = service.metrics.text(gauges)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    return endpoint


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{error.detail}: {request.method} {request.url.path}"[:300]
    return ApiError(error.status_code, what, headers=error.headers).response()


def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=GONE)


def _fault(request: Request, error: Exception) -> Response:
    return ApiError(500, "A fault of the server's, which its log tells", code="internal_error").response()


class Gate:
    """Before every endpoint: the key, whether the server is stopping; after it: the counts."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer in the endpoints' place."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = self._refusal(scope)
            await (self.app if refused is None else refused.response())(scope, receive, counted)
        finally:
            path = scope["path"] if scope["path"] in ENDPOINTS else "other"
            self.service.metrics.request(path, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if scope["path"] == "/health":
            return None
        given = dict(scope["headers"]).get(b"authorization", b"")
        if self.service.key is not None and not _same(given, f"Bearer {self.service.key}".encode()):
            what = "Give the server's key as Authorization: Bearer KEY"
            return ApiError(401, what, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        if self.service.stopping and scope["path"] != "/metrics":
            headers = {"Connection": "close", "Retry-After": "5"}
            return ApiError(503, "The server is stopping", code="stopping", headers=headers)
        return None


def _same(one: bytes, other: bytes) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one, other)
