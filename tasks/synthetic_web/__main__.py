"""`python -m tasks.synthetic_web`: make a synthetic web, show its showcase question, or write the starter chat."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.synthetic_web.chat_data import showcase_question
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.starter_chat import write_starter_chat
from tasks.synthetic_web.texts.config import SyntheticWebConfig

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def generate(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")],
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 1,
) -> None:
    """Write the synthetic web, unless it exists, and print its summary."""
    typer.echo(generate_synthetic_web(folder, SyntheticWebConfig(seed=seed)).model_dump_json(indent=1))


@app.command()
def showcase(folder: Annotated[Path, typer.Argument(help="A synthetic web.")]) -> None:
    """Print the question at the end of the demo."""
    typer.echo(showcase_question(folder).model_dump_json())


@app.command()
def starter_chat(path: Annotated[Path, typer.Argument(help="The JSONL file to write.")]) -> None:
    """Write a small general chat set for crawls that come without one."""
    typer.echo(f"{write_starter_chat(path)} conversations")


if __name__ == "__main__":
    app()
