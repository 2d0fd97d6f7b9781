"""Unicode normalization that hostile text cannot stall.

Notable: normalizing sorts the marks on each letter, in the square of their number: 370,000 marks on one take minutes.
No writing has more than a few, and UAX #15 (Stream-Safe Text Format) allows 30. Whether a text has more is seen at
every tenth character, since a longer run of marks holds three of these in a row.
"""

import unicodedata
from typing import Literal

_MOST_MARKS = 30
_STEP = 10


def normalize(form: Literal["NFC", "NFD"], text: str) -> str:
    """Return the text in a normalization form, with no more than 30 combining marks on a letter."""
    return unicodedata.normalize(form, _with_few_marks(text) if _may_have_many_marks(text) else text)


def _may_have_many_marks(text: str) -> bool:
    if text.isascii():
        return False
    return bytes(_MOST_MARKS // _STEP * [True]) in bytes(map(bool, map(unicodedata.combining, text[::_STEP])))


def _with_few_marks(text: str) -> str:
    kept, n_marks = [], 0
    for character in text:
        n_marks = n_marks + 1 if unicodedata.combining(character) else 0
        if n_marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)
