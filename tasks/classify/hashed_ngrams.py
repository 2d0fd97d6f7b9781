"""Hashed word n-grams of a whole column of texts at once: what a linear classifier counts.

Notable:
- No Python object is created for a word. A running sum of (hash of a character) * (odd number)**(place) over the bytes
  of many texts gives the hash of any stretch as a difference; words and n-grams are then array operations.
- A word is a run of letters, digits and combining marks, in lower case. Any other visible character is a word by
  itself, and so is each character of the scripts that write no spaces between words (Chinese, Japanese, Thai, ...).
- Everything is integer arithmetic modulo 2**32: the same on every machine, and for a text alone or among others. Only
  characters that one version of Python knows and another does not yet can make a difference.
"""

import functools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.unspaced_scripts import UNSPACED_BLOCKS

UInt32s = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.intp]

BLOCK_BYTES = 1 << 17
"""Bytes of text that are hashed at a time: the arrays stay in the processor's cache."""

_BASE = 0x9E3779B5
_NEXT = np.uint32(0x85EBCA6B)
_SKIPPED, _INNER, _ALONE = 0, 1, 2  # kinds of characters: in no word, in a word with others, a word by itself
_OUTSIDE_BMP = 0xFFFD  # the stand-in for all characters above U+FFFF
_WITHOUT_SPACES = (*UNSPACED_BLOCKS, (0x3005, 0x3008), (0xFF66, 0xFF9E))
"""Code points, from and up to, that are words by themselves: marks of iteration and half-width kana as well."""


@dataclass(frozen=True)
class HashedTexts:
    """The words of consecutive texts."""

    words: UInt32s
    """A hash of each word, [words]."""
    first: Indices
    """The place of each text's first word, and at the end the number of words, [texts + 1]."""

    def buckets(self, order: int, bits: int) -> UInt32s:
        """Return the bucket (0 to 2**bits - 1) of the n-gram of `order` words at each word, [words - order + 1].

        An n-gram that reaches into the next text means nothing; `crossing` tells where those are.
        """
        count = max(len(self.words) - order + 1, 0)
        hashes = self.words[:count].copy()
        for further in range(1, order):
            hashes *= _NEXT
            hashes += self.words[further : further + count]
        _mix(hashes)
        hashes >>= np.uint32(32 - bits)
        return hashes

    def crossing(self, order: int) -> Indices:
        """Return the places in `buckets(order, ...)` whose n-gram reaches into the next text."""
        places = np.concatenate([self.first[1:] - back for back in range(1, order)] or [np.empty(0, np.intp)])
        return places[(places >= 0) & (places <= len(self.words) - order)]

    def counts(self, orders: int) -> npt.NDArray[np.int64]:
        """Return how many n-grams of 1 to `orders` words each text has, [texts]."""
        words = np.diff(self.first)
        return sum((np.maximum(words - further, 0) for further in range(1, orders)), words).astype(np.int64)


def hashed_texts(texts: pa.Array | pa.ChunkedArray, max_chars: int) -> Iterator[HashedTexts]:
    """Yield the words of each text's first `max_chars` code points, in blocks of whole texts and in order."""
    for piece in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        if len(piece):
            yield from _hashed_piece(piece.cast(pa.large_string()), max_chars)


def _hashed_piece(texts: pa.Array, max_chars: int) -> Iterator[HashedTexts]:
    if pc.max(pc.binary_length(texts)).as_py() > max_chars:  # a code point has at least one byte
        texts = pc.utf8_slice_codeunits(texts, 0, max_chars)
    _, places, content = texts.buffers()
    offsets = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1].astype(np.intp)
    data = np.frombuffer(content or b"", np.uint8)
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(offsets, offsets[start] + BLOCK_BYTES, "right")) - 1
        end = min(max(end, start + 1), len(texts))
        yield _hashed_block(data[offsets[start] : offsets[end]], offsets[start : end + 1] - offsets[start])
        start = end


