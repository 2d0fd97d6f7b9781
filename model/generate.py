"""Continue a text with an exported model: `python -m model.generate --model DIR --prompt TEXT`."""

import argparse
import sys

from model.base.safe_text import harmless
from model.inference.generation import Sampling
from model.inference.sampling_options import run_on_text_model
from model.inference.text_model import TextModel


def generate_text(arguments: list[str]) -> int:
    """Print the prompt and its continuation, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.generate", description="Continue a text.")
    parser.add_argument("--prompt", required=True, help="the beginning of a document; may be empty")
    return run_on_text_model(parser, arguments, _continue)


def _continue(model: TextModel, sampling: Sampling, options: argparse.Namespace) -> None:
    pieces = model.continuation(options.prompt, sampling)
    print(harmless(options.prompt), end="")
    for piece in pieces:
        print(harmless(piece), end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(generate_text(sys.argv[1:]))
