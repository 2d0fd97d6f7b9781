"""Answers to both kinds of request: the engine's events read to their end, or streamed as they come.

Notable:
- An answer's first event is awaited before its head is sent, so that a request that cannot be answered, or waits too
  long, is refused with a status of its own, streamed or not.
- Whatever way an answer ends (finished, client gone, too late, server stopped), its requests leave the engine.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from model.base.errors import BadInput
from model.inference.engine import QueueFull
from model.inference.requests import TokenEvent
from model.serving.admission import Admission
from model.serving.engine_thread import EngineFailed, EngineThread, Generations
from model.serving.metrics import Metrics
from model.serving.openai_api.choices import Choice, Piece, choices_of, whole
from model.serving.openai_api.errors import ApiError, bad_request, failed
from model.serving.openai_api.prompts import Asked, ServedModel
from model.serving.openai_api.requests import SamplingRequest
from model.serving.openai_api.responses import Shape, usage_of
from model.serving.settings import ServerSettings

_log = logging.getLogger(__name__)


class Completions:
    """Answers requests with one engine, within the server's limits."""

    def __init__(
        self, model: ServedModel, engine: EngineThread, settings: ServerSettings, admission: Admission, metrics: Metrics
    ) -> None:
        self.model = model
        self._engine, self._settings, self._admission, self._metrics = engine, settings, admission, metrics
        self._open: set[_Answer] = set()

    async def answer(
        self, http: Request, request: SamplingRequest, shape: Shape, asking: Callable[[], Asked]
    ) -> Response:
        """Answer a request, whole or as a stream; `asking` makes the prompt, which may take a while."""
        if request.model != self.model.name:
            message = f"There is no such model here; this server has {self.model.name}."
            raise ApiError(404, message, code="model_not_found", param="model")
        with ExitStack() as entered:
            entered.enter_context(self._admission.enter(http.state.client))
            asked = await asyncio.to_thread(asking)
            answer = _Answer(self._engine, asked, self.model, self._settings, self._metrics)
            entered.callback(answer.close)
            self._open.add(answer)
            entered.callback(self._open.discard, answer)
            gone = asyncio.ensure_future(_gone(http))
            entered.callback(gone.cancel)
            await _or_gone(answer.begin(), gone)
            if not request.stream:
                pieces = await _or_gone(answer.rest(), gone)
                return JSONResponse(shape.whole(pieces, answer.usage), headers=_dropped(asked))
            gone.cancel()
            events = _events(answer, shape, request.includes_usage)
            return _EventStream(events, entered.pop_all(), _dropped(asked))

    def end_all(self, error: ApiError) -> None:
        """End all open answers with an error; on the event loop."""
        for answer in self._open:
            answer.end(error)


class _Answer:
    """The choices of one request as they come."""

    def __init__(
        self, engine: EngineThread, asked: Asked, model: ServedModel, settings: ServerSettings, metrics: Metrics
    ) -> None:
        self._asked, self._settings, self._metrics = asked, settings, metrics
        self._choices: list[Choice] = choices_of(asked, model.chat)
        self._begun = time.monotonic()
        self._last: dict[int, float] = {}
        """When each choice's last token came."""
        self._generations: Generations = engine.generate(asked.requests)
        self._first: tuple[int, TokenEvent] | None = None
        metrics.prompt_tokens.inc(asked.prompt_tokens)

    def __len__(self) -> int:
        return len(self._choices)

    @property
    def usage(self) -> dict[str, Any]:
        """The tokens so far."""
        return usage_of(self._asked.prompt_tokens, sum(choice.tokens for choice in self._choices))

    async def begin(self) -> None:
        """Wait for the first event; raises ApiError where there will be none or it does not come in time."""
        late = ApiError(503, "The server is busy; the request waited for too long.", code="overloaded", retry_after=5)
        self._first = await self._next(self._settings.queue_seconds, late)
        self._metrics.first_token.observe(time.monotonic() - self._begun)

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """Yield the pieces of the choices, each with its choice's number; after `begin`."""
        event = self._first
        while event is not None:
            number, token = event
            piece = self._choices[number].read(token)
            self._count(number, token, piece)
            if piece.finish_reason is not None:
                self._generations.cancel(number)
            yield number, piece
            left = self._begun + self._settings.answer_seconds - time.monotonic()
            late = ApiError(504, "The answer took too long; ask for fewer tokens.", code="timeout")
            event = await self._next(left, late)

    async def rest(self) -> list[Piece]:
        """Return the whole choices; after `begin`."""
        pieces: list[list[Piece]] = [[] for _ in self._choices]
        async for number, piece in self.pieces():
            pieces[number].append(piece)
        return [whole(of_choice) for of_choice in pieces]

    def end(self, error: ApiError) -> None:
        """Let it end with an error."""
        self._generations.end(error)

    def close(self) -> None:
        """Take what is left of it out of the engine."""
        self._generations.close()

    async def _next(self, seconds: float, late: ApiError) -> tuple[int, TokenEvent] | None:
        try:
            async with asyncio.timeout(seconds):
                return await anext(self._generations, None)
        except TimeoutError:
            raise late from None
        except QueueFull as error:
            raise ApiError(503, "The server is busy.", code="overloaded", retry_after=5) from error
        except BadInput as error:
            raise bad_request(str(error)) from error
        except EngineFailed as error:
            raise failed() from error

    def _count(self, number: int, event: TokenEvent, piece: Piece) -> None:
        now = time.monotonic()
        if number in self._last:
            self._metrics.token.observe(now - self._last[number])
        self._last[number] = now
        self._metrics.generated_tokens.inc()
        if piece.finish_reason is not None:
            self._metrics.finished.labels(piece.finish_reason).inc()


class _EventStream(StreamingResponse):
    """Server-sent events; `entered` is left when they have ended or the client has gone."""

    def __init__(self, events: AsyncIterator[str], entered: ExitStack, headers: dict[str, str]) -> None:
        # A proxy must not collect the pieces.
        super().__init__(events, media_type="text/event-stream", headers=headers | {"X-Accel-Buffering": "no"})
        self._entered = entered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._entered:
            await super().__call__(scope, receive, send)


def _dropped(asked: Asked) -> dict[str, str]:
    return {"Sluice-Dropped-Messages": str(asked.dropped)} if asked.dropped else {}


async def _events(answer: _Answer, shape: Shape, includes_usage: bool) -> AsyncIterator[str]:
    try:
        for number in range(len(answer)):
            if opening := shape.first(number):
                yield _event(opening)
        async for number, piece in answer.pieces():
            if piece != Piece():
                yield _event(shape.piece(number, piece))
        if includes_usage:
            yield _event(shape.chunk([], answer.usage))
    except ApiError as error:
        yield _event(error.body)
    except Exception:
        _log.exception("an answer failed")
        yield _event(failed().body)
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


class ClientGone(Exception):
    """The client has closed its connection; there is nobody to answer."""


async def _gone(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _or_gone(work: Any, gone: "asyncio.Future[None]") -> Any:
    """Return what `work` returns; raises ClientGone, and ends it, when the client goes before."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
