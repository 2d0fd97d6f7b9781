"""The errors of the model half.

Notable: `BadInput` is for a person. It says what was wrong, where, and what to do; it ends the program with exit code 2
(model/base/program.py), and whoever started the program must not try again. Any other exception is a crash, worth a retry.
"""

from __future__ import annotations


class BadInput(Exception):
    """A wrong config, a damaged file or a run that cannot succeed: trying again cannot help."""


class Diverged(BadInput):
    """The loss stayed non-finite. The same run would diverge again, because a run is deterministic."""
