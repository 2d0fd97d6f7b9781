"""The server's routes."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.serving.admission import Admission
from model.serving.completions import ClientGone, Completions
from model.serving.engine_thread import EngineThread
from model.serving.guards import Guard
from model.serving.metrics import CONTENT_TYPE, Metrics
from model.serving.openai_api.errors import ApiError, bad_request, failed
from model.serving.openai_api.prompts import ServedModel, chat_prompt, completion_prompts
from model.serving.openai_api.requests import ChatRequest, CompletionRequest
from model.serving.openai_api.responses import ChatShape, CompletionShape, model_card, model_list
from model.serving.page import page_and_policy
from model.serving.settings import ServerSettings
from model.serving.sources import Sources, SourcesRequest


@dataclass(frozen=True)
class Service:
    """What the routes work with."""

    settings: ServerSettings
    model: ServedModel
    engine: EngineThread
    sources: Sources | None
    admission: Admission
    metrics: Metrics
    completions: Completions


def make_service(
    settings: ServerSettings, model: ServedModel, engine: EngineThread, sources: Sources | None = None
) -> Service:
    """Return what the routes work with."""
    admission, metrics = Admission(settings), Metrics()
    completions = Completions(model, engine, settings, admission, metrics)
    return Service(settings, model, engine, sources, admission, metrics, completions)


def make_app(service: Service) -> ASGIApp:
    """Return the application, with everything that stands before its routes."""
    # The interface's own pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="sluice serve", docs_url=None, redoc_url=None, openapi_url=None)
    _add_completions(app, service)
    _add_models(app, service)
    _add_sources(app, service)
    _add_page(app)
    _add_watching(app, service)
    _add_errors(app)
    guarded: ASGIApp = _Counted(Guard(app, service.settings), service.metrics)
    if not service.settings.allowed_origins:
        return guarded
    return CORSMiddleware(
        guarded,
        allow_origins=service.settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )


def _add_completions(app: FastAPI, service: Service) -> None:
    model = service.model

    @app.post("/v1/chat/completions")
    async def chat_completions(request: ChatRequest, http: Request) -> Response:
        shape = ChatShape(model.name, bool(request.logprobs))
        return await service.completions.answer(http, request, shape, partial(chat_prompt, request, model))

    @app.post("/v1/completions")
    async def completions(request: CompletionRequest, http: Request) -> Response:
        shape = CompletionShape(model.name, request.logprobs is not None)
        return await service.completions.answer(http, request, shape, partial(completion_prompts, request, model))


def _add_models(app: FastAPI, service: Service) -> None:
    name, created = service.model.name, int(time.time())

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return model_list([name], created)

    @app.get("/v1/models/{asked:path}")
    async def model(asked: str) -> dict[str, Any]:
        if asked != name:
            raise ApiError(404, f"There is no such model here; this server has {name}.", code="model_not_found")
        return model_card(name, created)


def _add_sources(app: FastAPI, service: Service) -> None:
    @app.post("/sources")
    def sources(request: SourcesRequest) -> dict[str, Any]:  # no coroutine: it searches on a thread of its own
        if service.sources is None:
            raise ApiError(404, "The server was started without an index of the corpus.", code="no_sources")
        return service.sources.find(request)

    @app.get("/settings")
    async def settings() -> dict[str, Any]:
        model = service.model
        return {
            "model": model.name,
            "context": model.context,
            "max_new_tokens": model.max_new_tokens,
            "sources": service.sources is not None,
        }


def _add_page(app: FastAPI) -> None:
    html, policy = page_and_policy()

    @app.get("/")
    async def page() -> Response:
        headers = {"Content-Security-Policy": policy}
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> JSONResponse:
        if service.engine.failed:
            return JSONResponse({"status": "failed"}, 503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def metrics() -> Response:
        service.metrics.open.set(service.admission.open)
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_errors(app: FastAPI) -> None:
    async def refused(http: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return JSONResponse(error.body, error.status, error.headers)

    async def unlike_the_schema(http: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return await refused(http, _first_problem(error))

    async def no_such_route(http: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        return await refused(http, ApiError(error.status_code, str(error.detail), code=code))

    async def gone(http: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; as other servers log it

    async def fault(http: Request, error: Exception) -> Response:
        return await refused(http, failed())

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(RequestValidationError, unlike_the_schema)
    app.add_exception_handler(HTTPException, no_such_route)
    app.add_exception_handler(ClientGone, gone)
    app.add_exception_handler(Exception, fault)


def _first_problem(error: RequestValidationError) -> ApiError:
    """Return what is wrong with a body, without quoting its values."""
    problem = error.errors()[0]
    place = ".".join(str(step) for step in problem["loc"] if step != "body")[:200]
    if problem["type"] in ("json_invalid", "bytes_type", "missing") and not place.strip("0123456789"):
        return bad_request("The body is not JSON with the content type application/json.")
    message = str(problem["msg"]).removeprefix("Value error, ")
    return bad_request(f"{place}: {message}" if place else message, place or None)


class _Counted:
    """ASGI middleware that counts answers by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = getattr(route, "path", "other")  # not the path asked for, of which there is no end
                self._metrics.answers.labels(path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counting)
