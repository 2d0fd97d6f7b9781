"""Write WARC files as Common Crawl does: a warcinfo, then request, response and metadata for each page.

Notable: each record is a gzip member of its own whose deflate data is stored, not compressed. Compressors differ
between zlib, zlib-ng and their versions, and a document's id holds its offset; stored blocks give the same bytes
everywhere, and any gzip reader takes them.
"""

import base64
import hashlib
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.web.responses import Response

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_MOST_STORED = 0xFFFF
_AGENT = "SluiceMadeupBot/1.0 (a crawl that never happened)"


@dataclass(frozen=True)
class WarcFile:
    """One WARC file to write."""

    base: str
    """Name without `.warc.gz`."""
    crawl: str
    start: datetime
    """When its first page was fetched, UTC."""
    hours: int
    """How long the fetching took."""


def gzip_member(data: bytes) -> bytes:
    """Return the data as one gzip member with stored blocks (RFC 1951, 3.2.4; RFC 1952)."""
    blocks = []
    for start in range(0, max(len(data), 1), _MOST_STORED):
        block = data[start : start + _MOST_STORED]
        last = start + _MOST_STORED >= len(data)
        size = len(block).to_bytes(2, "little")
        blocks.append(bytes([last]) + size + bytes(b ^ 0xFF for b in size) + block)
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return _GZIP_HEADER + b"".join(blocks) + tail


def sha1_base32(data: bytes) -> str:
    """Return the digest as WARC headers write it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def write_warc(path: Path, file: WarcFile, responses: Sequence[Response], seed: int) -> list[int]:
    """Write the file and return the offset of each response's record."""
    draws = Draws(seed, "warc", file.base)
    offsets = []
    with path.open("wb") as out:
        info_id = _record_id(seed, file.base, "warcinfo")
        out.write(_warcinfo(file, info_id))
        for i, response in enumerate(responses):
            when = file.start + timedelta(seconds=file.hours * 3600 * i // max(1, len(responses)))
            common = [
                ("WARC-Date", when.strftime("%Y-%m-%dT%H:%M:%SZ")),
                ("WARC-Warcinfo-ID", info_id),
                ("WARC-Target-URI", response.url),
            ]
            ids = {kind: _record_id(seed, file.base, i, kind) for kind in ("request", "response", "metadata")}
            address = ("WARC-IP-Address", f"198.51.100.{zlib.crc32(urlsplit(response.url).netloc.encode()) % 254 + 1}")
            out.write(_request(response, [*common, address], ids))
            offsets.append(out.tell())
            out.write(_response(response, [*common, address], ids, when))
            out.write(_metadata([*common], ids, draws))
    return offsets


def _record_id(seed: int, *name: object) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(str(part) for part in ('madeup', seed, *name)))}>"


def _record(kind: str, headers: Sequence[tuple[str, str]], content_type: str, block: bytes) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        *(f"{name}: {value}" for name, value in headers),
        f"WARC-Block-Digest: {sha1_base32(block)}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    return gzip_member("\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n")


def _warcinfo(file: WarcFile, info_id: str) -> bytes:
    fields = {
        "isPartOf": file.crawl,
        "publisher": "Sluice",
        "description": "A made-up web about an invented country. Nothing in it is real.",
        "software": "sluice tasks.madeup",
        "robots": "not crawled",
        "format": "WARC File Format 1.0",
        "conformsTo": "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/",
    }
    block = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"
    headers = [
        ("WARC-Date", file.start.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("WARC-Record-ID", info_id),
        ("WARC-Filename", f"{file.base}.warc.gz"),
    ]
    return _record("warcinfo", headers, "application/warc-fields", block)


def _request(response: Response, common: list[tuple[str, str]], ids: dict[str, str]) -> bytes:
    url = urlsplit(response.url)
    block = (
        f"GET {url.path or '/'} HTTP/1.1\r\nUser-Agent: {_AGENT}\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
        f"Accept-Encoding: br,gzip\r\nHost: {url.netloc}\r\nConnection: Keep-Alive\r\n\r\n"
    ).encode()
    headers = [("WARC-Record-ID", ids["request"]), *common, ("WARC-Payload-Digest", sha1_base32(b""))]
    return _record("request", headers, "application/http; msgtype=request", block)


def _response(response: Response, common: list[tuple[str, str]], ids: dict[str, str], when: datetime) -> bytes:
    date = format_datetime(when, usegmt=True)
    head = f"HTTP/1.1 {response.status}\r\ndate: {date}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in response.headers)
    headers = [
        ("WARC-Record-ID", ids["response"]),
        ("WARC-Concurrent-To", ids["request"]),
        *common,
        ("WARC-Payload-Digest", sha1_base32(response.body)),
        ("WARC-Identified-Payload-Type", response.media_type),
    ]
    if response.truncated:
        headers.append(("WARC-Truncated", response.truncated))
    return _record("response", headers, "application/http; msgtype=response", f"{head}\r\n".encode() + response.body)


def _metadata(common: list[tuple[str, str]], ids: dict[str, str], draws: Draws) -> bytes:
    block = f"fetchTimeMs: {draws.between(40, 900)}\r\n\r\n".encode()
    headers = [("WARC-Record-ID", ids["metadata"]), ("WARC-Concurrent-To", ids["response"]), *common]
    return _record("metadata", headers, "application/warc-fields", block)
