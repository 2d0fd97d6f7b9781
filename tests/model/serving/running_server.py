"""A server on a thread of this process, on a free port of loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.inference.engine import EngineLimits
from model.inference.text_model import load_text_model
from model.serving.app import Service, make_service
from model.serving.engine_thread import EngineThread
from model.serving.openai_api.prompts import ServedModel
from model.serving.server import Server
from model.serving.settings import ServerSettings
from model.serving.sources import Sources


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
    loaded = load_text_model(folder, EngineLimits(slots=slots))
    decoder = loaded.engine.decoder
    limits = settings.max_new_tokens, settings.max_choices
    model = ServedModel(settings.model_name, loaded.chat, decoder.vocab_size, decoder.context, *limits)
    tokenizer = folder / "tokenizer.json"
    sources = Sources(settings.span_index, tokenizer, loaded.chat) if settings.span_index else None
    server = Server(make_service(settings, model, EngineThread(loaded.engine), sources))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield Running(server._service, server)
    finally:
        if thread.is_alive():
            server.stop_soon()
        thread.join(timeout=60)
        assert not thread.is_alive()
