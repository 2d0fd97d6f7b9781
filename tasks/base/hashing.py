"""Seeded 64-bit hashes over whole columns, so that no choice depends on order, parts or the number of workers."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_64_digest

UInt64s = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def mix64(values: npt.NDArray[np.integer], seed: int = 0) -> UInt64s:
    """Return a bijection of the 64-bit integers, one for each seed, that spreads every bit of `values` over all 64.

    The finaliser of splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
    """
    start = (_GOLDEN * (2 * seed + 1)) & _MASK
    return spread64(values.astype(np.uint64) + np.uint64(start))


def spread64(values: UInt64s) -> UInt64s:
    """Return the finishing steps of splitmix64: every bit of the result depends on every bit given."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_strings(strings: list[str]) -> UInt64s:
    """Return the xxh3-64 of each string in UTF-8, [n]."""
    return np.frombuffer(b"".join(map(xxh3_64_digest, strings)), dtype=">u8").astype(np.uint64)


def text_hash_words(text_hashes: pa.ChunkedArray | pa.Array) -> UInt64s:
    """Return a column of 128-bit hashes in 32 hexadecimal digits as integers, [n, 2], the high half first."""
    digits = "".join(text_hashes.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64).reshape(len(text_hashes), 2)


def chosen(hashes: UInt64s, fraction: float) -> npt.NDArray[np.bool_]:
    """Return a mask of the uniform `hashes` in the lowest `fraction` (0 to 1) of the range, [n]."""
    if fraction >= 1.0:
        return np.ones(len(hashes), dtype=bool)
    return hashes < np.uint64(int(fraction * 2.0**64))
