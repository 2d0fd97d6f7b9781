"""The errors of the model half, and help with misspelt names.

Notable: `BadInput` is for a person. It says what was wrong, where, and what to do. It ends the program with exit code 2
(model/base/program.py), and the program should not be tried again. Any other exception is a crash, worth a retry.
"""

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """A wrong config, a damaged file or a run that cannot succeed: a retry would not help."""


class Diverged(BadInput):
    """The loss stayed non-finite or far too high. Runs are deterministic, so a retry would diverge again."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the known name that is nearest to a misspelt one, or "" if none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
