"""Text from elsewhere: what it seems to be, and its beginning, fit for a message."""

import re

_TEXT_BYTES = bytes([*b"\t\n\r\f\x1b", *range(32, 256)])


def first_words(head: bytes) -> str:
    """Return the beginning of a body as one line of plain text, without tags and control characters."""
    text = re.sub(r"<[^<>]*>", " ", head[:4096].decode(errors="replace"))
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:120]


def is_markup(head: bytes) -> bool:
    """Return whether a body begins like HTML or XML."""
    return head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def is_text(head: bytes) -> bool:
    """Return whether a body begins without the control characters that no text in an encoding of bytes has."""
    return not head[:4096].translate(None, _TEXT_BYTES)
