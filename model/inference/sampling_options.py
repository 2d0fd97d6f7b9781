"""The command-line options that model.chat and model.generate share."""

from __future__ import annotations

import argparse
from pathlib import Path

from model.inference.generation import Sampling


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add --model and the options of `Sampling`."""
    defaults = Sampling()
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the model's export folder")
    parser.add_argument(
        "--temperature", type=float, default=defaults.temperature, help="0 takes the likeliest token (default)"
    )
    parser.add_argument("--top-k", type=int, default=defaults.top_k, help="draw among the k likeliest; 0 is all")
    parser.add_argument("--top-p", type=float, default=defaults.top_p, help="draw within this share of probability")
    parser.add_argument("--max-new-tokens", type=int, default=defaults.max_new_tokens, help="longest answer, in tokens")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seeds the draws")


def sampling_of(options: argparse.Namespace) -> Sampling:
    """Return the parsed options as a `Sampling`; raises BadInput if one is out of range."""
    return Sampling(options.temperature, options.top_k, options.top_p, options.max_new_tokens, options.seed)
