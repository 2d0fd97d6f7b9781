"""Unicode normalization that hostile text cannot stall.

Notable: normalizing sorts the marks on each letter, in the square of their number: 370,000 marks on one take minutes.
No writing has more than a few, and UAX #15 (Stream-Safe Text Format) allows 30.
"""

import re
import unicodedata
from typing import Literal

_MOST_MARKS = 30
_CANDIDATES = re.compile(rf"[^\w\s!-~]{{{_MOST_MARKS + 1},}}")


def normalize(form: Literal["NFC", "NFD"], text: str) -> str:
    """Return the text in a normalization form, with no more than 30 combining marks on a letter."""
    return unicodedata.normalize(form, text if text.isascii() else _CANDIDATES.sub(_cut, text))


def _cut(run: re.Match[str]) -> str:
    kept, n_marks = [], 0
    for character in run[0]:
        n_marks = n_marks + 1 if unicodedata.combining(character) else 0
        if n_marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)
