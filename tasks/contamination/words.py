"""Words of many texts at once, as hashes, in a few passes over the bytes of a column.

Notable: letters of ASCII are lowered and its punctuation, like the typographic one (U+2000 to U+203F), separates; each
character from U+3000 to U+9FFF, which has no spaces around it, is a word. All else is part of a word as it is. The same
is done to items and documents, so nothing else matters.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

UInt32s = npt.NDArray[np.uint32]
Int64s = npt.NDArray[np.int64]
_RADIX = 0x01000193
_INVERSE = pow(_RADIX, -1, 1 << 32)
_PIECE = 1 << 20
"""Bytes that are hashed at once: what a processor's cache holds."""
_TABLE = np.array([byte if byte >= 0x80 or chr(byte).isalnum() else 0 for byte in range(256)], np.uint8)
_TABLE[ord("A") : ord("Z") + 1] += 32


@cache
def _powers(base: int, size: int) -> UInt32s:
    """Return base^0, base^1, ... modulo 2^32, [size]."""
    found = np.full(size, base, np.uint32)
    found[0] = 1
    return np.multiply.accumulate(found, dtype=np.uint32)


@dataclass(frozen=True)
class HashedWords:
    """The words of several texts, one after the other."""

    hashes: UInt32s
    """(words)"""
    texts: Int64s
    """(words) which text each is of."""


def hashed_words(texts: pa.Array) -> HashedWords:
    """Return the words of a string array without nulls; a word has the same hash wherever it stands."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4).astype(np.int64)
    content = texts.buffers()[2]
    data = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    found: list[tuple[UInt32s, Int64s]] = []
    first = 0
    while first < len(texts):
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _PIECE, "right")) - 1)
        own = offsets[first : last + 1]
        hashes, starts = _hash_piece(data[own[0] : own[-1]], own - own[0])
        counts = np.diff(np.searchsorted(starts, own - own[0]))
        found.append((hashes, np.repeat(np.arange(first, last), counts)))
        first = last
    if not found:
        return HashedWords(np.empty(0, np.uint32), np.empty(0, np.int64))
    return HashedWords(np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found]))


def _hash_piece(data: npt.NDArray[np.uint8], bounds: Int64s) -> tuple[UInt32s, Int64s]:
    """Return the hash and the first byte of each word; no word goes over one of `bounds`."""
    letters = np.append(_TABLE[data], np.uint8(0))
    leads = np.flatnonzero(letters[:-2] == 0xE2)
    typographic = leads[letters[leads + 1] == 0x80]
    for byte in range(3):
        letters[typographic + byte] = 0
    inside = letters != 0
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    begins[bounds[:-1]] = inside[bounds[:-1]]
    begins |= (letters >= 0xE3) & (letters <= 0xE9)
    starts = np.flatnonzero(begins)
    if not len(starts):
        return np.empty(0, np.uint32), starts
    size = 1 << len(letters).bit_length()
    sums = np.zeros(len(letters) + 1, np.uint32)
    np.cumsum(letters * _powers(_RADIX, size)[: len(letters)], dtype=np.uint32, out=sums[1:])
    return np.diff(np.append(sums[starts], sums[-1])) * _powers(_INVERSE, size)[starts], starts
