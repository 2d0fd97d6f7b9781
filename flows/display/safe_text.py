"""Values for the report's page, made harmless.

Notable: the template engine escapes HTML, and `harmless` (model/base/safe_text.py) removes the characters that do harm
on any screen.
"""

from typing import TypeVar

from model.base.safe_text import harmless

T = TypeVar("T")


def harmless_value(value: T) -> T | str:
    """Return a text made harmless, unless it is markup of the page's own; anything else as it is."""
    return harmless(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
