"""Turn a page of the archive into a document, or into every reason why there is none.

Notable:
- Cheap checks come first: what the record alone shows and the rules on the address, all of them, so that a decision
  names every reason; then whether the page was seen before, a guess of its language, its directives for robots. Only a
  page that passes them reaches the extractor.
- Seen before means the same bytes under the same headers, so a page is never dropped for one that would have ended
  otherwise. Which of several copies goes on depends on their order in the file, nothing else.
- An extractor that raises is a reason like any other. A page that hangs it or uses up the memory cannot be caught here:
  the extract stage and the supervisor of its process add reasons of their own (see `REASONS`).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import xxhash

from tasks.dataset.rules import limit_in_32_bits
from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.extract.encodings import REPLACEMENT
from tasks.extract.html.limits import HtmlTooLargeError
from tasks.extract.language import identify
from tasks.extract.language_guess import guess_language
from tasks.extract.main_text import main_text, parse_page
from tasks.extract.page_metadata import PageMetadata, read_metadata
from tasks.extract.url_rules import URL_REASONS, URL_SIGNALS, UrlRules, host_of, registered_domain
from tasks.warc.reader import Page

EXTRACT_SIGNALS: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "url": pa.string(),
        "http_status": pa.int32(),
        "mime": pa.string(),
        "truncated": pa.string(),
        "digest_ok": pa.bool_(),
        **URL_SIGNALS,
        "seen_as": pa.string(),
        "charset": pa.string(),
        "charset_source": pa.string(),
        "n_bytes": pa.int64(),
        "guessed_language": pa.string(),
        "guessed_wanted_share": pa.float32(),
        "robots": pa.list_(pa.string()),
        "n_chars": pa.int64(),
        "kind": pa.string(),
        "method": pa.string(),
        "extraction_score": pa.float32(),
        "language": pa.string(),
        "language_score": pa.float32(),
    }
)
"""The signals of every page, with the types of their Parquet columns, in column order; null where not measured."""

REASONS: Final = (
    "http_status",
    "not_html",
    "truncated",
    "bad_digest",
    "empty",
    *URL_REASONS,
    "seen",
    "language_guess",
    "too_large",
    "robots",
    "extractor_failed",
    "no_text",
    "undecodable",
    "extraction_score",
    "page_kind",
)
"""Why a page gives no document, as far as it is decided here. The decisions of the extract stage have two more kinds,
each alone on its record:

- for a record that gives no page, the reasons of `tasks.warc.framing.Unreadable`: damaged_gzip, damaged_zstd,
  junk, decompression_bomb, clipped, bad_record, wrong_length, too_large, bad_body, decoding_timeout;
- for a page over `max_page_seconds`, `extractor_timeout`; for a record that killed its worker, `extractor_` and the
  reason of `tasks.workers.worker_process.WorkerDied`: extractor_memory, _stall, _signal or _exit.
