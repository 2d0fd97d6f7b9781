"""Read a WARC file's response records: one item for each, a page or the reason why it cannot be read.

Notable:
- Nothing disappears: a damaged gzip member, a wrong length, a bad HTTP head and a bomb are items too (`Unreadable`),
  and reading goes on at the next record.
- A page's offset is where its gzip member begins in the file, so that it can be fetched again. Where one member holds
  several records, the n-th after the first is numbered offset + n, so offsets stay unique.
- The caller is notified of each record before its payload is decoded, and may decline it, so what a hostile payload
  does to the process can be attributed to that record.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import urlsplit

from tasks.base.deadline import DeadlineExceeded, cpu_deadline
from tasks.base.hosts import MAX_HOST_CHARS
from tasks.warc.content import NotAWarc, WarcContent
from tasks.warc.framing import MAX_URL_CHARS, RESPONSE, RawRecord, RecordFramer, Unreadable, reported_url, target_url
from tasks.warc.header_lines import HeaderLines
from tasks.warc.http_payload import (
    MAX_HTTP_HEAD_BYTES,
    TRANSFER_CODINGS,
    UndecodableBodyError,
    decode_content,
    digest_agrees,
    join_chunks,
    split_http,
)
from tasks.warc.limits import ReadLimits

__all__ = ["Page", "ReadLimits", "RecordCounts", "Unreadable", "read_pages"]

_COMMON_CRAWL_LIMIT_BYTES = 1 << 20  # where Common Crawl cuts payloads; before CC-MAIN-2019-47 without a word about it
_WRONG_DIGESTS = "clueweb09"  # a collection that changed its pages and not their digests
_DAY_OF_YEAR = "%Y-%m-%jT%H:%M:%S%z"  # ClueWeb09 again: 2009-03-65 is the 6th of March
_IS_DAY_OF_YEAR = re.compile(r"\d{4}-\d\d-(?:\d{3}|3[2-9]|[4-9]\d)T")
KEPT_HEADERS = frozenset(("x-robots-tag", "content-language", "tdm-reservation", "link"))
"""HTTP headers that a page keeps besides its Content-Type: how it may be used, and what it is said to be."""


@dataclass(frozen=True, slots=True)
class Page:
    """A response record, its body decoded."""

    offset: int  # where the record begins in the file, in bytes (see the module's note)
    record_id: str  # WARC-Record-ID as it stands there
    url: str  # WARC-Target-URI without angle brackets
    date: datetime | None  # WARC-Date in UTC, to the second; None where it is missing or no date
    http_status: int | None  # the HTTP status; None where the record is no HTTP response
    content_type: str  # the Content-Type headers as sent, joined by commas, "" where there is none
    identified_type: str  # WARC-Identified-Payload-Type, "" where there is none
    truncated: str | None
    """WARC-Truncated (length, time, disconnect, unspecified), "clipped" where the file ends inside the record, or
    "encoding" where the coded body breaks off."""
    payload: bytes  # the body, chunks joined and content coding undone
    digest_ok: bool | None
    """Whether WARC-Payload-Digest agrees with the body; None where there is none, or not all of the body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers of `KEPT_HEADERS` by lower-case name; several of one name on lines of their own."""


@dataclass(slots=True)
class RecordCounts:
    """What a file held, counted while it is read."""

    pages: int = 0
    unreadable: int = 0
    others: Counter[str] = field(default_factory=Counter)  # records of other types, by WARC-Type
    clipped: int = 0  # 1 where the file ends inside a record and that was allowed


def read_pages(
    stream: BinaryIO,
    limits: ReadLimits,
    *,
    allow_clipped_end: bool = False,
    counts: RecordCounts | None = None,
    starting: Callable[[int], str | None] | None = None,
) -> Iterator[Page | Unreadable]:
    """Yield one item for each response record of a WARC, compressed or not, in file order.

    `allow_clipped_end`: the caller asked for the first bytes of the file only, so a record that the end cuts off is
    counted and not yielded. `counts` is filled while reading. `starting` is called with a framed record's offset before
    its payload is decoded; where it returns a reason, the record is not decoded and comes as `Unreadable` with that.
    Raises `NotAWarc` where the file is something else, naming what was found instead.
    """
    counts = counts if counts is not None else RecordCounts()
    framer = RecordFramer(WarcContent(stream, limits), limits)
    counts.others = framer.others
    for record in framer.records():
        if isinstance(record, RawRecord) and record.kind != RESPONSE:
            continue
        if allow_clipped_end and (record.clipped if isinstance(record, RawRecord) else record.reason == "clipped"):
            counts.clipped += 1
            continue
        item = _read_unless_declined(record, limits, starting) if isinstance(record, RawRecord) else record
        counts.pages += isinstance(item, Page)
        counts.unreadable += isinstance(item, Unreadable)
        yield item
    if not framer.heads and not counts.clipped:
        raise NotAWarc("this is not a WARC file: no record could be found in it; fetch the file again")


def _read_unless_declined(
    record: RawRecord, limits: ReadLimits, starting: Callable[[int], str | None] | None
) -> Page | Unreadable:
    """Return the page in a response record, unless the caller declines it or its decoding exceeds the limit."""
    if (fault := _address_fault(target_url(record.headers))) is not None:
        return _unreadable(record, "bad_record", fault)
    if starting and (reason := starting(record.offset)) is not None:
        return _unreadable(record, reason, "the record is left undecoded, as the caller asked")
    seconds = limits.max_decoding_seconds
    try:
        with cpu_deadline(seconds) if seconds is not None else nullcontext():
            return read_record(record, limits)
    except DeadlineExceeded:
        return _unreadable(record, "decoding_timeout", f"decoding took more than {seconds:g} s of processor time")


def _unreadable(record: RawRecord, reason: str, detail: str) -> Unreadable:
    return Unreadable(record.offset, reason, detail, reported_url(record.headers))


def _address_fault(url: str) -> str | None:
    """Return why no page can have this address, None where one can."""
    if len(url) > MAX_URL_CHARS:
        return f"the address has {len(url):,} characters, over {MAX_URL_CHARS:,}"
    with suppress(ValueError):  # what is no address is for the rules to decide
        if len(host := urlsplit(url).hostname or "") > MAX_HOST_CHARS:
            return f"the address has a host of {len(host):,} characters, over {MAX_HOST_CHARS}"
    return None


def read_record(record: RawRecord, limits: ReadLimits) -> Page | Unreadable:
    """Return the page in a response record."""
    headers = record.headers
    http, body_view = split_http(record.block)
    stored = bytes(body_view)
    if http is None:
        detail = f"the HTTP head has no end in its first {MAX_HTTP_HEAD_BYTES} bytes"
        return _unreadable(record, "clipped" if record.clipped else "bad_body", detail)
    digest = headers.get("WARC-Payload-Digest")
    if digest and stored.startswith(b"\r\n") and digest_agrees(digest, stored[2:]):
        stored = stored[2:]  # CC-MAIN-2018-34 has a blank line too many in every record
    joined, complete = stored, True
    transfer = [coding.strip() for coding in http.joined("Transfer-Encoding").lower().split(",")]
    if any("chunked" in coding for coding in transfer):
        joined, complete = join_chunks(stored)
    codings = [http.joined("Content-Encoding"), *(coding for coding in transfer if coding in TRANSFER_CODINGS)]
    try:
        body = decode_content(joined, ",".join(codings), limits.max_page_bytes)
    except UndecodableBodyError as error:
        return _unreadable(record, "bad_body", str(error))
    if body.too_large:
        return _unreadable(record, "too_large", f"the page has more than {limits.max_page_bytes} bytes when decoded")
    digest_ok = digest_agrees(digest, stored, joined, body.data) if digest else None
    if record.doubt and not digest_ok:
        return _unreadable(record, *record.doubt)
    if not digest_ok and (record.clipped or (headers.get("WARC-TREC-ID") or "").startswith(_WRONG_DIGESTS)):
        digest_ok = None
    incomplete = "clipped" if record.clipped else None if complete and body.complete else "encoding"
    if len(stored) == _COMMON_CRAWL_LIMIT_BYTES:
        incomplete = incomplete or "length"
    return Page(
        offset=record.offset,
        record_id=headers.get("WARC-Record-ID") or "",
        url=target_url(headers),
        date=_read_date(headers.get("WARC-Date") or ""),
        http_status=http.status_code,
        content_type=http.joined("Content-Type"),
        identified_type=headers.get("WARC-Identified-Payload-Type") or "",
        truncated=headers.get("WARC-Truncated") or incomplete,
        payload=body.data,
        digest_ok=digest_ok,
        headers=_kept_headers(http),
    )


def _kept_headers(http: HeaderLines) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in http.items():
        if (lower := name.lower()) in KEPT_HEADERS:
            kept[lower] = f"{kept[lower]}\n{value}" if lower in kept else value
    return kept


def _read_date(text: str) -> datetime | None:
    text = text.strip()
    try:
        date = datetime.strptime(text, _DAY_OF_YEAR) if _IS_DAY_OF_YEAR.match(text) else datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
