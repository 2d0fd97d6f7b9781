"""Reading WARC files: what a page is, what damage costs, and that nothing disappears."""

import gzip
import io
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.errors import PermanentError
from tasks.warc.http_payload import Body, decode_content
from tasks.warc.reader import Page, ReadLimits, RecordCounts, Unreadable, read_pages
from tests.tasks.warc_builder import HTML, crawl, http_response, members, page, record, sha1

LIMITS = ReadLimits()
GZIPPED = gzip.compress(HTML, mtime=0)


def read(
    data: bytes, limits: ReadLimits = LIMITS, allow_clipped_end: bool = False
) -> tuple[list[Page | Unreadable], RecordCounts]:
    counts = RecordCounts()
    items = list(read_pages(io.BytesIO(data), limits, allow_clipped_end=allow_clipped_end, counts=counts))
    assert counts.pages == sum(isinstance(item, Page) for item in items)
    assert counts.unreadable == sum(isinstance(item, Unreadable) for item in items)
    offsets = [item.offset for item in items]
    assert offsets == sorted(set(offsets)), "offsets are ids: each once, in order"
    return items, counts


def pages_of(data: bytes) -> list[Page]:
    items, _ = read(data)
    assert all(isinstance(item, Page) for item in items), items
    return [item for item in items if isinstance(item, Page)]


def one_page(block: bytes, **extra: str) -> Page:
    [found] = pages_of(record(block, **extra))
    return found


def reasons(items: list[Page | Unreadable]) -> list[str]:
    return [item.reason if isinstance(item, Unreadable) else "page" for item in items]


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


