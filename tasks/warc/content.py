"""A WARC file's content as one stream: what its gzip members hold, one after another, with a digest of just that.

Notable:
- The digest covers what gzip's checksums protect, the content and where in the file each member begins, and not the
  bytes of the container: a header's time or the filling bits of a last byte may be hit on the way and change nothing
  that anybody reads.
- From the first damage on there is no content to speak of, so from there the bytes count as they stand.
- A file is unpacked once: whoever reads the stream to its end has the digest and the damage with it.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO

import xxhash

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31
_READ_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
# zlib copies what follows a member each time one ends, and most members are small.
_FIRST_WINDOW_BYTES = 1 << 12
_LARGEST_WINDOW_BYTES = 1 << 18
_PLACE = struct.Struct("<q")
_DAMAGE = b"damage"


class WarcContent:
    """A readable stream of a WARC's content, from a seekable file that stands at its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = memoryview(file.read(_READ_BYTES))
        self._at = 0  # in `_packed`
        self._passed = 0  # offset in the file of the first byte of `_packed`
        self._digest = xxhash.xxh3_128()
        self._places, self._begins = array("q"), array("q")
        self.compressed = bool(self._packed) and _GZIP_MAGIC.startswith(bytes(self._packed[:2]))
        """Whether the file is gzip members; anything else is content as it stands."""
        self.broken_at: int | None = None
        """Offset in the file of the first gzip member that cannot be unpacked."""
        self.cut_at: int | None = None
        """Offset of the last gzip member, if the file ends in the middle of it."""
        self._pieces = self._members() if self.compressed else self._plain()
        self._left = b""
        self._told = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size` and at most about a million; b"" at the end of what can be read."""
        piece = self._left or next(self._pieces, b"")
        if 0 <= size < len(piece):
            piece, self._left = piece[:size], piece[size:]
        else:
            self._left = b""
        self._told += len(piece)
        return piece

    def tell(self) -> int:
        """How many bytes were read."""
        return self._told

    def place(self, position: int) -> int:
        """Offset in the file of the gzip member that holds the content at `position`; without gzip that itself."""
        if not self._begins:
            return position
        return self._places[max(0, bisect_right(self._begins, position) - 1)]

    def digest(self) -> str:
        """xxh3-128 of the content in 32 hexadecimal digits, once all that is left of it has been read."""
        self._left = b""
        for _ in self._pieces:
            pass
        return self._digest.hexdigest()

    def _fill(self) -> bool:
        """Have a byte to take, unless the file has ended."""
        if self._at == len(self._packed):
            self._passed += self._at
            self._packed, self._at = memoryview(self._file.read(_READ_BYTES)), 0
        return bool(self._packed)

    def _plain(self) -> Iterator[bytes]:
        while self._fill():
            piece = bytes(self._packed)
            self._digest.update(piece)
            self._at = len(piece)
            yield piece

    def _members(self) -> Iterator[bytes]:
        unpacked = 0
        while self._fill():
            start = self._passed + self._at
            self._places.append(start)
            self._begins.append(unpacked)
            member = xxhash.xxh3_128()
            inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
            window = _FIRST_WINDOW_BYTES
            while not inflater.eof:
                more = self._fill()
                packed = self._packed[self._at : self._at + window]
                try:
                    piece = inflater.decompress(packed, _PIECE_BYTES)
                except zlib.error:
                    self.broken_at = self._give_up(start)
                    return
                self._at += len(packed) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
                window = min(2 * window, _LARGEST_WINDOW_BYTES)
                if not (piece or more or inflater.eof):
                    self.cut_at = self._give_up(start)
                    return
                member.update(piece)
                unpacked += len(piece)
                if piece:
                    yield piece
            self._digest.update(_PLACE.pack(start) + member.digest())

    def _give_up(self, start: int) -> int | None:
        """Take the rest of the file as it stands; `start`, or None where it is nothing but zeros, which are padding."""
        self._digest.update(_DAMAGE)
        self._file.seek(start)
        fault = None
        while piece := self._file.read(_READ_BYTES):
            self._digest.update(piece)
            if piece.strip(b"\0"):
                fault = start
        return fault
