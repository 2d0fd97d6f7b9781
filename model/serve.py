"""Serve an exported model over HTTP: `python -m model.serve --model DIR`.

Notable: it listens on loopback unless it is told otherwise, and elsewhere only with an API key. SIGTERM or Ctrl-C ends
it: open answers have some seconds to end by themselves, and what is left of them is told so.
"""

import argparse
import ipaddress
import os
import sys
import threading
from pathlib import Path
from typing import get_args

from model.base.errors import BadInput
from model.base.program import run_command
from model.inference.engine import EngineLimits, WeightPrecision
from model.inference.text_model import load_text_model
from model.serving.app import Service, make_service
from model.serving.engine_thread import EngineThread
from model.serving.openai_api.prompts import ServedModel
from model.serving.server import Server
from model.serving.settings import ServerSettings
from model.serving.sources import Sources

KEY_VARIABLE = "SLUICE_API_KEY"
"""Environment variable with the API key: a command line can be read by everyone on the machine."""
_HELP = {
    "host": "address to listen on; another than loopback needs an API key",
    "port": "port to listen on; 0 takes a free one",
    "model_name": "the model's name in the interface",
    "max_open": "requests that are answered or wait at once; more get 503",
    "max_open_per_client": "of them, from one client; more get 429",
    "max_choices": "answers that one request may ask for",
    "max_new_tokens": "longest answer, in tokens",
    "max_body_bytes": "largest request body",
    "queue_seconds": "longest wait for the first token",
    "answer_seconds": "longest time for an answer",
    "shutdown_seconds": "time that open answers have when the server is stopped",
}


def serve(arguments: list[str]) -> int:
    """Serve until a signal ends it, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model.serve",
        description="Serve an exported model over HTTP, with OpenAI's interface and a web page.",
        epilog=f"The environment variable {KEY_VARIABLE} holds the API key, if there is one.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the model's export folder")
    parser.add_argument("--span-index", type=Path, metavar="DIR", help="the corpus's index, for sources of answers")
    parser.add_argument("--allowed-host", action="append", default=[], help="another name of this server; repeatable")
    parser.add_argument("--allowed-origin", action="append", default=[], help="a page's origin that may call it")
    parser.add_argument("--slots", type=int, default=EngineLimits.slots, help="requests that run at the same time")
    parser.add_argument("--context", type=int, default=0, help="longest prompt and answer; 0 takes the model's")
    parser.add_argument("--precision", choices=get_args(WeightPrecision), default="float32", help="of weights")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    for name, meaning in _HELP.items():
        default = getattr(ServerSettings, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=meaning)
    options = parser.parse_args(arguments)
    return run_command(lambda: _serve(options))


def _serve(options: argparse.Namespace) -> None:
    settings = ServerSettings(
        api_key=os.environ.get(KEY_VARIABLE) or None,
        allowed_hosts=tuple(options.allowed_host),
        allowed_origins=tuple(options.allowed_origin),
        span_index=options.span_index,
        **{name: getattr(options, name) for name in _HELP},
    )
    _require_key(settings)
    service = load_service(options.model, settings, options.slots, options.context, options.precision)
    server = Server(service)
    if options.end_with_stdin:
        threading.Thread(target=_stop_after_input, args=[server], daemon=True).start()
    server.run()
    if service.engine.failed:
        raise RuntimeError("the engine failed; what it was stands above")


def _stop_after_input(server: Server) -> None:
    """Stop a server once standard input has ended: the process at its other end is gone."""
    sys.stdin.buffer.read()
    server.stop_soon()


def load_service(
    folder: Path, settings: ServerSettings, slots: int, context: int = 0, precision: WeightPrecision = "float32"
) -> Service:
    """Return what a server of an export folder works with; raises BadInput if a file is none or does not fit."""
    limits = EngineLimits(slots=slots, context=context, queue=settings.max_open * settings.max_choices)
    loaded = load_text_model(folder, limits, precision)
    decoder = loaded.engine.decoder
    model = ServedModel(
        settings.model_name,
        loaded.chat,
        decoder.vocab_size,
        decoder.context,
        settings.max_new_tokens,
        settings.max_choices,
    )
    tokenizer = folder / "tokenizer.json"
    sources = Sources(settings.span_index, tokenizer, loaded.chat) if settings.span_index else None
    return make_service(settings, model, EngineThread(loaded.engine), sources)


def _require_key(settings: ServerSettings) -> None:
    """Raise BadInput where others than this machine could reach the server without a key."""
    try:
        is_loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback and settings.api_key is None:
        raise BadInput(
            f"{settings.host} can be reached from other machines: set a key in {KEY_VARIABLE}, or listen on 127.0.0.1"
        )


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
