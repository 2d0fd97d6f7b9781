"""What a report says where it has nothing to show.

Notable: a report is made of a run that may have failed anywhere, in a store that may be half there. So every part of it
is attempted by itself, and one that cannot be made is replaced by the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """A part of the report that could not be made."""

    why: str
    """A sentence for the reader."""


def attempt(what: str, make: Callable[[], T]) -> T | Missing:
    """What `make` gives, or why `what` cannot be shown."""
    try:
        return make()
    except Exception as error:  # whatever is broken in the store, the rest of the report is still worth having
        return Missing(f"{what} cannot be shown: {error or type(error).__name__}")


def found(value: T | Missing | None) -> T | None:
    """The value if it is there."""
    return None if isinstance(value, Missing) else value
