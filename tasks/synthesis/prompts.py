"""The prompts that come with Sluice: filled in, and named by a digest that changes with their words."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from tasks.base.fingerprint import digest
from tasks.synthesis.generator import Request


@cache
def _prompts() -> Mapping[str, str]:
    text = resources.files("tasks.synthesis").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def prompt_version(*names: str) -> str:
    """Return the names of prompts, each with a digest of its words, such as `faq@1b2c3d4e`."""
    return "+".join(f"{name}@{digest(_prompts()[name])[:8]}" for name in names)


def prompt(name: str, seed: int, **values: str) -> Request:
    """Return a request with a prompt that is filled in; braces in the values are text."""
    return Request(({"role": "user", "content": _prompts()[name].format(**values)},), seed)


def score_in(text: str, largest: int) -> float | None:
    """Return the first number of a reply that was asked for a score from 1 to `largest`; None where there is none."""
    found = re.search(r"\d+(?:\.\d+)?", text)
    value = float(found[0]) if found and len(found[0]) < 10 else 0.0
    return value if 1 <= value <= largest else None