def test_a_damaged_member_costs_only_itself() -> None:
    records = crawl(4)
    packed = [gzip.compress(one, mtime=0) for one in records]
    damaged = bytearray(packed[5])
    damaged[len(damaged) // 2] ^= 0x10
    items, counts = read(b"".join([*packed[:5], bytes(damaged), *packed[6:]]))
    assert reasons(items) == ["page", "damaged_gzip", "page", "page"]
    assert items[1].offset == sum(map(len, packed[:5]))
    assert counts.others["request"] == 4


def test_of_a_damaged_member_the_records_before_the_last_are_believed_if_their_digests_agree() -> None:
    lone = bytearray(gzip.compress(page(1)))
    lone[-8] ^= 1  # the checksum alone: but the damage might as well be in the headers
    assert reasons(read(members([page(0)]) + bytes(lone) + members([page(2)]))[0]) == ["page", "damaged_gzip", "page"]
    shared = bytearray(gzip.compress(page(1) + page(2, WARC_Payload_Digest="") + page(3) + page(4)))
    shared[-8] ^= 1
    items, _ = read(members([page(0)]) + bytes(shared))
    assert reasons(items) == ["page", "page", "damaged_gzip", "page", "damaged_gzip"]


@pytest.mark.parametrize("size", [3_000_000, 4_200_000, 9_000_000, 30_000_000])
def test_after_a_member_that_comes_in_pieces_the_next_is_found_where_it_begins(size: int) -> None:
    long = record(http_response(b"<p>" * (size // 3)), url="https://tolvane.example/long")
    data = members([page(0), long, *map(page, range(2, 400))])
    items, _ = read(data)
    assert reasons(items) == ["page"] * 400
    assert items[2].offset == len(members([page(0), long]))


def test_a_long_member_that_lies_and_is_damaged_is_told_twice_at_two_places() -> None:
    """The lie shows in its first megabytes, the damage at its end; each is a decision with an id of its own."""
    lying = record(http_response(), Content_Length="10").rstrip() + b"and more of it " * 500_000
    member = bytearray(gzip.compress(lying))
    member[-8] ^= 1
    items, _ = read(members([page(0)]) + bytes(member) + members([page(2)]))
    assert reasons(items) == ["page", "wrong_length", "damaged_gzip", "page"]
    assert items[2].offset == items[1].offset + 1


def test_a_member_that_breaks_off_inside_the_file_hides_none_of_the_next() -> None:
    packed = [gzip.compress(one) for one in (page(0), page(1), page(2))]
    items, _ = read(packed[0] + packed[1][:100] + packed[2])
    assert reasons(items) == ["page", "damaged_gzip", "page"]


def test_junk_between_members_and_before_the_first_is_told() -> None:
    packed = members([page(0)])
    assert reasons(read(packed + b"some junk here" + packed)[0]) == ["page", "junk", "page"]
    assert reasons(read(b"some junk here" + packed)[0]) == ["junk", "page"]
    assert reasons(read(packed + bytes(512))[0]) == ["page"], "zero padding is no junk"


@pytest.mark.parametrize("pack", [members, b"".join], ids=["gzip", "plain"])
def test_a_length_that_lies_costs_only_its_record(pack: type) -> None:
    for length in (10, 10_000_000):
        wrong = record(http_response(), Content_Length=str(length))
        items, _ = read(pack([page(0), wrong, page(2)]), allow_clipped_end=True)
        assert reasons(items) == ["page", "wrong_length", "page"]


def one_member(records: list[bytes]) -> bytes:
    """An archive that is a single gzip member."""
    return gzip.compress(b"".join(records))


def too_long(kind: str, excess: int) -> bytes:
    """A record that says it is longer than it is."""
    block = http_response() + b"and more of it" * 10
    return record(block, kind, Content_Length=str(len(block) + excess))


@pytest.mark.parametrize("pack", [members, b"".join, one_member])
@pytest.mark.parametrize("kind", ["response", "request"])
@pytest.mark.parametrize("excess", [5, 60, 500, 10_000_000])
def test_a_length_that_lies_swallows_nothing(pack: Callable[[list[bytes]], bytes], kind: str, excess: int) -> None:
    """Whatever type the record is of, and however the archive is packed."""
    items, counts = read(pack([page(0), too_long(kind, excess), page(2), page(3)]))
    assert reasons(items) == ["page", "wrong_length", "page", "page"]
    assert not counts.others


def test_a_length_beyond_all_limits_swallows_no_more_than_its_gzip_member() -> None:
    for kind, reason in (("response", "too_large"), ("request", "wrong_length")):
        records = [page(0), too_long(kind, 10**12), page(2)]
        assert reasons(read(members(records))[0]) == ["page", reason, "page"]
        assert reasons(read(b"".join(records))[0]) == ["page", "wrong_length", "page"]
    assert reasons(read(one_member([page(0), too_long("response", 10**12), page(2)]))[0]) == ["page", "too_large"]
    assert reasons(read(one_member([page(0), too_long("request", 10**12), page(2)]))[0]) == ["page", "clipped"]


def test_a_record_torn_in_an_uncompressed_archive_costs_only_itself() -> None:
    """Its head is not mixed with the next one's, wherever it is torn."""
    whole = page(1)
    for end in range(10, len(whole) - 4, 7):
        items, _ = read(page(0) + whole[:end] + page(2) + page(3))
        assert reasons(items)[0::3] == ["page", "page"], end
        assert [item.url for item in items if isinstance(item, Page)][1:] == [
            "https://tolvane.example/2",
            "https://tolvane.example/3",
        ]


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


def test_a_head_without_length_costs_only_its_record() -> None:
    wrong = record(http_response()).replace(b"Content-Length", b"Content-Lenght")
    assert reasons(read(members([page(0), wrong, page(2)]))[0]) == ["page", "bad_record", "page"]
    assert reasons(read(b"".join([page(0), wrong, page(2)]))[0]) == ["page", "bad_record", "page"]


@pytest.mark.parametrize("cut", [20, 150, 320])
def test_a_clipped_end_is_counted_where_it_is_allowed_and_told_where_it_is_not(cut: int) -> None:
    for data in (members([page(0), page(1)]), page(0) + page(1)):
        clipped = data[: len(data) - cut]
        items, counts = read(clipped, allow_clipped_end=True)
        assert (reasons(items), counts.clipped) == (["page"], 1)
        [_, last], counts = read(clipped)
        assert counts.clipped == 0
        if isinstance(last, Page):
            assert (last.truncated, last.digest_ok) == ("clipped", None)
            assert last.payload
        else:
            assert last.reason == "clipped"


def test_every_prefix_of_a_file_gives_the_same_first_pages() -> None:
    data = members(crawl(3))
    whole, _ = read(data)
    for end in range(2, len(data), 37):
        items, counts = read(data[:end], allow_clipped_end=True)
        assert items == whole[: len(items)]
        assert counts.clipped <= 1


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


MUTATED = members(crawl(4))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(MUTATED) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, len(MUTATED)),
)
def test_a_mutated_archive_never_raises_and_loses_no_more_than_what_was_hit(
    changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(MUTATED)
    for position, value in changes:
        data[position] = value
    whole = {item.offset: item for item in read(MUTATED)[0]}
    items, _ = read(bytes(data))
    same = [item for item in items if item == whole.get(item.offset)]
    assert len(same) >= len(whole) - len(changes)
    if cut > 2000:
        read(bytes(data[:cut]), allow_clipped_end=True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mutated_uncompressed_archive_never_raises(data: st.DataObject) -> None:
    plain = bytearray(b"".join(crawl(3)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(200, len(plain) - 1))
        plain[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
    read(bytes(plain), allow_clipped_end=True)
