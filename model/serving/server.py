"""The server as a whole: the engine's thread, uvicorn, and an end in which no answer breaks off without a word."""

import asyncio
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from model.serving.app import Service, make_app
from model.serving.openai_api.errors import shutting_down

_LONGEST_HEAD = 64 << 10
"""Bytes of a request's head."""
_IDLE_SECONDS = 30
"""After which a connection without a whole head of a request is closed."""
_LAST_SECONDS = 5
"""For what was told that the server ends, until connections are cut."""


class _Protocol(H11Protocol):
    """uvicorn's, whose clock for idle connections also runs while a head comes: it could come byte by byte for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()  # a whole head stops the clock


class Server(uvicorn.Server):
    """uvicorn, which says where it listens, and ends open answers some time after it was told to stop."""

    def __init__(self, service: Service) -> None:
        self._service, settings = service, service.settings
        super().__init__(
            uvicorn.Config(
                make_app(service),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                http=_Protocol,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=int(settings.shutdown_seconds) + _LAST_SECONDS,
            )
        )
        service.engine.on_failure = self.stop_soon

    @property
    def address(self) -> str:
        """Where it listens: http://host:port."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Serve until a signal or `stop_soon`."""
        self._loop = asyncio.get_running_loop()
        self._service.engine.start()
        try:
            await super().serve(sockets)  # type: ignore[arg-type]
        finally:
            self._service.engine.stop()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, and say where."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            print(f"Serving {self._service.model.name} on {self.address}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Obey a signal, and do not raise it again at the end as uvicorn does; the second waits for no answer."""
        self.force_exit = self.should_exit
        self.stop_soon()

    def stop_soon(self) -> None:
        """Let nobody in any more, and give open answers some time; from any thread."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self._service.admission.close()
        seconds = self._service.settings.shutdown_seconds
        self._loop.call_later(seconds, self._service.completions.end_all, shutting_down())
