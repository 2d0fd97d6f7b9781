"""Turn a text that exists already into a document, or into every reason why there is none.

Notable: the rules on addresses apply where the text has one. What was said of the page where the text was extracted,
its HTTP status and its bytes, is not known here and stays null.
"""

from typing import Any

import xxhash

from tasks.documents.record import TextRecord, UnreadableRow
from tasks.extract.config import ExtractionConfig
from tasks.extract.language import identify
from tasks.extract.page_to_document import EXTRACT_SIGNALS, ExtractedPage, storable
from tasks.extract.url_rules import UrlRules, host_of, registered_domain


def text_to_document(
    record: TextRecord | UnreadableRow,
    *,
    document_id: str,
    crawl: str,
    config: ExtractionConfig,
    rules: UrlRules | None = None,
) -> ExtractedPage:
    """Check a text and its address, and identify its language. Never raises an `Exception`."""
    signals: dict[str, Any] = dict.fromkeys(EXTRACT_SIGNALS)
    if isinstance(record, UnreadableRow):
        return ExtractedPage(None, [record.reason], signals)
    text, url = storable(record.text), storable(record.url)
    signals |= {"url": url or None, "n_bytes": len(text.encode()), "n_chars": len(text)}
    reasons: list[str] = []
    if rules and url:
        reasons, url_signals = rules.check(url)
        signals |= url_signals
    if len(text.strip()) < config.min_text_chars:
        reasons.append("no_text")
    if len(text) > config.max_html_chars:
        reasons.append("too_large")
    if reasons:
        return ExtractedPage(None, reasons, signals)
    signals["language"], signals["language_score"] = identify(text)
    host = host_of(url)
    return ExtractedPage(
        {
            "id": document_id,
            "url": url,
            "host": host,
            "domain": registered_domain(host) if host else "",
            "crawl": crawl,
            "date": record.date,
            "language": signals["language"],
            "language_score": signals["language_score"],
            "text": text,
            "text_hash": xxhash.xxh3_128_hexdigest(text.encode()),
            "title": record.title and storable(record.title),
            "published": None,
            "declared_language": record.language and storable(record.language),
            "robots": [],
            "license": record.license and storable(record.license),
            "source_id": record.source_id and storable(record.source_id),
        },
        [],
        signals,
    )
