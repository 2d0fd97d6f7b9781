"""What answers in the place of a run's own Prefect server that does not start any more.

Notable: where nobody listens, Prefect's clients try each request again for a minute or more, one after the other, and
each event that waits for ten seconds. A refusal they take at once, so the run goes on without its server at full speed.
Events they send until they are taken, so these are taken, and dropped.
"""

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx

from flows.server.loopback_server import HOST

_STATUS = 410
"""Gone: a refusal that Prefect's clients do not take for a pause."""
_Message = dict[str, Any]


def is_refusal(error: BaseException | None) -> bool:
    """Return whether a request failed since the run's own server is gone for good."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == _STATUS


@contextlib.contextmanager
def absent_server(port: int) -> Iterator[None]:
    """Refuse all requests at a port of loopback during the block."""
    import uvicorn

    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(_refuse, HOST, port, timeout_graceful_shutdown=1, **options))
    thread = threading.Thread(target=server.run, name="absent-server")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


async def _refuse(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        await send({"type": "websocket.send", "text": '{"type": "auth_success"}'})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": _STATUS, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"detail": "The server has ended and does not start again."}'})
