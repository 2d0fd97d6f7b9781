"""From a page of the archive to a document, or to every reason why there is none.

Notable:
- The cheap tests come first and all of them are made, so a decision names every reason that the record alone shows;
  only a page that passes them meets the extractor.
- An extractor that raises is a reason like any other. What cannot be caught here, a page that hangs it or eats the
  memory, is for the extract stage and the supervisor of its process, who add reasons of their own (see `REASONS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
import xxhash

from tasks.charset import Decoded, decode
from tasks.extraction import ExtractionConfig, HtmlTooLargeError, extract_text
from tasks.language import identify
from tasks.warc_reading import Page

EXTRACT_SIGNALS: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "url": pa.string(),
        "http_status": pa.int32(),
        "mime": pa.string(),
        "truncated": pa.string(),
        "digest_ok": pa.bool_(),
        "charset": pa.string(),
        "charset_source": pa.string(),
        "n_bytes": pa.int64(),
        "n_chars": pa.int64(),
        "language": pa.string(),
        "language_score": pa.float32(),
    }
)
"""What is known of every page, with the type of its Parquet column, in column order; null where it was not measured."""

REASONS: Final = (
    "http_status",
    "not_html",
    "truncated",
    "bad_digest",
    "empty",
    "too_large",
    "extractor_failed",
    "no_text",
)
"""Why a page that could be decoded gives no document, as far as it is decided here. The decisions of the extract stage
hold two kinds more, each alone on its record:

- of an archive's record that gives no page, the reasons of `tasks.warc_framing.Unreadable`: damaged_gzip, junk,
  decompression_bomb, clipped, bad_record, wrong_length, too_large, bad_body, decoding_timeout;
- `extractor_timeout` of a page over `max_page_seconds`, and of a record that ended its worker `extractor_` with the
  reason of `tasks.isolation.ChildDied`: extractor_memory, _time, _stall, _signal or _exit.
"""

_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))
_OK = 200
_SNIFF_BYTES = 1024
_TAG = re.compile(r"<[a-zA-Z!/?]")
_BINARY_BEGINNINGS = (
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"RIFF",
    b"\x00\x00\x00",
)


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """A page's document or the reasons for its absence, and its signals."""

    document: dict[str, Any] | None
    """A row of the documents dataset; None where there are reasons."""
    reasons: list[str]
    """Some of `REASONS`, in that order, or a single other one (see there)."""
    signals: dict[str, Any]
    """All of `EXTRACT_SIGNALS`, in that order."""


def page_to_document(page: Page, *, document_id: str, crawl: str, config: ExtractionConfig) -> ExtractedPage:
    """Decode a page, extract its text and identify the language; never raises an `Exception`."""
    mime = mime_type(page)
    signals: dict[str, Any] = dict.fromkeys(EXTRACT_SIGNALS) | {
        "url": _storable(page.url),
        "http_status": page.http_status,
        "mime": mime,
        "truncated": page.truncated,
        "digest_ok": page.digest_ok,
        "n_bytes": len(page.payload),
    }
    reasons = _record_reasons(page, mime, config)
    if reasons:
        return ExtractedPage(None, reasons, signals)
    decoded = decode(page.payload, page.content_type)
    signals |= {"charset": decoded.charset, "charset_source": decoded.source}
    text, reason = _extract(decoded, page.url, config)
    signals["n_chars"] = len(text)
    if reason is not None:
        return ExtractedPage(None, [reason], signals)
    language, score = identify(text)
    signals |= {"language": language, "language_score": score}
    document = {
        "id": document_id,
        "url": signals["url"],
        "host": host_of(signals["url"]),
        "crawl": crawl,
        "date": page.date,
        "language": language,
        "language_score": score,
        "text": text,
        "text_hash": xxhash.xxh3_128_hexdigest(text.encode()),
    }
    return ExtractedPage(document, [], signals)


def without_document(reason: str, url: str | None) -> ExtractedPage:
    """What is said of a record that gave no page, or whose page was not measured: a reason, its address if known."""
    return ExtractedPage(None, [reason], dict.fromkeys(EXTRACT_SIGNALS) | {"url": _storable(url) if url else None})


def mime_type(page: Page) -> str:
    """The MIME type in lower case: as the crawler identified it, else as the server said, else by the first bytes."""
    if page.payload.startswith(_BINARY_BEGINNINGS):
        return "application/octet-stream"
    for named in (page.identified_type, page.content_type):
        essence = named.partition(";")[0].strip().lower()
        if "/" in essence and essence != "unknown/unknown":
            return essence
    return "text/html" if b"<html" in page.payload[:_SNIFF_BYTES].lower() else "application/octet-stream"


def host_of(url: str) -> str:
    """The host of an address in lower case, without its port; "" where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _record_reasons(page: Page, mime: str, config: ExtractionConfig) -> list[str]:
    tests = {
        "http_status": page.http_status != _OK,
        "not_html": mime not in _HTML_TYPES,
        "truncated": config.drop_truncated and page.truncated is not None,
        "bad_digest": config.drop_bad_digests and page.digest_ok is False,
        "empty": not page.payload.strip(),
    }
    return [reason for reason, failed in tests.items() if failed]


def _extract(decoded: Decoded, url: str, config: ExtractionConfig) -> tuple[str, str | None]:
    """The text, and the reason where it cannot be used."""
    if not _TAG.search(decoded.text):
        return "", "not_html"
    try:
        text = _storable(extract_text(decoded.text, url, config))
    except HtmlTooLargeError:
        return "", "too_large"
    except Exception:
        # The extractor is not ours and meets pages that nobody foresaw: whatever it raises is this page's affair.
        return "", "extractor_failed"
    return text, "no_text" if len(text.strip()) < config.min_text_chars else None


def _storable(text: str) -> str:
    """The text without what UTF-8 cannot hold."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
