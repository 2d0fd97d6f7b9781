"""WARC files packed by zstd, a frame a record: the same pages as in gzip, at the places where their frames begin."""

import io
from pathlib import Path
from typing import Any

import zstandard

from tasks.warc.limits import ReadLimits
from tasks.warc.reader import Page, Unreadable, read_pages
from tasks.warc.verification import verify_warc
from tests.tasks.warc_builder import crawl, members, page, record


def frames(records: list[bytes], packer: zstandard.ZstdCompressor | None = None) -> bytes:
    return b"".join((packer or zstandard.ZstdCompressor(write_checksum=True)).compress(one) for one in records)


def read(archive: bytes, limits: ReadLimits | None = None) -> list[Page | Unreadable]:
    return list[Page | Unreadable](read_pages(io.BytesIO(archive), limits or ReadLimits()))


def payloads(archive: bytes) -> list[bytes]:
    return [item.payload for item in read(archive) if isinstance(item, Page)]


def test_the_pages_are_those_of_gzip_each_at_its_frame() -> None:
    records = crawl(5)
    archive = frames(records)
    items = read(archive)
    assert payloads(archive) == payloads(members(records)) and len(items) == 5
    for item in items:
        assert archive[item.offset : item.offset + 4] == b"\x28\xb5\x2f\xfd"
        assert isinstance(item, Page) and item.digest_ok


def test_a_dictionary_in_the_first_frame_unpacks_all_others() -> None:
    records = crawl(30)
    samples: list[Any] = records * 4
    dictionary = zstandard.train_dictionary(4096, samples)
    packer = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    for held in (dictionary.as_bytes(), zstandard.ZstdCompressor().compress(dictionary.as_bytes())):
        first = b"\x5d\x2a\x4d\x18" + len(held).to_bytes(4, "little") + held
        assert payloads(first + frames(records, packer)) == payloads(members(records))


def test_a_record_longer_than_a_piece_is_whole() -> None:
    long = record(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + bytes(range(256)) * 40_000)
    assert [len(payload) for payload in payloads(frames([long]))] == [256 * 40_000]


def test_a_damaged_frame_costs_itself() -> None:
    records = crawl(4)
    packed = [frames([one]) for one in records]
    spoiled = bytearray(packed[4])
    spoiled[len(spoiled) // 2] ^= 0xFF
    items = read(b"".join([*packed[:4], bytes(spoiled), *packed[5:]]))
    assert sum(isinstance(item, Page) for item in items) >= 3


def test_a_file_that_ends_inside_a_frame_says_so() -> None:
    packed = frames([page(1)]) + frames([page(2)])[:-40]
    items = read(packed)
    assert isinstance(items[0], Page)
    assert [item.reason for item in items[1:] if isinstance(item, Unreadable)] == ["clipped"]
    assert len(list(read_pages(io.BytesIO(packed), ReadLimits(), allow_clipped_end=True))) == 1


def test_a_bomb_is_left_while_it_is_small() -> None:
    bomb = frames([record(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(200 << 20))])
    assert len(bomb) < 20_000
    [item] = read(bomb, ReadLimits(max_record_bytes=1 << 20))
    assert isinstance(item, Unreadable) and item.reason in ("decompression_bomb", "too_large")


def test_verification_reads_it_through(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.zst"
    path.write_bytes(frames(crawl(3)))
    check = verify_warc(path)
    assert (check.broken_at, check.cut_at, check.verified) == (None, None, 3)
