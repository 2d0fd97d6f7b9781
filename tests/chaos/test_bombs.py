"""Small files that inflate, and pages made to be slow: each through the real extract stage, in a worker's process.

Whatever is in it, the record ends as a document or a decision, the pages around it come out, and the worker has used no
more processor time and memory than is said here.
"""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from tests.chaos.extract_jobs import extract, place
from tests.tasks.warc_builder import http_response, members, page, record

PAGE_SECONDS = 2.0
MARGIN_SECONDS = 4.0
"""For decoding, which has as much again, for C code that a deadline waits for, and for all the rest of the part."""
MEMORY_BYTES = 512 << 20
"""Of the whole worker, of which its imports take some 110 MB."""
ZEROS = bytes(150_000_000)


def sent(body: bytes, **headers: str) -> bytes:
    """A response with this body, as a gzip member."""
    return gzip.compress(record(http_response(body, **headers)), 1)


def html(markup: bytes) -> bytes:
    """A page of this markup, as a gzip member."""
    return sent(b"<!DOCTYPE html><html><head><title>Tolvane</title></head><body>" + markup)


def zipped_twice() -> bytes:
    """A gzip file within a gzip file: 650 bytes that unpack to 150 MB."""
    return gzip.compress(gzip.compress(ZEROS, 9), 9)


SWELLING: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip member": (lambda: gzip.compress(record(http_response(ZEROS)), 9), "too_large"),
    "gzip member that holds no record": (lambda: gzip.compress(b"WARC/1.0\r\nX: " + ZEROS, 9), "bad_record"),
    "gzip": (lambda: sent(gzip.compress(ZEROS, 9), Content_Encoding="gzip"), "too_large"),
    "gzip in gzip": (lambda: sent(zipped_twice(), Content_Encoding="gzip, gzip"), "too_large"),
    "gzip in chunks": (
        lambda: sent(
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed := gzip.compress(ZEROS, 9)), packed),
            Content_Encoding="gzip",
            Transfer_Encoding="chunked",
        ),
        "too_large",
    ),
    "deflate": (lambda: sent(zlib.compress(ZEROS, 9), Content_Encoding="deflate"), "too_large"),
    "brotli": (lambda: sent(brotli.compress(ZEROS, quality=1), Content_Encoding="br"), "too_large"),
    "brotli in gzip": (
        lambda: sent(gzip.compress(brotli.compress(ZEROS, quality=1)), Content_Encoding="br, gzip"),
        "too_large",
    ),
    "empty gzip members": (lambda: sent(gzip.compress(b"") * 500_000, Content_Encoding="gzip"), "truncated"),
    "a hundred thousand codings": (
        lambda: sent(b"\x1f\x8b" + bytes(1000), Content_Encoding=",".join(["gzip"] * 100_000)),
        "bad_body",
    ),
    "chunks of a byte": (lambda: sent(b"1\r\na\r\n" * 8_000_000, Transfer_Encoding="chunked"), "decoding_timeout"),
    "white space for a chunk's size": (
        lambda: sent(b"1" + b" " * 10_000_000 + b"a\r\na\r\n", Transfer_Encoding="chunked"),
        "not_html",
    ),
    "lines of an HTTP head": (
        lambda: gzip.compress(record(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 8_000_000), 1),
        "bad_body",
    ),
    "a page over all limits": (lambda: html(b"a" * 60_000_000), "too_large"),
}
"""What is sent, and one of the reasons that it must end with."""

SLOW: dict[str, Callable[[], bytes]] = {
    "nested div": lambda: html(b"<div>" * 100_000 + b"text"),
    "nested formatting": lambda: html(b"<p><b><i><u>" * 300_000),
    "nested tables": lambda: html(b"<table><tr><td>x" * 20_000),
    "nested lists": lambda: html(b"<ul><li>item text here" * 24_000),
    "nested lists with classes": lambda: html(b'<ul class="menu"><li class="item">x' * 12_000),
    "nests side by side": lambda: html((b"<div>" * 200 + b"text" + b"</div>" * 200) * 240),
    "an attribute of 5 MB": lambda: html(b'<p class="' + b"x " * 2_500_000 + b'">text</p>'),
    "300,000 attributes": lambda: html(b"<p " + b" ".join(b"a%d=1" % i for i in range(300_000)) + b">text</p>"),
    "a million attributes": lambda: html((b"<p " + b" ".join(b"a%d=1" % i for i in range(1000)) + b">") * 1000),
    "3 million elements": lambda: html(b"<p>" * 3_000_000),
    "a table of 48,000 cells": lambda: html(b"<table>" + (b"<tr>" + b"<td>cell text" * 30) * 1_550 + b"</table>"),
    "49,000 paragraphs": lambda: html(b"<article>" + b"<p>A paragraph with some text in it, and a comma.</p>" * 49_000),
    "49,000 links": lambda: html(b'<a href="/x">link text</a> ' * 49_000),
    "49,000 images": lambda: html(b'<img src="a.png" alt="a harbour">' * 49_000),
    "entities": lambda: html(b"<p>" + b"&amp;" * 1_900_000),
    "entities that there are not": lambda: html(b"<p>" + b"&#xffffffffff;&nosuch;" * 450_000),
    "entities defined by the page": lambda: html(b'<!DOCTYPE a [<!ENTITY a "&b;&b;"><!ENTITY b "&a;">]>&a;' * 100_000),
    "comments": lambda: html(b"<!-->" * 1_900_000),
    "comments without end": lambda: html(b"<!--" * 2_400_000),
    "angle brackets": lambda: html(b"<" * 9_900_000),
    "a word of 10 MB": lambda: html(b"<p>" + b"x" * 9_900_000),
    "a line of 2 million words": lambda: html(b"<p>" + b"word " * 1_900_000),
    "5 million lines": lambda: html(b"<p>" + b"x\n" * 4_900_000),
    "a script without end": lambda: html(b"<script>" + b"<p>" * 3_000_000),
    "brackets of JSON": lambda: html(b'<script type="application/ld+json">' + b"[" * 4_000_000 + b"</script>"),
    "dates": lambda: html(b"<p>" + b"2020-01-01 " * 900_000),
}


def check_bounded(bomb: bytes, folder: Path) -> list[str]:
    """Extract the bomb between two good pages; its reasons, empty where it became a document."""
    first = members([page(0)])
    place(folder).write_bytes(first + bomb + members([page(2)]))
    extracted = extract(folder, max_page_seconds=PAGE_SECONDS)
    good = (0, len(first) + len(bomb))
    assert [place in {int(row["id"].rpartition(":")[2]) for row in extracted.documents} for place in good] == [True] * 2
    found = [row for row, offset in zip(extracted.decisions, extracted.offsets(), strict=True) if offset not in good]
    assert found, "it ends as a document or a decision"
    cost = extracted.cost
    assert cost.seconds < PAGE_SECONDS + MARGIN_SECONDS
    assert cost.peak_bytes < MEMORY_BYTES
    print(f"{cost.seconds:.1f} s, {cost.peak_bytes >> 20} MiB", end=" ")
    return [reason for row in found for reason in row["reasons"]]


@pytest.mark.parametrize("name", SWELLING)
def test_what_swells_is_bounded(name: str, tmp_path: Path) -> None:
    make, reason = SWELLING[name]
    assert reason in check_bounded(make(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_pages_made_to_be_slow_are_bounded(name: str, tmp_path: Path) -> None:
    assert set(check_bounded(SLOW[name](), tmp_path)) <= {"too_large", "no_text", "extractor_timeout", "not_html"}
