"""Untrusted text (pages, addresses, a model's replies) made safe to show.

Notable: the template engine escapes HTML. This removes the characters that do harm on any screen: a terminal obeys an
escape character, and a direction mark reverses all text after it.
"""

import re
from typing import TypeVar

T = TypeVar("T")

# C0 and C1 controls except tab and newline, the embeddings, overrides and isolates of text direction, and halves of
# surrogate pairs, which no output can encode.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    """Return the text with each of its control characters replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def harmless_value(value: T) -> T | str:
    """Return a text made harmless, unless it is markup of the page's own; anything else as it is."""
    return harmless(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
