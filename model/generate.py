"""Continue a text with an exported model: `python -m model.generate --model DIR --prompt TEXT`."""

from __future__ import annotations

import argparse
import sys

from model.base.errors import BadInput
from model.base.program import EXIT_BAD_INPUT, EXIT_DONE
from model.inference.sampling_options import add_sampling_options, sampling_of
from model.inference.text_model import load_text_model


def generate_text(arguments: list[str]) -> int:
    """Prints the prompt and how it goes on, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.generate", description="Continue a text.")
    add_sampling_options(parser)
    parser.add_argument("--prompt", required=True, help="the beginning of a document; may be empty")
    options = parser.parse_args(arguments)
    try:
        sampling = sampling_of(options)
        pieces = load_text_model(options.model).continuation(options.prompt, sampling)
        print(options.prompt, end="")
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(generate_text(sys.argv[1:]))
