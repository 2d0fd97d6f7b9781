"""Chunks, content codings and digests, well-formed, lying and broken off."""

import base64
import gzip
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.warc.http_payload import UndecodableBodyError, decode_content, digest_agrees, join_chunks

HTML = b"<html><body>" + b"The ferry of Tolvane. " * 50
LIMIT = 1 << 20
BROTLI_HTML = bytes.fromhex("1b5704f84527477aa08c0e12bc05adb6a0ad24a4900ab304604cea62c4133e5308ed3e26c0a9f39601")
BROTLI_ZEROS = bytes.fromhex("5b9f86817f02201e0b04b2fc0200")  # 100,000 of them


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@given(st.binary(min_size=1, max_size=300), st.integers(1, 64))
def test_chunks_are_joined(body: bytes, size: int) -> None:
    assert join_chunks(chunked(body, size)) == (body, True)


@pytest.mark.parametrize(
    ("stored", "body", "complete"),
    [
        (b"5;name=x\r\nhello\r\n0\r\n\r\n", b"hello", True),
        (b"5\nhello\n0\n\n", b"hello", True),
        (b"5\r\nhello\r\n9\r\nwor", b"hellowor", False),
        (b"5\r\nhello\r\n", b"hello", False),
        (b"5\r\nhello\r\nZZ\r\n", b"hello", False),
        (b"<html>no chunks", b"<html>no chunks", True),
        (b"", b"", True),
    ],
)
def test_chunks_that_break_off_give_what_was_there(stored: bytes, body: bytes, complete: bool) -> None:
    assert join_chunks(stored) == (body, complete)


def raw_deflate(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


@pytest.mark.parametrize(
    ("coding", "stored"),
    [
        ("gzip", gzip.compress(HTML, mtime=0)),
        ("X-GZIP", gzip.compress(HTML, mtime=0)),
        ("gzip", gzip.compress(HTML[:100], mtime=0) + gzip.compress(HTML[100:], mtime=0)),
        ("deflate", zlib.compress(HTML)),
        ("deflate", raw_deflate(HTML)),
        ("br", BROTLI_HTML),
        ("br, gzip", gzip.compress(BROTLI_HTML, mtime=0)),
        ("identity", HTML),
        ("", HTML),
        ("gzip", HTML),  # decoded by the crawler, the header kept
        ("br", HTML),
        ("deflate", HTML),
        ("ISO-8859-1", HTML),
        ("gzip, windows-1252", HTML),
        ("utf-8, gzip", gzip.compress(HTML, mtime=0)),
        ("GZIP;q=1.0", gzip.compress(HTML, mtime=0)),
        ("br", gzip.compress(HTML, mtime=0)),
        ("deflate", gzip.compress(HTML, mtime=0)),
        ("aws-chunked", HTML),
        ("br", b"Welcome! " + HTML),
        ("zstd", b"Welcome! " + HTML),
        ("deflate", b"Welcome! " + HTML),
        ("none, unicode", b"Welcome! " + HTML),
    ],
)
def test_content_is_decoded_as_far_as_it_is_coded(coding: str, stored: bytes) -> None:
    body = decode_content(stored, coding, LIMIT)
    assert (body.data.removeprefix(b"Welcome! "), body.complete, body.too_large) == (HTML, True, False)


def test_a_coded_body_that_breaks_off_gives_its_beginning() -> None:
    body = decode_content(gzip.compress(HTML, mtime=0)[:-30], "gzip", LIMIT)
    assert HTML.startswith(body.data)
    assert body.data
    assert not body.complete


ZEROS = bytes(100_000)


@pytest.mark.parametrize(
    ("coding", "stored"),
    [("gzip", gzip.compress(ZEROS, mtime=0)), ("deflate", zlib.compress(ZEROS)), ("br", BROTLI_ZEROS)],
)
def test_a_body_over_the_limit_is_cut_and_said_so(coding: str, stored: bytes) -> None:
    body = decode_content(stored, coding, 1000)
    assert (len(body.data), body.too_large) == (1000, True)


@pytest.mark.parametrize(("coding", "stored"), [("rot13", b"abc"), ("br", b"\xff\xff\xff"), ("deflate", b"\xff\xff")])
def test_what_cannot_be_decoded_is_refused(coding: str, stored: bytes) -> None:
    with pytest.raises(UndecodableBodyError):
        decode_content(stored, coding, LIMIT)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, deflate", "?"]))
def test_any_body_is_decoded_or_refused(stored: bytes, coding: str) -> None:
    try:
        assert len(decode_content(stored, coding, 100).data) <= 100
    except UndecodableBodyError as error:
        assert str(error)


def test_digests_are_read_in_every_writing() -> None:
    sha1 = hashlib.sha1(HTML).digest()
    sha256 = hashlib.sha256(HTML).digest()
    for written in (
        "sha1:" + base64.b32encode(sha1).decode(),
        "SHA-1:" + sha1.hex(),
        "sha1:" + base64.b64encode(sha1).decode(),
        "sha256:" + sha256.hex().upper(),
        "sha256:" + base64.b32encode(sha256).decode().rstrip("="),
        "md5:" + hashlib.md5(HTML).hexdigest(),
    ):
        assert digest_agrees(written, b"other", HTML) is True, written
        assert digest_agrees(written, b"other") is False, written


@pytest.mark.parametrize(
    ("digest", "decision"), [("crc32:1234", None), ("", None), ("sha1:??", False), ("sha1:", False)]
)
def test_digests_that_cannot_be_checked(digest: str, decision: bool | None) -> None:
    assert digest_agrees(digest, HTML) is decision