"""

_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))
_OK = 200
_MOST_BYTES_PER_CHARACTER = 4
_SNIFF_BYTES = 1024
_MAX_REPLACED = 0.3
"""Share of U+FFFD from which on nobody can read a text; of one in Latin letters, less than that are above ASCII."""
_TAG = re.compile(r"<[a-zA-Z!/?]")
_MIME_TYPE = re.compile(r"\s*([\w!#$&^.+*-]+/[\w!#$&^.+*-]+)(?=[\s;]|$)")
# The beginnings of HTML that the MIME Sniffing Standard knows.
_HTML_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!--"
    rb"|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])"
)
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
    """Some of `REASONS`, in that order, or a single other one (see `REASONS`)."""
    signals: dict[str, Any]
    """All of `EXTRACT_SIGNALS`, in that order."""


class SeenPages:
    """The pages of one WARC file that went on so far, by a hash of their bytes and headers."""

    def __init__(self) -> None:
        self._ids: dict[bytes, str] = {}

    def first_id(self, page: Page, document_id: str) -> str:
        """Return the id of the first page with the same bytes and headers; `document_id` if this is the first."""
        headers = "\n".join([page.content_type, *(f"{name}: {page.headers[name]}" for name in sorted(page.headers))])
        made_of = xxhash.xxh3_128(page.payload)
        made_of.update(headers.encode("utf-8", "surrogatepass"))
        return self._ids.setdefault(made_of.digest(), document_id)


def page_to_document(
    page: Page,
    *,
    document_id: str,
    crawl: str,
    config: ExtractionConfig,
    rules: UrlRules | None = None,
    seen: SeenPages | None = None,
) -> ExtractedPage:
    """Check a page by what is cheap, then decode it, extract its text and identify the language.

    `rules` check its address, if given; `seen` knows the pages before it, if given. Never raises an `Exception`.
    """
    mime = mime_type(page)
    signals: dict[str, Any] = dict.fromkeys(EXTRACT_SIGNALS) | {"url": storable(page.url), "mime": mime}
    signals |= {name: getattr(page, name) for name in ("http_status", "truncated", "digest_ok")}
    signals["n_bytes"] = len(page.payload)
    reasons = _record_reasons(page, mime, config)
    if rules:
        url_reasons, url_signals = rules.check(page.url)
        reasons += url_reasons
        signals |= url_signals
    if reasons:
        return ExtractedPage(None, reasons, signals)
    if seen and (first := seen.first_id(page, document_id)) != document_id:
        return ExtractedPage(None, ["seen"], signals | {"seen_as": first})
    try:
        text, metadata = _read(page, signals, config)
    except _UnusableError as unusable:
        return ExtractedPage(None, [unusable.reason], signals)
    host = host_of(signals["url"])
    head = {
        "id": document_id,
        "url": signals["url"],
        "host": host,
        "domain": registered_domain(host) if host else "",
        "crawl": crawl,
        "date": page.date,
    }
    language = {name: signals[name] for name in ("language", "language_score")}
    found = {name: signals[name] for name in ("kind", "method", "extraction_score")}
    content = {"text": text, "text_hash": xxhash.xxh3_128_hexdigest(text.encode())} | found
    return ExtractedPage(head | language | content | asdict(metadata) | {"source_id": None}, [], signals)


def without_document(reason: str, url: str | None) -> ExtractedPage:
    """Return the result for a record without a page, or with a page that was not measured."""
    return ExtractedPage(None, [reason], dict.fromkeys(EXTRACT_SIGNALS) | {"url": storable(url) if url else None})


def mime_type(page: Page) -> str:
    """Return the MIME type in lower case: the crawler's identification, else the server's, else by the first bytes."""
    if page.payload.startswith(_BINARY_BEGINNINGS):
        return "application/octet-stream"
    for named in (page.identified_type, page.content_type):
        # Browsers join repeated headers by commas and take the last that is a type.
        types = [found[1].lower() for part in named.split(",") if (found := _MIME_TYPE.match(part))]
        known = [essence for essence in types if essence not in ("unknown/unknown", "*/*")]
        if known:
            return known[-1]
    head = page.payload[:_SNIFF_BYTES].lower()
    return "text/html" if _HTML_BEGINNING.match(head) or b"<html" in head else "application/octet-stream"


def _record_reasons(page: Page, mime: str, config: ExtractionConfig) -> list[str]:
    tests = {
        "http_status": page.http_status != _OK,
        "not_html": mime not in _HTML_TYPES,
        "truncated": config.drop_truncated and page.truncated is not None,
        "bad_digest": config.drop_bad_digests and page.digest_ok is False,
        "empty": not page.payload.strip(),
    }
    return [reason for reason, failed in tests.items() if failed]


class _UnusableError(Exception):
    """A page gives no document."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _read(page: Page, signals: dict[str, Any], config: ExtractionConfig) -> tuple[str, PageMetadata]:
    """Return the text and the metadata of a page that passed the checks on its record; adds to `signals` on the way."""
    if len(page.payload) > _MOST_BYTES_PER_CHARACTER * config.max_html_chars:
        raise _UnusableError("too_large")  # before decoding, which takes four times the memory
    decoded = decode(page.payload, page.content_type)
    signals |= {"charset": decoded.charset, "charset_source": decoded.source}
    if decoded.text == REPLACEMENT:
        raise _UnusableError("undecodable")
    if not _TAG.search(decoded.text):
        signals["n_chars"] = 0
        raise _UnusableError("not_html")
    if config.guess_languages:
        guess = guess_language(decoded.text, config.guess_languages)
        signals |= {"guessed_language": guess.language, "guessed_wanted_share": guess.wanted_share}
        if guess.is_surely_unwanted:
            raise _UnusableError("language_guess")
    try:
        text, metadata = _extract(decoded.text, page, signals, config)
    except HtmlTooLargeError:
        text, reason = "", "too_large"
    except _UnusableError:
        raise
    except Exception:
        # The extractor is not ours and meets unforeseen pages: whatever it raises is a reason against this page only.
        text, reason = "", "extractor_failed"
    else:
        reason = "no_text" if len(text.strip()) < config.min_text_chars else _content_reason(signals, config)
        if text.count(REPLACEMENT) > _MAX_REPLACED * len(text):
            reason = "undecodable"
    signals["n_chars"] = len(text)
    if reason:
        raise _UnusableError(reason)
    signals["language"], signals["language_score"] = identify(text)
    return text, metadata


def _content_reason(signals: dict[str, Any], config: ExtractionConfig) -> str:
    """Return why the kind of a page or the score of its text rules it out, "" if they do not."""
    if (score := signals["extraction_score"]) is not None and score < limit_in_32_bits(config.min_score):
        return "extraction_score"
    return "page_kind" if signals["kind"] in config.drop_kinds else ""


def _extract(html: str, page: Page, signals: dict[str, Any], config: ExtractionConfig) -> tuple[str, PageMetadata]:
    """Return the main text and the metadata; raises `_UnusableError` where the page asks not to be used."""
    tree = parse_page(html, config)
    if tree is None:
        raise _UnusableError("no_text")
    metadata = read_metadata(tree, html, page.url, page.date, page.headers)
    signals["robots"] = metadata.robots
    if not set(config.drop_robots).isdisjoint(metadata.robots):
        raise _UnusableError("robots")
    found = main_text(tree, html, page.url, config)
    score = None if found.score is None else limit_in_32_bits(found.score)  # as its column stores it
    signals |= {"kind": found.kind, "method": found.method, "extraction_score": score}
    return storable(found.text), metadata


def storable(text: str) -> str:
    """Return the text without what UTF-8 cannot hold."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
