"""Inflate bytes that are held in memory, stream after stream, in time that grows with their length alone.

Notable: zlib copies all that follows a stream each time one ends, so a body of many tiny gzip members would cost its
length squared. Here it is fed in windows that begin small with each member, and the members are counted.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

GZIP, ZLIB, RAW_DEFLATE = 31, 15, -15
"""zlib's names for the formats (its `wbits`)."""

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_MEMBERS = 10_000
_FIRST_WINDOW_BYTES = 1 << 9
_LARGEST_WINDOW_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Inflated:
    """What came out."""

    data: bytes
    """At most as many bytes as were allowed."""
    complete: bool
    """Whether the last stream ended well, or was cut at the allowed length."""
    end: int
    """How many bytes of the input were used."""


def inflate(packed: bytes, wbits: int, max_bytes: int) -> Inflated:
    """Inflate a stream, or all members of a gzip file, up to `max_bytes` and 10,000 members.

    Of a member that turns out damaged nothing is given. Raises `zlib.error` where nothing came before it.
    """
    inflated = bytearray()
    position = 0
    for _member in range(_MOST_MEMBERS):
        whole, start = len(inflated), position
        try:
            position, ended = _inflate_member(memoryview(packed), start, wbits, inflated, max_bytes)
        except zlib.error:
            if not whole:
                raise
            return Inflated(bytes(inflated[:whole]), False, start)
        full = len(inflated) >= max_bytes
        if full or not ended:
            return Inflated(bytes(inflated), full, position)
        if wbits != GZIP or not packed.startswith(_GZIP_MAGIC, position):
            return Inflated(bytes(inflated), True, position)
    return Inflated(bytes(inflated), False, position)


def _inflate_member(
    packed: memoryview, position: int, wbits: int, inflated: bytearray, max_bytes: int
) -> tuple[int, bool]:
    """Add the member at `position` to `inflated`; where it ends, and whether it does."""
    inflater = zlib.decompressobj(wbits)
    window = _FIRST_WINDOW_BYTES
    while not inflater.eof and position < len(packed) and len(inflated) < max_bytes:
        piece = packed[position : position + window]
        inflated += inflater.decompress(piece, max_bytes - len(inflated))
        # At a stream's end zlib may give what follows by both names.
        position += len(piece) - len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)
        window = min(2 * window, _LARGEST_WINDOW_BYTES)
    return position, inflater.eof
