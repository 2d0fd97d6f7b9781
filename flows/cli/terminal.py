"""What the verbs share: the two consoles, JSON output, and the options that several of them take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape

from flows.display.dots import Dots
from model.base.safe_text import harmless, harmless_json

if TYPE_CHECKING:
    from tasks.dataset.store import Store

output = Console()
messages = Console(stderr=True)

RecipeArgument = Annotated[str, typer.Argument(help="A shipped recipe's name, or the path of a .yaml file.")]
StoreOption = Annotated[str, typer.Option("--store", help="Folder or URL that holds everything a run makes.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="field.path=value, over the recipe; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextmanager
def working_on(words: str) -> Iterator[None]:
    """Show while the block runs that something is done: a line with dots, or on a terminal a spinner that goes away."""
    if messages.is_terminal:
        with messages.status(escape(words)):
            yield
    else:
        dots = Dots(messages, words)
        try:
            yield
        finally:
            dots.end()


def print_json(value: Any) -> None:
    """Print plain values as JSON on standard output."""
    text = JSONHighlighter()(harmless_json(json.dumps(value, indent=2, ensure_ascii=False)))
    output.print(text, soft_wrap=True)


def print_text(text: str, style: str | None = None) -> None:
    """Print one line as it is but for control characters: no markup, no highlighting, no line breaks of ours."""
    output.print(harmless(text), style=style, markup=False, highlight=False, soft_wrap=True)


def open_store(location: str) -> Store:
    """Return the store at a folder or URL; imported late, since the help needs none."""
    from tasks.dataset.store import Store

    store = Store(location)
    store.require_reachable()
    return store
