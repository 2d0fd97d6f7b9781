"""What stands before every route: who may ask, from where, and with how large a body.

Notable:
- A web page can make a browser send requests to this machine's loopback address. One whose name was pointed here
  after it was loaded (DNS rebinding) says so in Host, one of another origin in Origin or Sec-Fetch-Site: both are
  refused.
- A Host that is an IP address is always right: rebinding needs a name.
- A body is read whole before a route sees it, so its size and the time that it takes are limited in one place.
"""

import asyncio
import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.serving.openai_api.errors import ApiError
from model.serving.settings import ServerSettings

OPEN_PATHS = frozenset({"/", "/health"})
"""Paths that need no key: the page, which asks for one, and whether the server lives."""
_LARGEST_HEAD = 32 << 10
"""Bytes of a request's headers."""
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """ASGI middleware that refuses what must not reach a route, and puts the common headers on every answer."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that may pass."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            headers = Headers(scope=scope)
            if sum(len(name) + len(value) for name, value in headers.raw) > _LARGEST_HEAD:
                raise ApiError(431, "The request's head is too large.", code="request_too_large")
            self._check_host(headers)
            self._check_origin(headers)
            scope.setdefault("state", {})["client"] = self._client(scope, headers)
            body = await self._body(headers, receive)
        except ApiError as error:
            answer = JSONResponse(error.body, error.status, error.headers | {"Connection": "close"})
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, _replaying(body, receive), send_with_headers)

    def _check_host(self, headers: Headers) -> None:
        host = _host_name(f"//{headers.get('host', '')}")
        if host is None or not (host in ("localhost", *self._settings.allowed_hosts) or _is_address(host)):
            raise ApiError(
                403, "The server does not go by this name; it can be allowed with --allowed-host.", code="wrong_host"
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin in self._settings.allowed_origins:
            return
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if origin is not None:
            foreign = _netloc(origin) != headers.get("host", "").lower()
        if foreign:
            raise ApiError(403, "Pages of other origins may not call this server.", code="wrong_origin")

    def _client(self, scope: Scope, headers: Headers) -> str:
        """Return who asks; raises ApiError where a key is needed and another one or none was sent."""
        address = scope["client"][0] if scope.get("client") else "?"
        key = self._settings.api_key
        if key is None:
            return address
        kind, _, given = headers.get("authorization", "").partition(" ")
        # Starlette reads a head as Latin-1; the key is compared as the bytes that were sent.
        if kind.lower() == "bearer" and _same(given.strip().encode("latin-1"), key.encode()):
            return f"key from {address}"
        if scope["path"] in OPEN_PATHS:
            return address
        raise ApiError(401, "The API key is missing or wrong.", code="invalid_api_key")

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > most:
            raise _too_large(most)
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ApiError(408, "The request's body did not come in time.", code="timeout") from None
        return b"".join(pieces)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first gives a body that was read before."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The request's body is larger than {most} bytes.", code="request_too_large")


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _netloc(origin: str) -> str | None:
    """Return the host and port of an origin, or None where it is none, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(given: bytes, key: bytes) -> bool:
    """Compare in constant time, whatever their lengths."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(key).digest())
