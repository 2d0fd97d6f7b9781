"""Inflate gzip and deflate streams in time that grows with their length alone.

Notable: zlib copies whatever follows a stream each time one ends, so a body of many tiny gzip members would cost its
length squared. A stream is therefore fed in windows that begin small and double.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

GZIP, ZLIB, RAW_DEFLATE = 31, 15, -15  # zlib's names for the formats (its `wbits`)
GZIP_MAGIC = b"\x1f\x8b"

_MOST_MEMBERS = 10_000
_FIRST_WINDOW_BYTES = 1 << 9
LARGEST_WINDOW_BYTES = 1 << 16


class Inflater:
    """One compressed stream."""

    def __init__(self, wbits: int = GZIP, first_window_bytes: int = _FIRST_WINDOW_BYTES) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self.window_bytes = first_window_bytes  # how many bytes to give to the next `inflate`
        self.ended = False  # whether the stream has come to its end, its checksum included

    def inflate(self, packed: bytes | memoryview, max_bytes: int) -> tuple[bytes, int]:
        """Inflate the stream's next bytes, to at most `max_bytes`; return them and how many of `packed` were used."""
        data = self._zlib.decompress(packed, max_bytes)
        self.ended = self._zlib.eof
        # At a stream's end zlib may hold what follows in both attributes.
        unused = self._zlib.unused_data if self.ended else self._zlib.unconsumed_tail
        self.window_bytes = min(2 * self.window_bytes, LARGEST_WINDOW_BYTES)
        return data, len(packed) - len(unused)

    def copy(self) -> Inflater:
        """Return an inflater at the same place of the same stream."""
        twin = Inflater()
        twin._zlib, twin.window_bytes, twin.ended = self._zlib.copy(), self.window_bytes, self.ended
        return twin


class Inflated(NamedTuple):
    """What came out."""

    data: bytes  # at most as many bytes as were allowed
    complete: bool  # whether the last stream ended well, or was cut at the allowed length
    end: int  # how many bytes of the input were used


def inflate(packed: bytes, wbits: int, max_bytes: int) -> Inflated:
    """Inflate a stream, or all gzip members up to a damaged one; raises `zlib.error` where the first one is."""
    inflated, position, view = bytearray(), 0, memoryview(packed)
    for _member in range(_MOST_MEMBERS):
        whole, start, inflater = len(inflated), position, Inflater(wbits)
        try:
            while not inflater.ended and position < len(packed) and len(inflated) < max_bytes:
                window = view[position : position + inflater.window_bytes]
                data, used = inflater.inflate(window, max_bytes - len(inflated))
                inflated += data
                position += used
        except zlib.error:
            if not whole:
                raise
            return Inflated(bytes(inflated[:whole]), False, start)
        full = len(inflated) >= max_bytes
        if full or not inflater.ended:
            return Inflated(bytes(inflated), full, position)
        if wbits != GZIP or not packed.startswith(GZIP_MAGIC, position):
            return Inflated(bytes(inflated), True, position)
    return Inflated(bytes(inflated), False, position)
