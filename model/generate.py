"""Continue a text with an exported model: `python -m model.generate --model DIR --prompt TEXT`."""

from __future__ import annotations

import argparse
import sys

from model.base.program import run_command
from model.inference.sampling_options import add_sampling_options, sampling_of
from model.inference.text_model import load_text_model


def generate_text(arguments: list[str]) -> int:
    """Print the prompt and its continuation, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.generate", description="Continue a text.")
    add_sampling_options(parser)
    parser.add_argument("--prompt", required=True, help="the beginning of a document; may be empty")
    options = parser.parse_args(arguments)
    return run_command(lambda: _continue(options))


def _continue(options: argparse.Namespace) -> None:
    sampling = sampling_of(options)
    pieces = load_text_model(options.model).continuation(options.prompt, sampling)
    print(options.prompt, end="")
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(generate_text(sys.argv[1:]))
