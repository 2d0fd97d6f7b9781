"""A small crawl in Common Crawl's layout and a real HTTP server for it whose misbehaviour a test writes down."""

import base64
import contextlib
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

CRAWL = "CC-MAIN-2026-46"
Fault = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers from `root`; each request first uses up one of `faults`, if any is left."""

    protocol_version = "HTTP/1.1"
    root: Path
    faults: list[Fault | None]
    asked: list[tuple[str, str | None]]
    open_now: list[int]
    """The ports that clients are connected from, one an open connection."""
    counts_open: list[int]
    """How many were open whenever one was opened."""

    def setup(self) -> None:
        super().setup()
        self.open_now.append(self.client_address[1])
        self.counts_open.append(len(self.open_now))

    def finish(self) -> None:
        self.open_now.remove(self.client_address[1])
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range")))
        fault = self.faults.pop(0) if self.faults else None
        with contextlib.suppress(ConnectionError):
            (fault or serve)(self)

    do_HEAD = do_GET

    def file(self) -> Path:
        return self.root / unquote(self.path).lstrip("/")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def serve(
    handler: Handler, spoil: Callable[[bytes], bytes] = bytes, ranges: bool = True, tag: str | None = None
) -> None:
    """Answer as a mirror should, except for what `spoil` does to the body (Content-Length stays what was meant)."""
    file = handler.file()
    if not file.is_file():
        return handler.answer(404, b"NoSuchKey")
    data = file.read_bytes()
    tag = tag or f'"{hashlib.sha1(data).hexdigest()}"'
    asked = handler.headers.get("Range")
    status, extra, first, stop = 200, {"ETag": tag}, 0, len(data)
    if asked and ranges and handler.headers.get("If-Range") in (None, tag):
        begin, _, end = asked.removeprefix("bytes=").partition("-")
        first, stop = int(begin), min(len(data), int(end) + 1 if end else len(data))
        if first >= len(data):
            return handler.answer(416, b"InvalidRange")
        status, extra = 206, {"ETag": tag, "Content-Range": f"bytes {first}-{stop - 1}/{len(data)}"}
    body = data[first:stop]
    spoilt = spoil(body)
    handler.answer(status, spoilt, **{"Content-Length": str(len(body)), **extra})
    if len(spoilt) < len(body):
        handler.close_connection = True
    return None


def refuse(status: int, **headers: str) -> Fault:
    return lambda handler: handler.answer(status, b"SlowDown: Please reduce your request rate.", **headers)


def cut(share: float = 0.5) -> Fault:
    return lambda handler: serve(handler, lambda body: body[: int(len(body) * share)])


def flip(at: int) -> Fault:
    return lambda handler: serve(handler, lambda body: body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :])


def late(seconds: float) -> Fault:
    def answer(handler: Handler) -> None:
        time.sleep(seconds)
        serve(handler)

    return answer


def hang_up(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


class Mirror:
    """The running server as a test sees it."""

    def __init__(self, root: Path, base: str, handler: type[Handler]) -> None:
        self.root, self.base = root, base
        self.faults, self.asked = handler.faults, handler.asked
        self.counts_open = handler.counts_open


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: a client that hangs up early is part of the tests."""


@contextlib.contextmanager
def running_mirror(root: Path) -> Iterator[Mirror]:
    handler = type(
        "OneHandler", (Handler,), {"root": root, "faults": [], "asked": [], "open_now": [], "counts_open": []}
    )
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Mirror(root, f"http://127.0.0.1:{server.server_port}", handler)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def warc_records(count: int = 6, size: int = 3000) -> list[bytes]:
    """WARC records, uncompressed: a warcinfo, then responses with a payload digest."""
    head = "WARC/1.0\r\nWARC-Type: warcinfo\r\nWARC-Record-ID: <urn:uuid:0>\r\nContent-Length: 2\r\n\r\n"
    records = [head.encode() + b"\r\n\r\n\r\n"]
    for number in range(count):
        words = " ".join(hashlib.md5(b"%d-%d" % (number, n)).hexdigest() for n in range(size // 33))
        payload = f"<html><p>{words}</p></html>".encode()
        digest = base64.b32encode(hashlib.sha1(payload).digest()).decode()
        http = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload
        )
        header = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number + 1}>\r\n"
            f"WARC-Target-URI: https://example.org/{number}\r\nWARC-Payload-Digest: sha1:{digest}\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        )
        records.append(header.encode() + http + b"\r\n\r\n")
    return records


def gzip_members(records: list[bytes]) -> bytes:
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def warc_path(index: int, crawl: str = CRAWL) -> str:
    return f"crawl-data/{crawl}/segments/1.{index % 2}/warc/{crawl}-{index:05d}.warc.gz"


def write_crawl(root: Path, crawl: str = CRAWL, warcs: int = 3) -> None:
    """A crawl of `warcs` files under `root`, added to its collinfo.json."""
    paths = [warc_path(index, crawl) for index in range(warcs)]
    for index, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(gzip_members(warc_records(3 + index)))
    listing = root / "crawl-data" / crawl / "warc.paths.gz"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(gzip.compress("".join(f"{path}\n" for path in paths).encode()))
    info = root / "collinfo.json"
    known = json.loads(info.read_text()) if info.exists() else []
    info.write_text(json.dumps([{"id": crawl, "name": crawl}, *known]))
