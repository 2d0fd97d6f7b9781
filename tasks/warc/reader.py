"""Read a WARC file's response records: one item for each, a page or the reason why it cannot be read.

Notable:
- Nothing disappears: a damaged gzip member, a length that lies, an HTTP head that is none and a bomb are items too
  (`Unreadable`), and reading goes on at the next record.
- A page's offset is where its record begins in the file: that of its gzip member, by which a single record can be
  fetched again. Where one member holds several records, the n-th after the first is numbered offset + n, so offsets
  stay unique.
- A record may span members, and members may be of any size: records are framed on the unpacked bytes, by their own
  Content-Length, and memory is bounded by the largest record that is wanted, not by the file.
- The caller is told of each record before its payload is decoded, and may decline it: what a hostile payload does to
  the process is then put down to that record. Finding where a record ends comes before, and is not told.
- Common Crawl's rule of thumb is one record a member; everything else here is for the archives that others write.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from pydantic import Field

from tasks.base.config import Config
from tasks.base.deadline import DeadlineExceeded, cpu_deadline
from tasks.base.errors import PermanentError
from tasks.warc.framing import RECORD_BEGIN, RECORD_LINE, RawRecord, RecordFramer, Unreadable, target_url
from tasks.warc.gzip_members import FileWindow, MemberLimits, Piece, find_member, read_members
from tasks.warc.header_lines import HEAD_END, HeaderLines
from tasks.warc.http_payload import UndecodableBodyError, decode_content, digest_agrees, join_chunks

__all__ = ["Page", "ReadLimits", "RecordCounts", "Unreadable", "read_pages"]

KEPT_HEADERS = frozenset(("x-robots-tag", "content-language", "tdm-reservation", "link"))
"""HTTP headers that a page keeps besides its Content-Type: how it may be used, and what it is said to be."""

_GZIP_MAGIC = b"\x1f\x8b"
_SNIFF_BYTES = 1 << 20
_PLAIN_READ_BYTES = 1 << 20
_MAX_HTTP_HEAD_BYTES = 1 << 18
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,120})", re.IGNORECASE)
_KNOWN_BEGINNINGS = {
    b"PK\x03\x04": "a zip file",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it, or fetch the .warc.gz",
    b"\x5d\x2a\x4d\x18": "a zstd file with a dictionary; unpack it, or fetch the .warc.gz",
    b"\x04\x22\x4d\x18": "an lz4 file; unpack it, or fetch the .warc.gz",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF file",
}


class ReadLimits(Config):
    """How much of a record is read."""

    max_record_bytes: int = Field(default=64 << 20, gt=0)
    """Longest response record that is read, in bytes as unpacked from the archive; a longer one is `too_large`."""
    max_page_bytes: int = Field(default=64 << 20, gt=0)
    """Longest page, in bytes after its content coding is undone; a longer one is `too_large`."""
    max_inflation: int = Field(default=250, gt=1)
    """Bytes out for each byte in above which a gzip member that passes `max_record_bytes` is taken for a bomb."""
    max_decoding_seconds: float | None = Field(default=None, gt=0)
    """Longest decoding of one page, in seconds of processor time; a page that takes longer is `decoding_timeout`.
    None: no limit. With one, reading is for the main thread only (see `tasks.base.deadline`)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A response record, its body decoded."""

    offset: int
    """Where the record begins in the file, in bytes (see the module's note)."""
    record_id: str
    """WARC-Record-ID as it stands there."""
    url: str
    """WARC-Target-URI without angle brackets."""
    date: datetime | None
    """WARC-Date in UTC, to the second; None where it is missing or no date."""
    http_status: int | None
    """The HTTP status; None where the record is no HTTP response."""
    content_type: str
    """The Content-Type header as sent, "" where there is none."""
    identified_type: str
    """WARC-Identified-Payload-Type, "" where there is none."""
    truncated: str | None
    """WARC-Truncated (length, time, disconnect, unspecified), "clipped" where the file ends inside the record, or
    "encoding" where the coded body breaks off."""
    payload: bytes
    """The body, chunks joined and content coding undone."""
    digest_ok: bool | None
    """Whether WARC-Payload-Digest agrees with the body; None where there is none, or not all of the body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers of `KEPT_HEADERS` by lower-case name; several of one name joined by commas."""


@dataclass(slots=True)
class RecordCounts:
    """What a file held, counted while it is read."""

    pages: int = 0
    unreadable: int = 0
    others: Counter[str] = field(default_factory=Counter)
    """Records of other types, by WARC-Type."""
    clipped: int = 0
    """1 where the file ends inside a record and that was allowed."""


def read_pages(
    stream: BinaryIO,
    limits: ReadLimits,
    *,
    allow_clipped_end: bool = False,
    counts: RecordCounts | None = None,
    starting: Callable[[int], str | None] | None = None,
) -> Iterator[Page | Unreadable]:
    """One item for each response record of a WARC, compressed or not, in file order.

    `allow_clipped_end`: the caller asked for the first bytes of the file only, so a record that the end cuts off is
    counted and not yielded. `counts` is filled while reading. `starting` is called with a framed record's offset before
    its payload is decoded; where it returns a reason, the record is not decoded and comes as `Unreadable` with that.
    Raises `PermanentError` where the file is no WARC, naming what was found instead.
    """
    counts = counts if counts is not None else RecordCounts()
    file_bytes = _file_bytes(stream)
    window = FileWindow(stream)
    start, compressed = _find_archive(window)
    framer = RecordFramer(compressed=compressed, max_record_bytes=limits.max_record_bytes, file_bytes=file_bytes)
    counts.others = framer.others
    for record in _frame(window, start, compressed, framer, limits):
        if allow_clipped_end and (record.clipped if isinstance(record, RawRecord) else record.reason == "clipped"):
            counts.clipped += 1
            continue
        item = _read_unless_declined(record, limits, starting) if isinstance(record, RawRecord) else record
        counts.pages += isinstance(item, Page)
        counts.unreadable += isinstance(item, Unreadable)
        yield item
    if not framer.recognised and not counts.clipped:
        raise PermanentError("this is no WARC: no record could be found in it; fetch the file again")


def _file_bytes(stream: BinaryIO) -> int | None:
    """The file's length, None where it cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        if stream.seekable():
            begin = stream.tell()
            length = stream.seek(0, io.SEEK_END)
            stream.seek(begin)
            return length
    return None


def _find_archive(window: FileWindow) -> tuple[int, bool]:
    """Where the archive begins in the file, and whether it is compressed; `PermanentError` where there is none."""
    head = window.read(0, _SNIFF_BYTES)
    if head.startswith(_GZIP_MAGIC):
        return 0, True
    if record := RECORD_LINE.search(head):
        return record.start(), False
    first_member = find_member(window, 0, RECORD_BEGIN) if head else -1
    if first_member < 0:
        raise PermanentError(f"this is no WARC but {_describe(head)}; look at its address and fetch it again")
    return first_member, True


def _frame(
    window: FileWindow, start: int, compressed: bool, framer: RecordFramer, limits: ReadLimits
) -> Iterator[RawRecord | Unreadable]:
    """All response records of the file, and all that could not be framed."""
    if start > 0:
        yield Unreadable(0, "junk", f"the first {start} bytes of the file belong to no record")
    member_limits = MemberLimits(limits.max_record_bytes, limits.max_inflation)
    members = read_members(window, start, RECORD_BEGIN, member_limits)
    pieces = members if compressed else _plain_pieces(window, start)
    for piece in pieces:
        begins = piece.data[: len(RECORD_BEGIN)]
        if piece.offset == 0 and piece.first and not piece.damage and not RECORD_BEGIN.startswith(begins):
            raise PermanentError(f"this is no WARC but, inside gzip, {_describe(piece.data)}; look at its address")
        yield from framer.feed(piece)
    yield from framer.finish()


def _plain_pieces(window: FileWindow, start: int) -> Iterator[Piece]:
    """The bytes of an uncompressed file."""
    position = start
    while data := window.read(position, position + _PLAIN_READ_BYTES):
        yield Piece(position, data, position == start, False)
        position += len(data)
        window.drop(position)


def _read_unless_declined(
    record: RawRecord, limits: ReadLimits, starting: Callable[[int], str | None] | None
) -> Page | Unreadable:
    """The page in a response record, if the caller wants it and its decoding keeps to the limit."""
    reason = starting(record.offset) if starting else None
    if reason is not None:
        url = target_url(record.headers) or None
        return Unreadable(record.offset, reason, "the record is left undecoded, as the caller asked", url)
    seconds = limits.max_decoding_seconds
    if seconds is None:
        return _read_record(record, limits)
    try:
        with cpu_deadline(seconds):
            return _read_record(record, limits)
    except DeadlineExceeded:
        detail = f"decoding took more than {seconds:g} s of processor time"
        return Unreadable(record.offset, "decoding_timeout", detail, target_url(record.headers) or None)


def _read_record(record: RawRecord, limits: ReadLimits) -> Page | Unreadable:
    """The page in a response record."""
    headers = record.headers
    url = target_url(headers)
    http, stored = _split_http(record.block)
    if http is None:
        reason = "clipped" if record.clipped else "bad_body"
        detail = f"the HTTP head has no end in its first {_MAX_HTTP_HEAD_BYTES} bytes"
        return Unreadable(record.offset, reason, detail, url or None)
    joined, complete = stored, True
    if "chunked" in (http.get("Transfer-Encoding") or "").lower():
        joined, complete = join_chunks(stored)
    try:
        body = decode_content(joined, http.get("Content-Encoding") or "", limits.max_page_bytes)
    except UndecodableBodyError as error:
        return Unreadable(record.offset, "bad_body", str(error), url or None)
    if body.too_large:
        detail = f"the page has more than {limits.max_page_bytes} bytes when decoded"
        return Unreadable(record.offset, "too_large", detail, url or None)
    digest = headers.get("WARC-Payload-Digest")
    digest_ok = digest_agrees(digest, stored, joined, body.data) if digest else None
    if record.doubt and not digest_ok:
        return Unreadable(record.offset, record.doubt.reason, record.doubt.detail, url or None)
    if record.clipped and not digest_ok:
        digest_ok = None
    incomplete = "clipped" if record.clipped else None if complete and body.complete else "encoding"
    return Page(
        offset=record.offset,
        record_id=headers.get("WARC-Record-ID") or "",
        url=url,
        date=_read_date(headers.get("WARC-Date") or ""),
        http_status=http.status_code,
        content_type=http.get("Content-Type") or "",
        identified_type=headers.get("WARC-Identified-Payload-Type") or "",
        truncated=headers.get("WARC-Truncated") or incomplete,
        payload=body.data,
        digest_ok=digest_ok,
        headers=_kept_headers(http),
    )


def _kept_headers(http: HeaderLines) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in http.items():
        lower = name.lower()
        if lower in KEPT_HEADERS:
            kept[lower] = f"{kept[lower]}, {value}" if lower in kept else value
    return kept


def _split_http(block: bytes) -> tuple[HeaderLines | None, bytes]:
    """The HTTP head and the body as stored: no fields where the block is no HTTP response, None where it has no end."""
    if not block.startswith(b"HTTP/"):
        return HeaderLines(), block
    end = HEAD_END.search(block, 0, _MAX_HTTP_HEAD_BYTES)
    if end is None:
        return (HeaderLines(block), b"") if len(block) < _MAX_HTTP_HEAD_BYTES else (None, b"")
    return HeaderLines(block[: end.end()]), block[end.end() :]


def _read_date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text.strip())
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def _describe(head: bytes) -> str:
    """What a file that is no WARC seems to be, for a person."""
    if not head:
        return "an empty file"
    for beginning, name in _KNOWN_BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        title = _TITLE.search(head)
        return "an HTML or XML page" + (f' titled "{title[1].decode("utf-8", "replace").strip()}"' if title else "")
    return f"bytes that begin {head[:40]!r}"
