"""The `sluice` command, put together from its groups of verbs.

Notable:
- To add a verb, write a function under `@verbs.command()` in the file of its group; a new group is a new file and its
  name in `GROUPS`.
- A verb exits with 0 when it did what was asked, 1 when the run failed, 2 when the command or the recipe is wrong.
- Each verb imports what it needs when it runs, so `sluice --help` answers at once, and in an installation without the
  data or the model half every verb that can work there does.
"""

import sys
from importlib import metadata
from typing import Annotated

import typer

from flows.cli.terminal import messages, output
from flows.cli.verbs import inspecting, planning, recipes, running, serving, talking
from flows.launch.packages import missing_package
from model.base.safe_text import harmless
from tasks.base.errors import SluiceError, UsageError

GROUPS = (running, planning, inspecting, talking, serving, recipes)
"""The modules that declare verbs, in the order of the help."""

app = typer.Typer(
    name="sluice",
    help="From Common Crawl to a chat model, in one flow.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for group in GROUPS:
    app.add_typer(group.verbs)


def _print_version(asked: bool) -> None:
    if asked:
        output.print(f"sluice {metadata.version('sluice')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From Common Crawl to a chat model, in one flow."""


def run() -> None:
    """Run the command; errors are printed in a person's words and decide the exit code."""
    try:
        app()
    except SluiceError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"flows", "tasks", "model"}:
            raise
        _fail(missing_package(package), 1)


def _fail(message: str, code: int) -> None:
    from tasks.addresses.secrets_in_addresses import redacted  # it loads pydantic, which the help needs not

    messages.print(harmless(redacted(message)), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
