"""Small WARC files for tests: records in bytes, one gzip member each unless the test says otherwise."""

import base64
import gzip
import hashlib
from collections.abc import Iterable

HTML = b"<html><head><title>Tolvane</title></head><body><p>The harbour of Tolvane.</p></body></html>"


def http_response(body: bytes = HTML, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP response; underscores in header names stand for hyphens."""
    fields = {"Content_Type": "text/html; charset=utf-8", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def sha1(payload: bytes) -> str:
    """A payload digest as Common Crawl writes it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(payload, usedforsecurity=False).digest()).decode()


def record(block: bytes, kind: str = "response", url: str = "https://tolvane.example/", **extra: str) -> bytes:
    """A WARC record; underscores in header names stand for hyphens."""
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:00000000-0000-4000-8000-000000000001>",
        "WARC-Date": "2026-11-07T02:55:31Z",
        "WARC-Target-URI": url,
        "Content-Type": f"application/http; msgtype={kind}",
        "Content-Length": str(len(block)),
        **{name.replace("_", "-"): value for name, value in extra.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"WARC/1.0\r\n{head}\r\n".encode() + block + b"\r\n\r\n"


def page(number: int, **extra: str) -> bytes:
    """A response record that differs from others by its number."""
    body = HTML.replace(b"harbour", b"harbour %d" % number) + bytes(str(number * 7919), "ascii") * 40
    digest = {"WARC_Payload_Digest": sha1(body)} | extra
    return record(http_response(body), url=f"https://tolvane.example/{number}", **digest)


def members(records: Iterable[bytes]) -> bytes:
    """The records, a gzip member each."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)


def crawl(pages: int) -> list[bytes]:
    """A warcinfo record, then request, response and metadata for each page, as Common Crawl writes them."""
    records = [record(b"software: test\r\n", "warcinfo", "")]
    for number in range(pages):
        url = f"https://tolvane.example/{number}"
        records += [record(b"GET / HTTP/1.1\r\n\r\n", "request", url), page(number)]
        records.append(record(b"fetchTimeMs: 1\r\n", "metadata", url))
    return records
