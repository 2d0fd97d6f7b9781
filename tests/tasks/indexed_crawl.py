"""A small crawl with a columnar index, in Common Crawl's layout: request, response and metadata records by turns."""

import base64
import gzip
import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from tests.tasks.crawl_mirror import CRAWL, warc_path

HOSTS = (
    "www.example.de",
    "blog.example.org",
    "example.org",
    "notexample.org",
    "shop.example.com:8080",
    "www.xn--bcher-kva.de",
)
LANGUAGES = ("deu", "eng,deu", "fra", "eng", None)
NOUNS = (
    *("keeper", "river", "garden", "teacher", "window", "harbour", "letter"),
    *("winter", "village", "basket", "doctor", "morning", "ladder", "bridge"),
)
MIMES = ("text/html", "text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class IndexedPage:
    """A response record, as the index describes it."""

    url: str
    languages: str | None
    mime: str
    warc: str
    offset: int
    length: int

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def id(self) -> str:
        return f"{Path(self.warc).name.removesuffix('.warc.gz')}:{self.offset}"


def write_indexed_crawl(
    root: Path, warcs: int = 3, pages_per_warc: int = 12, index_files: int = 2, compression: str = "gzip"
) -> list[IndexedPage]:
    """Write WARC files, listings and index under `root`; gives the pages in the index's order."""
    draw = random.Random(4)
    pages = [page for warc in range(warcs) for page in _write_warc(root, warc_path(warc), pages_per_warc, draw)]
    pages.sort(key=lambda page: surt(page.url))
    share = -(-len(pages) // index_files)
    paths = []
    for number in range(index_files):
        paths.append(f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-{number:05d}.gz.parquet")
        write_index(root / paths[-1], pages[number * share : (number + 1) * share], compression=compression)
    others = [paths[0].replace("subset=warc", "subset=robotstxt")]
    write_listing(root / "crawl-data" / CRAWL / "cc-index-table.paths.gz", others + paths)
    write_listing(root / "crawl-data" / CRAWL / "warc.paths.gz", [warc_path(number) for number in range(warcs)])
    (root / "collinfo.json").write_text(json.dumps([{"id": CRAWL}]))
    return pages


def write_index(path: Path, pages: list[IndexedPage], compression: str = "gzip", **changed: pa.Array | None) -> None:
    """One file of the index; `changed` replaces a column, or leaves it out (None)."""
    columns = {
        "url_surtkey": pa.array([surt(page.url) for page in pages]),
        "url": pa.array([page.url for page in pages]),
        "url_host_name": pa.array([page.host for page in pages]),
        "url_host_tld": pa.array([page.host.rpartition(".")[2] for page in pages]),
        "fetch_status": pa.array([200] * len(pages), pa.int16()),
        "content_mime_detected": pa.array([page.mime for page in pages]),
        "content_languages": pa.array([page.languages for page in pages], pa.string()),
        "warc_filename": pa.array([page.warc for page in pages]),
        "warc_record_offset": pa.array([page.offset for page in pages], pa.int32()),
        "warc_record_length": pa.array([page.length for page in pages], pa.int32()),
    }
    columns = {name: column for name, column in (columns | changed).items() if column is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=5, compression=compression)


def write_listing(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def surt(url: str) -> str:
    """The key by which Common Crawl sorts: the host's labels from the end, a leading www left out."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").removeprefix("www.").split(".")
    port = f":{parts.port}" if parts.port else ""
    return f"{','.join(reversed(labels))}{port}){parts.path}"


def _write_warc(root: Path, path: str, count: int, draw: random.Random) -> list[IndexedPage]:
    content = gzip.compress(_record("warcinfo", "", b"software: test\r\n"), mtime=0)
    pages = []
    for number in range(count):
        url = f"https://{draw.choice(HOSTS)}/{Path(path).name[-13:-8]}/{number}"
        content += gzip.compress(_record("request", url, b"GET / HTTP/1.1\r\n\r\n"), mtime=0)
        response = gzip.compress(_response(url, draw), mtime=0)
        pages.append(IndexedPage(url, draw.choice(LANGUAGES), draw.choice(MIMES), path, len(content), len(response)))
        content += response
        content += gzip.compress(_record("metadata", url, draw.randbytes(draw.randrange(20, 900))), mtime=0)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    return pages


def _response(url: str, draw: random.Random) -> bytes:
    sentence = "{} found that the {} of the {} had been with the {} since the morning, and that it was for the {}."
    text = " ".join(sentence.format(*draw.sample(NOUNS, 5)) for _ in range(8))
    body = f"<html><head><title>{url}</title></head><body><article><p>{text}</p></article></body></html>".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    digest = base64.b32encode(hashlib.sha1(body).digest()).decode()
    return _record("response", url, head + body, f"WARC-Payload-Digest: sha1:{digest}\r\n")


def _record(kind: str, url: str, block: bytes, more: str = "") -> bytes:
    address = f"WARC-Target-URI: {url}\r\n" if url else ""
    identity = hashlib.md5(kind.encode() + url.encode()).hexdigest()
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{identity}>\r\nWARC-Date: 2026-11-07T01:30:45Z\r\n"
        f"{address}{more}Content-Type: application/http; msgtype={kind}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"
