"""The head of a WARC record or of an HTTP response: its first line and its named fields, whatever a server sent.

Notable: fastwarc's parser ends the file with an error at a head over some 32 kB, which real servers send. This one
reads any head; the caller limits its length.
"""

import re
from collections.abc import Iterator

HEAD_END = re.compile(rb"\n\r?\n")  # the blank line after a head, from the end of its last line on
RECORD_BEGIN = b"WARC/"
# On a line of its own; or after a torn record, whose last line has no end, if a header of WARC's follows.
RECORD_LINE = re.compile(rb"(?<![^\n])WARC/[01]\.\d+\r?\n|WARC/[01]\.\d+\r?\n(?=WARC-[A-Za-z-]{1,40}:)")

_FOLD = re.compile(rb"\r?\n[ \t]+(?=\S)")
_STATUS = re.compile(rb"(?:HTTP(?:/[0-9.]*)?|ICY)[ \t]+([0-9]{3})(?![0-9])", re.IGNORECASE)


class HeaderLines:
    """A head, read as UTF-8 with U+FFFD for invalid bytes. The case of field names does not matter."""

    __slots__ = ("_fields", "_first_line", "_lower", "_spaced")

    def __init__(self, head: bytes = b"") -> None:
        self._first_line, newline, fields = head.partition(b"\n")
        if b"\n " in head or b"\n\t" in head:
            fields = _FOLD.sub(b" ", fields).lstrip(b" \t")
        self._fields = newline + fields
        self._lower = self._fields.lower()
        self._spaced = b" :" in fields or b"\t:" in fields

    def get(self, name: str) -> str | None:
        """Return the value of the first field of this name, None where there is none."""
        lower = name.lower()
        if self._spaced:
            return next((value for found, value in self.items() if found.lower() == lower), None)
        # Only a few of a head's fields are asked for: looking for those is cheaper than reading all.
        label = f"\n{lower}:".encode()
        at = self._lower.find(label)
        if at < 0:
            return None
        end = self._lower.find(b"\n", at + 1)
        return self._fields[at + len(label) : end if end >= 0 else None].decode("utf-8", "replace").strip()

    def joined(self, name: str) -> str:
        """Return the values of all fields of this name, joined by commas as HTTP says; "" where there is none."""
        lower = name.lower()
        if not self._spaced and self._lower.count(f"\n{lower}:".encode()) < 2:
            return self.get(name) or ""
        return ", ".join(value for found, value in self.items() if found.lower() == lower)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield all fields in order, names as written."""
        for line in self._fields.decode("utf-8", "replace").split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                yield name.strip(), value.strip()

    @property
    def status_code(self) -> int | None:
        """The status in an HTTP response's first line."""
        status = _STATUS.match(self._first_line.strip())
        return int(status[1]) if status else None
