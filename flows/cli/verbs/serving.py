"""The verb that serves the exported model over HTTP."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.terminal import StoreOption, messages, open_store
from flows.launch.packages import require_packages

verbs = typer.Typer()


@verbs.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    store: StoreOption = "./store",
    host: Annotated[str, typer.Option(help="Address to listen on; another than loopback needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the API key that clients must send; or set SLUICE_API_KEY.")
    ] = None,
    sources: Annotated[bool, typer.Option(help="Show which documents of the corpus share an answer's words.")] = False,
) -> None:
    """Serve the newest exported model: OpenAI's interface and a web page.

    Further options go to the server: `python -m model.serve --help` lists them.
    """
    require_packages("torch", "fastapi", *(["pydivsufsort"] if sources else []))
    from flows.store.exported_model import exporting_run, local_model, run_on_model

    if key_file:
        os.environ["SLUICE_API_KEY"] = _key(key_file)
    place = open_store(store)
    arguments = [f"--host={host}", f"--port={port}", *context.args]
    run, folder = exporting_run(place)
    with local_model(place, folder) as model:
        if sources:
            from flows.store.span_index import span_index

            index = span_index(place, run, model, lambda text: messages.print(text, markup=False))
            arguments.append(f"--span-index={index}")
        if code := run_on_model("model.serve", model, arguments):
            sys.exit(code)


def _key(file: Path) -> str:
    """Return the key in a file. Raises `UsageError` where it holds none."""
    from tasks.base.errors import UsageError

    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"The key file {file} cannot be read: {error}.") from error
    if not key or not key.isprintable():
        raise UsageError(f"The key file {file} holds no key; write one line of text into it.")
    return key
