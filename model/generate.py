"""Continue texts with an exported model: `python -m model.generate --model DIR --prompt TEXT`.

The prompt may also come from a file or from standard input, and many of them from a JSON Lines file
(model/inference/batch_generation.py).
"""

import argparse
import sys
from pathlib import Path

from model.base.errors import BadInput
from model.base.program import print_error
from model.base.safe_text import harmless
from model.inference.batch_generation import generate_batch
from model.inference.engine import EngineLimits
from model.inference.requests import SamplingOptions
from model.inference.sampling_options import run_on_text_model
from model.inference.text_model import TextModel


def generate_text(arguments: list[str]) -> int:
    """Print a prompt and its continuation, or generate for a whole file, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.generate", description="Continue texts.")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--prompt", help="the beginning of a document; may be empty")
    given.add_argument("--file", type=Path, help="a file with the beginning of a document; - is standard input")
    given.add_argument("--batch", type=Path, help='JSON Lines, each with "prompt" or "messages"')
    parser.add_argument("--output", type=Path, help="JSON Lines for the answers to a batch; goes on where it ends")
    parser.add_argument("--slots", type=int, default=EngineLimits.slots, help="texts of a batch that grow together")
    options, _ = parser.parse_known_args(arguments)
    if (options.batch is None) != (options.output is None):
        parser.error("--batch and --output belong together")
    action, slots = (_generate_batch, options.slots) if options.batch else (_continue, 1)
    return run_on_text_model(parser, arguments, action, slots)


def _continue(model: TextModel, sampling: SamplingOptions, options: argparse.Namespace) -> None:
    prompt = _read(options.file) if options.file else options.prompt
    pieces = model.continuation(prompt, sampling)
    print(harmless(prompt), end="")
    for piece in pieces:
        print(harmless(piece), end="", flush=True)
    print()


def _read(file: Path) -> str:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror or error}") from error
    return content.decode(errors="replace")


def _generate_batch(model: TextModel, sampling: SamplingOptions, options: argparse.Namespace) -> None:
    result = generate_batch(model, sampling, options.batch, options.output, print_error)
    before = f", {result.there_before} were there before" if result.there_before else ""
    print(f"{result.generated} texts generated{before}, {result.bad} bad lines", file=sys.stderr)
    if result.bad:
        raise BadInput(f"{result.bad} lines of {options.batch} were passed over")


if __name__ == "__main__":
    sys.exit(generate_text(sys.argv[1:]))
