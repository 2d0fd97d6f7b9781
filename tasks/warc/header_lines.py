"""The head of a WARC record or of an HTTP response: its first line and its named fields, whatever a server sent.

Notable: fastwarc's parser refuses a head over some 32 kB, which real servers send, with an error that would end the
file. This one reads any; how long a head may be is for its caller to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

HEAD_END = re.compile(rb"\r?\n\r?\n")
"""The blank line after a head."""

_STATUS = re.compile(r"HTTP/[0-9.]+[ \t]+([0-9]{3})(?![0-9])", re.ASCII)


class HeaderLines:
    """A head, read as UTF-8 with U+FFFD for what is none. Field names are the same in either case."""

    __slots__ = ("_fields", "_first", "first_line")

    def __init__(self, head: bytes = b"") -> None:
        first, *lines = head.decode("utf-8", "replace").split("\n")
        self.first_line = first.strip()
        self._fields: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        for line in _unfolded(lines) if b"\n " in head or b"\n\t" in head else lines:
            name, colon, value = line.partition(":")
            if colon:
                name, value = name.strip(), value.strip()
                self._fields.append((name, value))
                self._first.setdefault(name.lower(), value)

    def get(self, name: str) -> str | None:
        """The value of the first field of this name, None where there is none."""
        return self._first.get(name.lower())

    def items(self) -> Iterator[tuple[str, str]]:
        """All fields in order, names as written."""
        yield from self._fields

    @property
    def status_code(self) -> int | None:
        """The status in an HTTP response's first line."""
        status = _STATUS.match(self.first_line)
        return int(status[1]) if status else None


def _unfolded(lines: list[str]) -> Iterator[str]:
    """The lines, those that begin with a blank joined to the one before."""
    parts: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and line.strip():
            parts.append(line.strip())
            continue
        if parts:
            yield " ".join(parts)
        parts = [line.rstrip()]
    if parts:
        yield " ".join(parts)
