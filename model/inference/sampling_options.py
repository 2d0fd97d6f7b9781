"""What the command lines of model.chat and model.generate share."""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

from model.base.program import run_command
from model.inference.generation import Sampling
from model.inference.text_model import TextModel, load_text_model

_HELP = {
    "temperature": "0 takes the likeliest token (default)",
    "top_k": "draw among the k likeliest; 0 is all",
    "top_p": "draw within this share of probability",
    "max_new_tokens": "longest answer, in tokens",
    "seed": "seeds the draws",
}


def run_on_text_model(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    action: Callable[[TextModel, Sampling, argparse.Namespace], None],
) -> int:
    """Parse the arguments, with --model and the options of `Sampling`, run `action`, and return the exit code."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the model's export folder")
    for name, meaning in _HELP.items():
        default = getattr(Sampling, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=meaning)
    options = parser.parse_args(arguments)
    for stream in (sys.stdin, sys.stdout):
        # A terminal may send and show another encoding than the one that Python assumes.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def run() -> None:
        sampling = Sampling(**{name: getattr(options, name) for name in _HELP})
        action(load_text_model(options.model), sampling, options)

    return run_command(run)