def _hashed_block(data: npt.NDArray[np.uint8], offsets: Indices) -> HashedTexts:
    """Return the words of texts that lie one behind the other in `data`, text i from offsets[i] to offsets[i + 1]."""
    if not len(data):
        return HashedTexts(np.empty(0, np.uint32), np.zeros(len(offsets), np.intp))
    values, kinds = _characters(data)
    powers, inverses = _powers(1 << (len(data) - 1).bit_length())
    values *= powers[: len(data)]
    sums = np.zeros(len(data) + 1, np.uint32)
    np.cumsum(values, out=sums[1:])
    begins = np.empty(len(data), np.bool_)
    np.greater(kinds[1:], kinds[:-1] & 1, out=begins[1:])  # visible, and not one more character of the same run
    at_start = offsets[:-1][offsets[:-1] < len(data)]
    begins[at_start] = kinds[at_start] != _SKIPPED
    starts = np.flatnonzero(begins)
    # What is skipped adds nothing to the sums, so a word may be taken to reach up to where the next one begins.
    words = np.diff(sums.take(starts), append=sums[-1:])
    words *= inverses.take(starts)
    return HashedTexts(words, np.searchsorted(starts, offsets))


def _characters(data: npt.NDArray[np.uint8]) -> tuple[UInt32s, npt.NDArray[np.uint8]]:
    """Return a value and a kind for each byte of UTF-8: a character's at its first byte, 0 and a tail kind after."""
    value_of, kind_of = _tables()
    values = value_of[:256].take(data, mode="clip")
    kinds = kind_of[:256].take(data, mode="clip")
    leads = np.flatnonzero(data >= 0x80)
    if not len(leads):
        return values, kinds
    values[leads], kinds[leads] = 0, _INNER
    leads = leads[data.take(leads) >= 0xC0]
    first = data.take(leads).astype(np.uint32)
    second, third = (data.take(leads + i, mode="clip").astype(np.uint32) & np.uint32(0x3F) for i in (1, 2))
    is_two, is_four = first < 0xE0, first >= 0xF0
    points = ((first & np.uint32(0x0F)) << np.uint32(12)) | (second << np.uint32(6)) | third
    points[is_two] = (((first & np.uint32(0x1F)) << np.uint32(6)) | second)[is_two]
    points[is_four] = _OUTSIDE_BMP
    values[leads] = value_of.take(points)
    if is_four.any():
        fourth = leads[is_four]
        tails = sum(data.take(fourth + i).astype(np.uint32) << np.uint32(8 * i) for i in (0, 1, 2, 3))
        values[fourth] = _mix(np.asarray(tails, np.uint32))
    kinds[leads] = kind_of.take(points)
    # The rest of a character that is no part of a run must not look like the inside of one.
    apart = np.flatnonzero(kinds.take(leads) != _INNER)
    lengths = 2 + (~is_two).astype(np.intp) + is_four
    for i in (1, 2, 3):
        kinds[(leads + i)[apart[lengths[apart] > i]]] = _SKIPPED
    return values, kinds


@functools.cache
def _tables() -> tuple[UInt32s, npt.NDArray[np.uint8]]:
    """Return the value and the kind of each code point of the Basic Multilingual Plane, in lower case."""
    kinds = np.zeros(1 << 16, np.uint8)
    lower = np.arange(1 << 16, dtype=np.uint32)
    for point in range(1 << 16):
        character = chr(point)
        category = unicodedata.category(character)[0]
        kinds[point] = _INNER if category in "LMN" else _ALONE if category in "PS" else _SKIPPED
        small = character.lower()
        lower[point] = ord(small) if len(small) == 1 else point
    for start, end in _WITHOUT_SPACES:
        kinds[start:end][kinds[start:end] == _INNER] = _ALONE
    values = _mix(lower + np.uint32(_BASE))
    values[kinds == _SKIPPED] = 0
    return values, kinds


@functools.lru_cache(maxsize=4)
def _powers(count: int) -> tuple[UInt32s, UInt32s]:
    """_BASE**0 to _BASE**(count - 1) modulo 2**32 and their inverses; an odd number has one."""
    bases = np.array([[_BASE], [pow(_BASE, -1, 1 << 32)]], np.uint32).repeat(count, axis=1)
    bases[:, 0] = 1
    powers = np.cumprod(bases, axis=1, dtype=np.uint32)
    return powers[0], powers[1]


def _mix(values: UInt32s) -> UInt32s:
    """Spread every bit of `values` over all 32, in place: a bijection (C. Wellons 2018, "lowbias32")."""
    shifted = np.empty_like(values)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
        np.right_shift(values, np.uint32(shift), out=shifted)
        values ^= shifted
        if factor:
            values *= np.uint32(factor)
    return values
