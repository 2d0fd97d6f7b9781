"""The errors of the model half, reading of text that people write, and help with misspelt names.

Notable: `BadInput` is for a person. It says what was wrong, where, and what to do. It ends the program with exit code 2
(model/base/program.py), and the program should not be tried again. Any other exception is a crash, worth a retry.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path


class BadInput(Exception):
    """A wrong config, a damaged file or a run that cannot succeed: a retry would not help."""


class Diverged(BadInput):
    """The loss stayed non-finite or far too high. Runs are deterministic, so a retry would diverge again."""


def text_lines(path: Path, what: str) -> list[tuple[str, str]]:
    """Return the lines of a file that are not blank, each with its place for error messages."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the {what} {path}: {error}") from error
    return [(f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the known name that is nearest to a misspelt one, or "" if none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
