"""A WARC's content is the same stream, with the same digest, however it is read and whatever gzip does not protect."""

import gzip
import io
import struct
import zlib
from itertools import accumulate
from random import Random
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.warc import gzip_members
from tasks.warc.content import WarcContent, content_digest
from tasks.warc.limits import ReadLimits
from tests.tasks.crawl_mirror import gzip_members as packed
from tests.tasks.crawl_mirror import warc_records

RECORDS = warc_records(4, size=700)
MEMBERS = [packed([record]) for record in RECORDS]
WHOLE = b"".join(MEMBERS)
BEGINNINGS = list(accumulate(map(len, MEMBERS), initial=0))


def content_of(data: bytes) -> WarcContent:
    """The content, read to its end."""
    content = WarcContent(io.BytesIO(data), ReadLimits())
    for _ in content.pieces():
        pass
    return content


def packed_size(size: int) -> bytes:
    """A gzip member of exactly this many bytes, whose content begins a record."""
    content = b"WARC/1.0\r\n" + bytes(size)
    stored = [content[at : at + 0xFFFF] for at in range(0, size - 18 - 5 * (size // 0xFFFF + 1), 0xFFFF)]
    excess = sum(map(len, stored)) + 5 * len(stored) + 18 - size
    stored[-1] = stored[-1][:-excess] if excess else stored[-1]
    blocks = b"".join(
        bytes([number == len(stored) - 1]) + struct.pack("<HH", len(one), len(one) ^ 0xFFFF) + one
        for number, one in enumerate(stored)
    )
    whole = b"".join(stored)
    end = struct.pack("<II", zlib.crc32(whole), len(whole))
    return gzip.compress(b"", mtime=0)[:10] + blocks + end


def test_the_content_is_what_the_members_hold() -> None:
    content = WarcContent(io.BytesIO(WHOLE), ReadLimits())
    pieces = list(content.pieces())
    assert [piece.data for piece in pieces] == RECORDS
    assert [piece.offset for piece in pieces] == BEGINNINGS[:-1]
    assert content.digest() == content_digest(io.BytesIO(WHOLE))
    assert (content.broken_at, content.cut_at, content.compressed) == (None, None, True)


sizes = st.one_of(st.integers(0, 300), st.integers(900, 1100), st.integers(0, 6000))


@given(
    st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=6),
    st.sampled_from([1, 100, 512, 1000, 1024]),
    st.sampled_from([1, 100, 1000, 1024, 5000]),
    st.sampled_from([1, 64, 512]),
)
def test_sound_members_are_sound_wherever_buffers_end(
    members: list[tuple[int, bool]], read_bytes: int, piece_bytes: int, window_bytes: int
) -> None:
    """What is read, unpacked and passed on at a time decides nothing, whatever the members' sizes."""
    contents = [b"WARC/" + (Random(size).randbytes(size) if noise else bytes(size)) for size, noise in members]
    data = b"".join(gzip.compress(content, mtime=0) for content in contents)
    expected = content_digest(io.BytesIO(data))
    with (
        mock.patch.object(gzip_members, "_READ_BYTES", read_bytes),
        mock.patch.object(gzip_members, "_PIECE_BYTES", piece_bytes),
        mock.patch.object(gzip_members, "_FIRST_WINDOW_BYTES", window_bytes),
    ):
        content = WarcContent(io.BytesIO(data), ReadLimits())
        unpacked = b"".join(piece.data for piece in content.pieces())
    assert unpacked == b"".join(contents)
    assert (content.broken_at, content.cut_at, content.digest()) == (None, None, expected)


@pytest.mark.parametrize("edge", [1 << 14, 1 << 16, 1 << 18, 1 << 20, 5 << 20])
@pytest.mark.parametrize("beside", [-9, -8, -1, 0, 1, 10])
def test_members_that_end_at_the_edge_of_a_buffer_are_sound(edge: int, beside: int) -> None:
    content = content_of(packed_size(edge + beside) + WHOLE)
    assert (content.broken_at, content.cut_at) == (None, None)


@pytest.mark.parametrize("size", [1 << 20, 2 << 20, 4 << 20, 8 << 20])
@pytest.mark.parametrize("beside", [-1, 0, 1, 1000])
def test_members_that_unpack_to_the_edge_of_a_piece_are_sound(size: int, beside: int) -> None:
    half = size // 2
    for page in (bytes(size + beside), Random(0).randbytes(half) + bytes(half + beside)):
        content = content_of(MEMBERS[0] + gzip.compress(page, mtime=0) + WHOLE)
        assert (content.broken_at, content.cut_at) == (None, None)


def test_the_digest_is_frozen() -> None:
    """Parts of finished stores hold it."""
    assert content_of(gzip.compress(b"WARC/1.0\r\n", mtime=0)).digest() == "229f2426f43298f4938ef6bea1a2fb15"
    assert content_of(b"WARC/1.0\r\n").digest() == "1acdb5a8adbf1b4cbeb1ec3c509924bc"


def test_the_digest_knows_content_and_places_and_no_more() -> None:
    digest = content_of(WHOLE).digest()
    assert content_of(b"".join(gzip.compress(record, mtime=5) for record in RECORDS)).digest() == digest
    assert content_of(b"".join(MEMBERS[1:])).digest() != digest
    assert content_of(packed([b"".join(RECORDS)])).digest() != digest
    assert content_of(b"".join(gzip.compress(record, 1, mtime=0) for record in RECORDS)).digest() != digest


@given(st.integers(0, len(WHOLE)), st.binary(max_size=40))
def test_what_follows_a_whole_member_is_told(cut: int, tail: bytes) -> None:
    data = WHOLE[:cut] + tail
    content = content_of(data)
    whole = max(begin for begin in BEGINNINGS if begin <= cut)
    for fault in (content.broken_at, content.cut_at):
        assert fault is None or fault >= whole or not data.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("zeros", [1, 2, 512, 3_000_000])
def test_zeros_at_the_end_are_padding(zeros: int) -> None:
    content = content_of(WHOLE + bytes(zeros))
    assert (content.broken_at, content.cut_at) == (None, None)


def test_zeros_before_another_member_are_junk() -> None:
    content = content_of(MEMBERS[0] + bytes(200_000) + WHOLE)
    assert content.broken_at == len(MEMBERS[0])


def test_a_long_member_comes_in_pieces() -> None:
    content = WarcContent(io.BytesIO(gzip.compress(bytes(50_000_000))), ReadLimits())
    lengths = [len(piece.data) for piece in content.pieces()]
    assert (max(lengths), sum(lengths)) == (4 << 20, 50_000_000)


def test_a_bomb_is_given_up_and_is_no_damage() -> None:
    content = WarcContent(io.BytesIO(WHOLE + gzip.compress(bytes(150_000_000)) + WHOLE), ReadLimits())
    assert sum(len(piece.data) for piece in content.pieces()) < 80_000_000
    assert (content.broken_at, content.cut_at) == (None, None)
