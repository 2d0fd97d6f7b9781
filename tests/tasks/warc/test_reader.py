"""Reading WARC files: what a page is, and what else is in a file."""

import gzip
import io
import zlib
from datetime import UTC, datetime
from itertools import accumulate

import pytest

from tasks.base.errors import PermanentError
from tasks.warc.reader import Page, ReadLimits, Unreadable, read_pages
from tests.tasks.warc.reading import LIMITS, one_page, pages_of, read, reasons
from tests.tasks.warc_builder import HTML, crawl, http_response, members, page, record, sha1

GZIPPED = gzip.compress(HTML, mtime=0)


def test_a_page_is_all_that_its_record_says() -> None:
    found = one_page(
        http_response(),
        url="<https://tolvane.example/x>",
        WARC_Payload_Digest=sha1(HTML),
        WARC_Identified_Payload_Type="text/html",
        WARC_Truncated="length",
    )
    assert found == Page(
        offset=0,
        record_id="<urn:uuid:00000000-0000-4000-8000-000000000001>",
        url="https://tolvane.example/x",
        date=datetime(2026, 11, 7, 2, 55, 31, tzinfo=UTC),
        http_status=200,
        content_type="text/html; charset=utf-8",
        identified_type="text/html",
        truncated="length",
        payload=HTML,
        digest_ok=True,
    )


def test_offsets_are_those_of_the_gzip_members_and_other_records_are_counted() -> None:
    records = crawl(5)
    starts = [0, *accumulate(len(gzip.compress(one, mtime=0)) for one in records)]
    items, counts = read(members(records))
    assert [item.offset for item in items] == starts[2:-1:3]
    assert counts.others == {"warcinfo": 1, "request": 5, "metadata": 5}
    for item in items:
        assert isinstance(item, Page)
        member = zlib.decompressobj(31).decompress(members(records)[item.offset :])
        assert item.url.encode() in member


def test_an_uncompressed_file_gives_the_same_pages_at_its_own_offsets() -> None:
    records = crawl(5)
    plain, packed = pages_of(b"".join(records)), pages_of(members(records))
    assert [found.payload for found in plain] == [found.payload for found in packed]
    assert [found.offset for found in plain] == [0, *accumulate(map(len, records))][2:-1:3]


def test_records_that_share_one_member_have_offsets_of_their_own() -> None:
    items, _ = read(gzip.compress(b"".join(crawl(3))))
    assert [item.offset for item in items] == [2, 5, 8]


def test_a_record_may_span_members() -> None:
    whole = page(1)
    [found] = pages_of(gzip.compress(whole[:200]) + gzip.compress(whole[200:]))
    assert found.digest_ok


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-07T02:55:31.123456Z", datetime(2026, 11, 7, 2, 55, 31, tzinfo=UTC)),
        ("2026-11-07T02:55:31+02:00", datetime(2026, 11, 7, 0, 55, 31, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_utc_to_the_second_or_nothing(date: str, expected: datetime | None) -> None:
    assert one_page(http_response(), WARC_Date=date).date == expected


def test_a_response_that_is_no_http_is_a_page_without_status() -> None:
    found = one_page(b"20130411 dns answer", url="dns:tolvane.example")
    assert (found.http_status, found.content_type, found.payload) == (None, "", b"20130411 dns answer")


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_header_names_and_line_ends_are_read_as_written(newline: bytes) -> None:
    block = b"HTTP/1.0 404 Not Found\r\ncontent-TYPE: text/html\r\n\r\nbody".replace(b"\r\n", newline)
    head = b"WARC/1.1\r\nwarc-type: Response\r\ncontent-length: %d\r\n\r\n" % len(block)
    [found] = pages_of(head.replace(b"\r\n", newline) + block)
    assert (found.http_status, found.content_type, found.payload) == (404, "text/html", b"body")


def test_a_digest_is_checked_against_the_body_as_stored_or_decoded() -> None:
    packed = gzip.compress(HTML)
    for digest, decision in ((sha1(packed), True), (sha1(HTML), True), (sha1(b"else"), False), ("", None)):
        found = one_page(http_response(packed, Content_Encoding="gzip"), WARC_Payload_Digest=digest)
        assert found.payload == HTML
        assert found.digest_ok is decision


def test_a_blank_line_too_many_is_no_part_of_the_page() -> None:
    for body, coding in ((HTML, {}), (gzip.compress(HTML), {"Content_Encoding": "gzip"})):
        found = one_page(http_response(b"\r\n" + body, **coding), WARC_Payload_Digest=sha1(body))
        assert (found.payload, found.digest_ok) == (HTML, True)
    found = one_page(http_response(b"\r\n" + HTML), WARC_Payload_Digest=sha1(b"\r\n" + HTML))
    assert (found.payload, found.digest_ok) == (b"\r\n" + HTML, True)


@pytest.mark.parametrize(("size", "truncated"), [(1 << 20, "length"), ((1 << 20) - 1, None), ((1 << 20) + 1, None)])
def test_a_payload_cut_at_one_mebibyte_is_truncated(size: int, truncated: str | None) -> None:
    assert one_page(http_response(b"x" * size)).truncated == truncated


def test_the_final_response_after_interim_ones_is_the_page() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    found = one_page(interim + http_response(), WARC_Payload_Digest=sha1(HTML))
    assert (found.http_status, found.payload, found.digest_ok) == (200, HTML, True)
    assert one_page(b"HTTP/1.1 100 Continue\r\n\r\n").http_status == 100


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"http/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", HTML),
        (b"HTTP/2 200\r\ncontent-type: text/html\r\n\r\n", HTML),
        (b"HTTP 200 OK\r\nContent-Type: text/html\r\n\r\n", HTML),
        (b"ICY 200 OK\r\nContent-Type: text/html\r\n\r\n", HTML),
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", HTML),
        (b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n", HTML),
        (b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/html\r\n\r\n", HTML),
        (b"HTTP/1.1 200 OK\r\nCONTENT-TYPE : text/html\r\n\r\n", HTML),
        (b"HTTP/1.1 104 Upload\n\n" * 4 + b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n", HTML),
        (
            b"HTTP/1.1 200 OK\nContent-Type: text/html\nTransfer-Encoding: gzip\nTransfer-Encoding: Chunked\n\n",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: utf-8\r\nContent-Encoding: gzip\r\n\r\n",
            GZIPPED,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: x-gzip\r\n\r\n", GZIPPED),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: deflate\r\n\r\n", zlib.compress(HTML)),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: identity\r\n\r\n", HTML),
    ],
)
def test_a_head_is_read_as_browsers_read_it(head: bytes, body: bytes) -> None:
    found = one_page(head + body)
    assert (found.http_status, found.content_type, found.payload, found.truncated) == (200, "text/html", HTML, None)


def test_repeated_content_types_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/html; charset=euc-kr\r\n\r\n"
    assert one_page(head + HTML).content_type == "text/plain, text/html; charset=euc-kr"


def test_a_block_without_a_head_is_a_body() -> None:
    for block in (HTML, b"HTTP is a protocol.", b"ICYMI 200 things"):
        found = one_page(block)
        assert (found.http_status, found.content_type, found.payload) == (None, "", block)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        (f"https://tolvane.example/{'a' * 8000}", "the address has 8,024 characters"),
        (f"https://{'a.' * 150}example/", "a host of 307 characters"),
        (f"https://{'a' * 100_000}/", "the address has 100,009 characters"),
    ],
)
def test_an_address_that_no_page_has_is_a_bad_record(url: str, detail: str) -> None:
    (found,) = read_pages(io.BytesIO(record(http_response(), url=url)), ReadLimits())
    assert isinstance(found, Unreadable)
    assert found.reason == "bad_record" and detail in found.detail
    assert found.url == (url if len(url) <= 8000 else None)


