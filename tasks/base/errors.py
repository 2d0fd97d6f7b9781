"""The errors of the data half: each says what was wrong, where, and what to do.

Notable: there are only two kinds, because a caller has only two choices. A `PermanentError` is final and is never
retried; a `TemporaryError` is worth another try after a pause.
"""

from __future__ import annotations


class SluiceError(Exception):
    """An error to report to a person; its message is written for that person."""


class PermanentError(SluiceError):
    """Trying again cannot help: a wrong recipe, a damaged file, a full disk."""


class UsageError(PermanentError):
    """The command line or the recipe is wrong: nothing was run."""


class TemporaryError(SluiceError):
    """Trying again later may help: a busy server, a cut connection, a lost worker."""
