"""Texts from strangers, made safe to show: pages, addresses and what a model says.

Notable: escaping for HTML is the template engine's work. Here go the characters that do harm on any screen: a terminal
obeys an escape character, and a direction mark turns around all that follows it.
"""

from __future__ import annotations

import re
from typing import TypeVar

from markupsafe import Markup

T = TypeVar("T")

# C0 and C1 controls but tab and newline, then the embeddings, overrides and isolates of text direction.
_UNSEEMLY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text with its control characters replaced."""
    return _UNSEEMLY.sub("\N{REPLACEMENT CHARACTER}", text)


def harmless_value(value: T) -> T | str:
    """Any value: texts made harmless, unless the page's own code made them; all else as it is."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value