def test_clueweb09_has_its_dates_and_no_digest_to_compare() -> None:
    trec = {"WARC_TREC_ID": "clueweb09-en0000-00-00000", "WARC_Payload_Digest": sha1(b"as it was")}
    found = one_page(http_response(), WARC_Date="2009-03-65T08:43:19-0800", **trec)
    assert (found.date, found.digest_ok) == (datetime(2009, 3, 6, 16, 43, 19, tzinfo=UTC), None)
    for date in ("2009-03-367T08:43:19-0800", "2009-03-65"):
        assert one_page(http_response(), WARC_Date=date).date is None


def test_a_transfer_coding_within_chunks_is_undone() -> None:
    packed = gzip.compress(HTML)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    assert one_page(http_response(chunks, Transfer_Encoding="gzip, chunked")).payload == HTML
    assert one_page(http_response(HTML, Transfer_Encoding="gzip, chunked")).payload == HTML
    twice = gzip.compress(packed)
    assert one_page(http_response(twice, Transfer_Encoding="gzip", Content_Encoding="gzip")).payload == HTML


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "an empty file"),
        (b"<html><head><title>503 Slow Down</title>", "HTML or XML page that begins with: '503 Slow Down'"),
        (
            gzip.compress(b"<html><title>404</title>", mtime=0),
            "inside gzip, an HTML or XML page.*: '404'",
        ),
        (b"PK\x03\x04 and so on", "a zip file"),
        (b"filedesc://a.arc 0.0.0.0 20080101000000 text/plain 77\n", "an ARC file"),
        (
            gzip.compress(b"filedesc://a.arc 0.0.0.0 20080101000000 text/plain 77\n", mtime=0),
            "inside gzip, an ARC file",
        ),
        (b'{"error": 1}', "text that begins with: '{\"error\": 1}'"),
        (bytes(range(200)), "bytes that begin"),
        (b"\x1f\x8b\x08 and no deflate", "no record could be found"),
    ],
)
def test_a_file_that_is_no_warc_is_refused_by_name(data: bytes, named: str) -> None:
    with pytest.raises(PermanentError, match=named):
        read(data)


def test_an_unknown_content_coding_is_a_bad_body() -> None:
    items, _ = read(record(http_response(b"abc", Content_Encoding="rot13")) + page(2))
    assert reasons(items) == ["bad_body", "page"]
    assert isinstance(items[0], Unreadable)
    assert items[0].url == "https://tolvane.example/"


def test_each_record_is_told_before_it_is_decoded_and_can_be_declined() -> None:
    """A declined record is not decoded: a body that cannot be is never noticed."""
    broken = record(http_response(b"abc", Content_Encoding="rot13"), url="https://tolvane.example/broken")
    data = members([page(0), broken, page(2)])
    offsets = [item.offset for item in read(data)[0]]
    told: list[int] = []

    def starting(offset: int) -> str | None:
        told.append(offset)
        return "poison" if offset == offsets[1] else None

    items: list[Page | Unreadable] = []
    for number, item in enumerate(read_pages(io.BytesIO(data), LIMITS, starting=starting)):
        assert told == offsets[: number + 1]
        items.append(item)
    assert reasons(items) == ["page", "poison", "page"]
    assert isinstance(items[1], Unreadable)
    assert (items[1].offset, items[1].url) == (offsets[1], "https://tolvane.example/broken")
