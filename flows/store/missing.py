"""Parts of a report that may be missing.

Notable: the run may have failed anywhere, and its store may be incomplete. So every part of a report is attempted by
itself, and one that cannot be made is replaced by the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """A part of the report that could not be made."""

    why: str
    """A sentence for the reader."""


def attempt(what: str, make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Missing:
    """Return what `make` returns, or why `what` cannot be shown."""
    try:
        return make(*args, **kwargs)
    except Exception as error:  # whatever is broken in the store, the rest of the report can be shown
        return Missing(f"{what} cannot be shown: {error or type(error).__name__}")
