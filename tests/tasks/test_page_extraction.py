"""From a page to a document or all its reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import page_extraction
from tasks.extraction import ExtractionConfig
from tasks.page_extraction import (
    EXTRACT_SIGNALS,
    REASONS,
    ExtractedPage,
    host_of,
    mime_type,
    page_to_document,
    without_document,
)
from tasks.schemas import DOCUMENTS
from tasks.warc_reading import Page
from tests.golden.make_filter_vectors import LINES

HTML = ("<!DOCTYPE html><html><body>" + "".join(f"<p>{line}</p>" for line in LINES) + "</body></html>").encode()
PAGE = Page(
    offset=12,
    record_id="<urn:uuid:1>",
    url="https://WWW.Tolvane.example:8080/ferry?x=1",
    date=datetime(2026, 11, 7, 2, 55, 31, tzinfo=UTC),
    http_status=200,
    content_type="text/html; charset=utf-8",
    identified_type="text/html",
    truncated=None,
    payload=HTML,
    digest_ok=True,
)


def extract(page: Page, **config: Any) -> ExtractedPage:
    return page_to_document(page, document_id="W:12", crawl="CC-MAIN-2026-46", config=ExtractionConfig(**config))


def test_a_good_page_is_a_row_of_the_documents() -> None:
    extracted = extract(PAGE)
    text = "\n".join(LINES)
    assert extracted.reasons == []
    assert extracted.document is not None
    assert extracted.document | {"language_score": 1.0} == {
        "id": "W:12",
        "url": PAGE.url,
        "host": "www.tolvane.example",
        "crawl": "CC-MAIN-2026-46",
        "date": PAGE.date,
        "language": "en",
        "language_score": 1.0,
        "text": text,
        "text_hash": xxhash.xxh3_128_hexdigest(text.encode()),
    }
    assert extracted.document["language_score"] > 0.9
    table = pa.Table.from_pylist([extracted.document], DOCUMENTS)
    assert table.column_names == list(extracted.document)


def test_signals_come_all_and_in_column_order() -> None:
    signals = extract(PAGE).signals
    assert list(signals) == list(EXTRACT_SIGNALS)
    assert signals["charset"] == "utf-8"
    assert signals["n_bytes"] == len(HTML)
    assert signals["n_chars"] == len("\n".join(LINES))
    pa.Table.from_pylist([signals], pa.schema(list(EXTRACT_SIGNALS.items())))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"http_status": 404}, "http_status"),
        ({"http_status": None}, "http_status"),
        ({"identified_type": "application/pdf"}, "not_html"),
        ({"identified_type": "", "content_type": "text/plain"}, "not_html"),
        ({"payload": b"%PDF-1.7 <html>"}, "not_html"),
        ({"payload": b"Plain words under a header that promises HTML."}, "not_html"),
        ({"truncated": "length"}, "truncated"),
        ({"digest_ok": False}, "bad_digest"),
        ({"payload": b" \n "}, "empty"),
        ({"payload": b"<html><body></body></html>"}, "no_text"),
    ],
)
def test_a_page_without_a_document_says_why(change: dict[str, Any], reason: str) -> None:
    extracted = extract(replace(PAGE, **change))
    assert extracted.document is None
    assert extracted.reasons == [reason]


def test_every_reason_that_the_record_shows_is_named() -> None:
    bad = replace(PAGE, http_status=500, identified_type="image/png", truncated="time", digest_ok=False, payload=b"")
    assert extract(bad).reasons == ["http_status", "not_html", "truncated", "bad_digest", "empty"]


def test_what_the_config_lets_pass_passes() -> None:
    assert extract(replace(PAGE, truncated="length"), drop_truncated=False).document
    assert extract(replace(PAGE, digest_ok=False), drop_bad_digests=False).document
    assert extract(replace(PAGE, digest_ok=None)).document
    assert extract(PAGE, min_text_chars=10_000).reasons == ["no_text"]
    assert extract(PAGE, max_elements=5).reasons == ["too_large"]


def test_an_extractor_that_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(html: str, url: str, config: ExtractionConfig) -> str:
        raise RecursionError("deeper and deeper")

    monkeypatch.setattr(page_extraction, "extract_text", explode)
    assert extract(PAGE).reasons == ["extractor_failed"]


@pytest.mark.parametrize(
    ("identified", "sent", "payload", "mime"),
    [
        ("text/html", "text/plain", HTML, "text/html"),
        ("", "TEXT/HTML; charset=x", HTML, "text/html"),
        ("", "", HTML, "text/html"),
        ("", "", b"words", "application/octet-stream"),
        ("", "garbage", b"\xef\xbb\xbf<HTML>", "text/html"),
        ("text/html", "text/html", b"\x89PNG\r\n", "application/octet-stream"),
        ("application/xhtml+xml", "", HTML, "application/xhtml+xml"),
    ],
)
def test_mime_types(identified: str, sent: str, payload: bytes, mime: str) -> None:
    page = replace(PAGE, identified_type=identified, content_type=sent, payload=payload)
    assert mime_type(page) == mime


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example.:80/x", "a.example"),
        ("https://user:word@B.example/", "b.example"),
        ("http://[::1]/", "::1"),
        ("http://[broken/", ""),
        ("dns:a.example", ""),
        ("", ""),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert host_of(url) == host


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=120),
    st.text(max_size=20),
    st.sampled_from(["text/html", "text/html; charset=utf-16", "text/html; charset=gbk"]),
)
def test_any_bytes_are_a_document_or_a_reason(payload: bytes, url: str, content_type: str) -> None:
    page = replace(PAGE, payload=b"<p>" + payload + HTML[:400], url=url, content_type=content_type)
    extracted = extract(page)
    assert (extracted.document is None) == bool(extracted.reasons)
    assert set(extracted.reasons) <= set(REASONS)
    pa.Table.from_pylist([extracted.signals], pa.schema(list(EXTRACT_SIGNALS.items())))
    if extracted.document:
        pa.Table.from_pylist([extracted.document], DOCUMENTS)


@pytest.mark.parametrize(("url", "kept"), [("dns:\ud800x", "dns:?x"), ("", None), (None, None)])
def test_a_record_without_a_page_keeps_its_address_if_it_has_one(url: str | None, kept: str | None) -> None:
    extracted = without_document("bad_body", url)
    assert (extracted.document, extracted.reasons, extracted.signals["url"]) == (None, ["bad_body"], kept)
    pa.Table.from_pylist([extracted.signals], pa.schema(list(EXTRACT_SIGNALS.items())))
