"""A server on a thread of this process, on a free port of loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.inference.decoders.decoder import Rows
from model.serve import load_service
from model.serving.app import Service
from model.serving.server import Server
from model.serving.settings import ServerSettings


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    service: Service
    server: Server

    @property
    def address(self) -> str:
        """http://127.0.0.1:PORT."""
        return self.server.address


@contextmanager
def running(folder: Path, settings: ServerSettings, slots: int = 8) -> Iterator[Running]:
    """Serve an export folder while the block runs."""
    service = load_service(folder, settings, slots)
    server = Server(service)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield Running(service, server)
    finally:
        if thread.is_alive():
            server.stop_soon()
        thread.join(timeout=60)
        assert not thread.is_alive()


@contextmanager
def slowed(server: Running, seconds: float = 0.01) -> Iterator[None]:
    """Let each step of the engine take a larger model's time, so that no answer ends before a test has acted on it."""
    decoder: Any = server.service.engine._engine.decoder
    forward = decoder.forward

    def slower(rows: Rows) -> Any:
        time.sleep(seconds)
        return forward(rows)

    decoder.forward = slower
    try:
        yield
    finally:
        decoder.forward = forward
