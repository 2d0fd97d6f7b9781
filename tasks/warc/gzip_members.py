"""Gzip members of an archive, one after another, as far as they can be read.

Notable:
- A WARC is a row of gzip members, one a record. A damaged member costs only itself: reading goes on at the next place
  that holds a gzip header and unpacks to the beginning of a record.
- A member comes in pieces of bounded size, so an archive written as one huge member needs no more memory than a small
  one.
- A bomb is told by its ratio: a member that has unpacked more than the limit and still swells is given up there.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
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
        """Give up the bytes before `offset`, which is at most `end`."""
        if offset > self._start:
            del self._data[: offset - self._start]
            self._start = offset


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


@dataclass(frozen=True, slots=True)
class MemberLimits:
    """When a member is given up as a bomb: both must be passed."""

    max_bytes: int
    """Unpacked bytes."""
    max_inflation: int
    """Unpacked bytes for each packed byte; deflate reaches 1,032, web pages seldom 100."""


def read_members(window: FileWindow, start: int, begins_with: bytes, limits: MemberLimits) -> Iterator[Piece]:
    """All members from `start` on, in pieces; after damage, from the next whose content begins with `begins_with`."""
    position = start
    while position >= 0 and window.fill(position + 1):
        window.drop(position)
        if _MAGIC.startswith(window.read(position, position + len(_MAGIC))):
            position = yield from _read_member(window, position, begins_with, limits)
        elif _is_padding(window, position):
            return
        else:
            yield Piece(position, b"", True, True, "junk", "bytes that belong to no gzip member")
            position = find_member(window, position, begins_with)


def _is_padding(window: FileWindow, position: int) -> bool:
    """Whether nothing but a few zero bytes follows to the end of the file."""
    tail = window.read(position, position + _STEP_BYTES)
    return not tail.strip(b"\0") and not window.fill(position + _STEP_BYTES + 1)


def _read_member(
    window: FileWindow, start: int, begins_with: bytes, limits: MemberLimits
) -> Generator[Piece, None, int]:
    """Yield the pieces of one member; return where the next one begins, or -1."""
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    position, unpacked, held, first = start, bytearray(), 0, True
    damage: Damage | None = None
    detail = ""
    while not inflater.eof and damage is None:
        packed = window.read(position, position + _STEP_BYTES)
        if not packed:
            break
        before = inflater.copy()
        try:
            unpacked += inflater.decompress(packed, _PIECE_BYTES)
        except zlib.error as error:
            unpacked += _inflate_to_error(before, packed)
            damage, detail = "damaged_gzip", f"the gzip member cannot be unpacked: {error}"
            continue
        # At a member's end zlib may give what follows by both names.
        position += len(packed) - len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)
        total = held + len(unpacked)
        if total > limits.max_bytes and total > limits.max_inflation * (position - start):
            damage, detail = "decompression_bomb", f"{position - start} bytes unpacked to {total} and more"
        elif len(unpacked) >= _PIECE_BYTES and not inflater.eof:
            yield Piece(start, bytes(unpacked), first, False)
            held, first = total, False
            unpacked.clear()
            window.drop(position - limits.max_bytes)
    if inflater.eof:
        yield Piece(start, bytes(unpacked), first, True)
        return position
    following = find_member(window, max(start + 1, window.start), begins_with)
    if damage is None and following < 0:
        damage, detail = "clipped", "the file ends inside a gzip member"
    elif damage is None:
        damage, detail = "damaged_gzip", f"the gzip member breaks off before the next one at byte {following}"
    yield Piece(start, bytes(unpacked), first, True, damage, detail)
    return following


def _inflate_to_error(inflater: zlib._Decompress, packed: bytes) -> bytes:
    """What can be unpacked before the damage, which zlib keeps to itself when given more than a byte at a time."""
    unpacked = bytearray()
    for position in range(len(packed)):
        try:
            unpacked += inflater.decompress(packed[position : position + 1], _PIECE_BYTES)
        except zlib.error:
            break
    return bytes(unpacked)
