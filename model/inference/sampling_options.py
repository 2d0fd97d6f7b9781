"""What the command lines of model.chat and model.generate share."""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from model.base.program import run_command
from model.inference.engine import EngineLimits, WeightPrecision
from model.inference.requests import SamplingOptions
from model.inference.text_model import TextModel, load_text_model

_HELP = {
    "temperature": "0 takes the likeliest token (default)",
    "top_k": "draw among the k likeliest; 0 is all",
    "top_p": "draw within this share of probability",
    "min_p": "draw among tokens of at least this share of the likeliest one's probability",
    "repetition_penalty": "above 1 avoids tokens that were there before",
    "max_new_tokens": "longest answer, in tokens",
    "seed": "seeds the draws",
    "num_beams": "above 1, the likeliest whole text is searched with this many beams",
    "length_penalty": "of a beam search: above 0 favours long texts",
}


def run_on_text_model(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    action: Callable[[TextModel, SamplingOptions, argparse.Namespace], None],
    slots: int = 1,
) -> int:
    """Parse the arguments, with --model and the options of `SamplingOptions`, run `action`, return the exit code.

    The engine has at least `slots` slots, and one for each beam.
    """
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the model's export folder")
    parser.add_argument("--precision", choices=get_args(WeightPrecision), default="float32", help="of the weights")
    for name, meaning in _HELP.items():
        default = getattr(SamplingOptions, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=meaning)
    options = parser.parse_args(arguments)
    for stream in (sys.stdin, sys.stdout):
        # A terminal may send and show another encoding than the one that Python assumes.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def run() -> None:
        sampling = SamplingOptions(**{name: getattr(options, name) for name in _HELP})
        limits = EngineLimits(slots=max(slots, sampling.num_beams))
        action(load_text_model(options.model, limits, options.precision), sampling, options)

    return run_command(run)
