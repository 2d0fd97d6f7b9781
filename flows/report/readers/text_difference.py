"""Where two texts differ, word by word."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

_WORDS = re.compile(r"\s*\S+|\s+\Z")


class Piece(NamedTuple):
    """A stretch of text."""

    text: str
    differs: bool
    """Whether the other text lacks it here."""


def mark_differences(left: str, right: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Split both texts into pieces that, joined, are the text. Words are compared without the space before them."""
    words = _WORDS.findall(left), _WORDS.findall(right)
    bare = [[word.strip() for word in side] for side in words]
    matcher = SequenceMatcher(None, bare[0], bare[1], autojunk=False)
    sides: tuple[list[Piece], list[Piece]] = ([], [])
    for kind, left_from, left_to, right_from, right_to in matcher.get_opcodes():
        for side, text, begin, end in zip(sides, words, (left_from, right_from), (left_to, right_to), strict=True):
            if end > begin:
                side.append(Piece("".join(text[begin:end]), kind != "equal"))
    return tuple(sides[0]), tuple(sides[1])
