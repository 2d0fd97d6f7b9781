"""Inflating bodies of one member and of many: all of it, no more than allowed, and in linear time."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.warc import gzip_inflating
from tasks.warc.gzip_inflating import GZIP, Inflated, inflate

HARBOUR = bytes(range(256)) * 900
EMPTY = gzip.compress(b"")


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=8), st.binary(max_size=5), st.integers(1, 20_000))
def test_all_members_come_out_up_to_the_limit(parts: list[bytes], after: bytes, most: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)
    whole = b"".join(parts)
    found = inflate(packed + b"#" + after, GZIP, most)
    assert (found.data, found.complete) == (whole[:most], True)
    if len(whole) < most:
        assert found.end == len(packed)


def test_a_member_longer_than_a_window() -> None:
    packed = zlib.compress(HARBOUR, 0)
    assert inflate(packed, gzip_inflating.ZLIB, 1 << 20) == Inflated(HARBOUR, True, len(packed))


def test_of_a_damaged_member_nothing_is_given() -> None:
    good, bad = gzip.compress(HARBOUR), bytearray(gzip.compress(HARBOUR))
    bad[-8] ^= 1
    assert inflate(good + bytes(bad), GZIP, 1 << 20) == Inflated(HARBOUR, False, len(good))
    with pytest.raises(zlib.error):
        inflate(bytes(bad), GZIP, 1 << 20)


def test_a_stream_that_breaks_off_is_not_complete() -> None:
    packed = gzip.compress(HARBOUR)
    found = inflate(packed[:-100], GZIP, 1 << 20)
    assert HARBOUR.startswith(found.data)
    assert (found.complete, found.end) == (False, len(packed) - 100)
    assert inflate(b"", GZIP, 10) == Inflated(b"", False, 0)


def test_many_tiny_members_are_fed_in_small_windows_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What zlib is given for all members together is what it copies: a few times the input, not its square."""
    fed = 0
    real = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._real = real(wbits)

        def decompress(self, piece: memoryview, most: int) -> bytes:
            nonlocal fed
            fed += len(piece)
            return self._real.decompress(piece, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr("tasks.warc.gzip_inflating.zlib.decompressobj", Counting)
    found = inflate(EMPTY * 100_000, GZIP, 1 << 20)
    assert found == Inflated(b"", False, 10_000 * len(EMPTY))
    assert fed <= 10_000 * 512
