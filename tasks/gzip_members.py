"""Gzip members of an archive, one after another, as far as they can be read.

Notable:
- A WARC is a row of gzip members, one a record. A damaged member costs only itself: reading goes on at the next place that
  holds a gzip header and unpacks to the beginning of a record.
- A member comes in pieces of bounded size, so an archive written as one huge member needs no more memory than a small one.
- A bomb is told by its ratio: a member that has unpacked more than the limit and still swells is given up there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

_READ_BYTES = 1 << 18
_STEP_BYTES = 1 << 16
_PIECE_BYTES = 4 << 20
_PROBE_BYTES = 512
_MAGIC = b"\x1f\x8b\x08"
_RESERVED_FLAGS = 0xE0
_GZIP_WINDOW_BITS = 31

Damage = Literal["clipped", "damaged_gzip", "decompression_bomb", "junk"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of an archive, unpacked."""

    offset: int
    """Byte offset in the file: of the gzip member, or of these very bytes where the file is not compressed."""
    data: bytes
    """Unpacked bytes."""
    first: bool
    """Whether the member begins here."""
    last: bool
    """Whether the member ends here, well or not."""
    damage: Damage | None = None
    """Why the member ends early; `data` is then what could be unpacked."""
    detail: str = ""
    """The damage in words."""


class FileWindow:
    """A sliding view of a stream that need not be seekable, addressed by byte offsets in the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._data = bytearray()
        self._start = 0

    @property
    def start(self) -> int:
        """Offset of the first byte still held."""
        return self._start

    @property
    def end(self) -> int:
        """Offset after the last byte read so far."""
        return self._start + len(self._data)

    def fill(self, offset: int) -> bool:
        """Read on until bytes up to `offset` are held; False where the file ends before."""
        while self.end < offset:
            chunk = self._stream.read(_READ_BYTES)
            if not chunk:
                return False
            self._data += chunk
        return True

    def read(self, start: int, end: int) -> bytes:
        """The bytes held from `start` to `end`, fewer where the file ends."""
        self.fill(end)
        return bytes(self._data[start - self._start : end - self._start])

    def find(self, needle: bytes, start: int) -> int:
        """Offset of the first `needle` at or after `start`, -1 where there is none; what lies before is given up."""
        while True:
            found = self._data.find(needle, start - self._start)
            if found >= 0:
                return self._start + found
            start = max(start, self.end - len(needle) + 1)
            self.drop(start)
            if not self.fill(self.end + 1):
                return -1

    def drop(self, offset: int) -> None:
        """Give up the bytes before `offset`."""
        if offset > self._start:
            del self._data[: offset - self._start]
            self._start = min(offset, self._start + len(self._data)) if not self._data else offset


def find_member(window: FileWindow, start: int, begins_with: bytes) -> int:
    """Offset of the next gzip member at or after `start` whose content begins so, or -1."""
    while (found := window.find(_MAGIC, start)) >= 0:
        probe = window.read(found, found + _PROBE_BYTES)
        if len(probe) > len(_MAGIC) and not probe[len(_MAGIC)] & _RESERVED_FLAGS:
            try:
                head = zlib.decompressobj(_GZIP_WINDOW_BITS).decompress(probe, len(begins_with))
            except zlib.error:
                head = b""
            if head == begins_with:
                return found
        start = found + 1
    return -1


def read_members(
    window: FileWindow, start: int, begins_with: bytes, max_member_bytes: int, max_inflation: int
) -> Iterator[Piece]:
    """All members from `start` on, in pieces; after damage, from the next member that begins with `begins_with`.

    A member is a bomb once it has unpacked more than `max_member_bytes` at more than `max_inflation` to one.
    """
    position = start
    while window.fill(position + 1):
        window.drop(position)
        if window.read(position, position + len(_MAGIC)) != _MAGIC:
            following = find_member(window, position, begins_with)
            if following < 0 and not window.end - position:
                return
            yield Piece(position, b"", True, True, "junk", "bytes between two gzip members that belong to none")
            if following < 0:
                return
            position = following
            continue
        end, damage = yield from _read_member(window, position, max_member_bytes, max_inflation)
        if damage is None:
            position = end
            continue
        position = find_member(window, max(position + 1, window.start), begins_with)
        if position < 0:
            return


def _read_member(
    window: FileWindow, start: int, max_member_bytes: int, max_inflation: int
) -> Iterator[Piece]:
    """The pieces of one member; returns where it ended and what damage ended it."""
    raise NotImplementedError
