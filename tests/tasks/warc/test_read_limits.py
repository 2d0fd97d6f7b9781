"""What one record may take of time and memory: the rest of the file is read."""

import gzip
import time
import tracemalloc

import pytest

from tasks.warc.http_payload import Body, decode_content
from tasks.warc.reader import Page, ReadLimits, Unreadable
from tests.tasks.warc.reading import read, reasons
from tests.tasks.warc_builder import http_response, members, page, record


@pytest.mark.parametrize("size", [60_000, 1_000_000])
def test_a_long_http_head_costs_no_more_than_its_page(size: int) -> None:
    long = record(http_response(Set_Cookie="x" * size), url="https://tolvane.example/long")
    items, _ = read(members([page(0), long, page(2)]))
    assert reasons(items) == ["page", "page" if size < 1 << 18 else "bad_body", "page"]
    assert items[1].url == "https://tolvane.example/long"


def test_lines_that_begin_records_without_end_take_linear_time() -> None:
    began = time.process_time()
    items, _ = read(page(0) + b"WARC/1.0\r\n" * 400_000 + page(1))
    assert set(reasons(items)) == {"page", "bad_record"}
    assert isinstance(items[-1], Page)
    assert time.process_time() - began < 5


def test_a_record_over_the_limit_is_passed_over_whole() -> None:
    large = record(http_response(b"x" * 50_000), url="https://tolvane.example/large")
    for data in (members([page(0), large, page(2)]), b"".join([page(0), large, page(2)])):
        items, _ = read(data, ReadLimits(max_record_bytes=10_000))
        assert reasons(items) == ["page", "too_large", "page"]
        assert isinstance(items[1], Unreadable)
        assert items[1].url == "https://tolvane.example/large"


def test_a_gzip_bomb_is_bounded_in_memory() -> None:
    bomb = gzip.compress(record(http_response(bytes(80_000_000))))
    data = members([page(0)]) + bomb + members([page(2)])
    tracemalloc.start()
    items, _ = read(data, ReadLimits(max_record_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(items) == ["page", "decompression_bomb", "page"]
    assert peak < 40_000_000


def test_a_member_that_swells_without_a_record_is_a_bomb() -> None:
    bomb = gzip.compress(b"WARC/1.0\r\nX: " + bytes(80_000_000))
    items, _ = read(members([page(0)]) + bomb + members([page(2)]), ReadLimits(max_record_bytes=1 << 20))
    assert reasons(items)[0] == "page"
    assert reasons(items)[-1] == "page"
    assert set(reasons(items)[1:-1]) <= {"bad_record", "decompression_bomb"}


def test_a_bomb_in_the_content_coding_is_bounded() -> None:
    block = http_response(gzip.compress(bytes(30_000_000)), Content_Encoding="gzip")
    items, _ = read(record(block), ReadLimits(max_page_bytes=1_000_000))
    assert reasons(items) == ["too_large"]


def test_a_page_that_takes_too_long_to_decode_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(body: bytes, coding: str, max_bytes: int) -> Body:
        while b"harbour 1" in body:
            pass
        return decode_content(body, coding, max_bytes)

    monkeypatch.setattr("tasks.warc.reader.decode_content", endless)
    items, _ = read(members([page(0), page(1), page(2)]), ReadLimits(max_decoding_seconds=0.1))
    assert reasons(items) == ["page", "decoding_timeout", "page"]
    assert isinstance(items[1], Unreadable)
    assert items[1].url == "https://tolvane.example/1"
