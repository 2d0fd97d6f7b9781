"""A WARC's content is the same stream, with the same digest, however it is read and whatever gzip does not protect."""

from __future__ import annotations

import gzip
import io
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.warc.content import WarcContent
from tests.tasks.crawl_mirror import gzip_members, warc_records

RECORDS = warc_records(4, size=700)
MEMBERS = [gzip_members([record]) for record in RECORDS]
WHOLE = b"".join(MEMBERS)
BEGINNINGS = list(accumulate(map(len, MEMBERS), initial=0))


def content_of(data: bytes) -> WarcContent:
    return WarcContent(io.BytesIO(data))


@given(st.lists(st.integers(1, 5000), max_size=20))
def test_the_content_is_the_same_however_it_is_read(sizes: list[int]) -> None:
    content = content_of(WHOLE)
    read = b"".join(content.read(size) for size in sizes)
    assert content.tell() == len(read)
    while piece := content.read():
        read += piece
    assert read == b"".join(RECORDS)
    assert content.digest() == content_of(WHOLE).digest()
    assert (content.broken_at, content.cut_at, content.compressed) == (None, None, True)


def test_the_digest_is_frozen() -> None:
    """Parts of finished stores hold it."""
    assert content_of(gzip.compress(b"WARC/1.0\r\n", mtime=0)).digest() == "229f2426f43298f4938ef6bea1a2fb15"
    assert content_of(b"WARC/1.0\r\n").digest() == "1acdb5a8adbf1b4cbeb1ec3c509924bc"


def test_the_digest_knows_content_and_places_and_no_more() -> None:
    digest = content_of(WHOLE).digest()
    assert content_of(b"".join(gzip.compress(record, mtime=5) for record in RECORDS)).digest() == digest
    assert content_of(b"".join(MEMBERS[1:])).digest() != digest
    assert content_of(gzip_members([b"".join(RECORDS)])).digest() != digest
    assert content_of(b"".join(gzip.compress(record, 1, mtime=0) for record in RECORDS)).digest() != digest


def test_each_position_has_the_place_of_its_member() -> None:
    content = content_of(WHOLE)
    content.digest()
    position = 0
    for record, place in zip(RECORDS, BEGINNINGS, strict=False):
        assert content.place(position) == content.place(position + len(record) - 1) == place
        position += len(record)


@given(st.integers(0, len(WHOLE)), st.binary(max_size=40))
def test_what_follows_a_whole_member_is_told(cut: int, tail: bytes) -> None:
    data = WHOLE[:cut] + tail
    content = content_of(data)
    content.digest()
    whole = max(begin for begin in BEGINNINGS if begin <= cut)
    for fault in (content.broken_at, content.cut_at):
        assert fault is None or fault >= whole or not data.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("zeros", [1, 2, 512, 3_000_000])
def test_zeros_at_the_end_are_padding(zeros: int) -> None:
    content = content_of(WHOLE + bytes(zeros))
    content.digest()
    assert (content.broken_at, content.cut_at) == (None, None)


def test_a_bomb_comes_in_pieces() -> None:
    content = content_of(gzip.compress(bytes(50_000_000)))
    longest = total = 0
    while piece := content.read():
        longest, total = max(longest, len(piece)), total + len(piece)
    assert (longest, total) == (1 << 20, 50_000_000)
