"""From a page to a document or all its reasons."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.dataset.schemas import DOCUMENTS
from tasks.extract import page_to_document as page_extraction
from tasks.extract.config import ExtractionConfig
from tasks.extract.page_to_document import (
    EXTRACT_SIGNALS,
    REASONS,
    ExtractedPage,
    SeenPages,
    mime_type,
    page_to_document,
    without_document,
)
from tasks.extract.url_rules import UrlRules, UrlRulesConfig
from tasks.warc.reader import Page
from tests.golden.make_filter_vectors import LINES
from tests.tasks.builtin_lists import read_list

HEAD = "<title>The ferry</title><meta name='date' content='2024-03-09'><meta name='robots' content='noarchive'>"
HTML = (
    f"<!DOCTYPE html><html lang='en-GB'><head>{HEAD}</head><body>"
    + "".join(f"<p>{line}</p>" for line in LINES)
    + "</body></html>"
).encode()
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
    headers={"link": '<https://tolvane.example/terms>; rel="license"'},
)
RULES = UrlRules(UrlRulesConfig(), read_list)


def extract(page: Page, rules: UrlRules | None = RULES, **config: Any) -> ExtractedPage:
    chosen = ExtractionConfig.model_validate(config)
    return page_to_document(page, document_id="W:12", crawl="CC-MAIN-2026-46", config=chosen, rules=rules)


def test_a_good_page_is_a_row_of_the_documents() -> None:
    extracted = extract(PAGE, extractor="auto")
    text = "\n".join(LINES)
    assert extracted.reasons == []
    assert extracted.document is not None
    assert extracted.document | {"language_score": 1.0} == {
        "id": "W:12",
        "url": PAGE.url,
        "host": "www.tolvane.example",
        "domain": "tolvane.example",
        "crawl": "CC-MAIN-2026-46",
        "date": PAGE.date,
        "language": "en",
        "language_score": 1.0,
        "text": text,
        "text_hash": xxhash.xxh3_128_hexdigest(text.encode()),
        "kind": "article",
        "method": "runs",
        "extraction_score": extracted.signals["extraction_score"],
        "title": "The ferry",
        "published": "2024-03-09",
        "declared_language": "en",
        "robots": ["noarchive"],
        "license": "https://tolvane.example/terms",
        "source_id": None,
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
        ({"payload": f"<html><body><p>{chr(0xFFFD) * 8} in</p></body></html>".encode()}, "undecodable"),
        (
            {"payload": "<p>항구 도시</p>".encode("iso2022_kr"), "content_type": "text/html; charset=iso-2022-kr"},
            "undecodable",
        ),
    ],
)
def test_a_page_without_a_document_says_why(change: dict[str, Any], reason: str) -> None:
    extracted = extract(replace(PAGE, **change))
    assert extracted.document is None
    assert extracted.reasons == [reason]


def test_every_reason_that_the_record_shows_is_named() -> None:
    bad = replace(PAGE, http_status=500, identified_type="image/png", truncated="time", digest_ok=False, payload=b"")
    expected = ["http_status", "not_html", "truncated", "bad_digest", "empty"]
    assert extract(bad).reasons == expected
    assert extract(replace(bad, url="https://betway.com/")).reasons == [*expected, "url_domain"]


def test_an_address_that_is_refused_is_not_decoded() -> None:
    extracted = extract(replace(PAGE, url="https://tolvane.example/casino/poker"))
    assert extracted.reasons == ["url_soft_words"]
    assert (extracted.signals["url_soft_words"], extracted.signals["charset"]) == (2, None)
    assert extract(replace(PAGE, url="https://tolvane.example/casino/poker"), rules=None).document


def test_a_page_surely_in_another_language_does_not_meet_the_extractor() -> None:
    extracted = extract(PAGE, guess_languages=("de", "fr"))
    assert extracted.reasons == ["language_guess"]
    assert extracted.signals["guessed_language"] == "en"
    assert extracted.signals["guessed_wanted_share"] < 0.2
    assert extracted.signals["n_chars"] is None
    guessed = extract(PAGE, guess_languages=("de", "en"))
    assert guessed.document == extract(PAGE).document
    assert guessed.signals["guessed_wanted_share"] > 0.9


def test_a_page_that_asks_robots_to_stay_away_is_heeded_where_the_recipe_says_so() -> None:
    assert extract(PAGE, drop_robots=("noai",)).document
    assert extract(PAGE, drop_robots=("noai", "noarchive")).reasons == ["robots"]
    by_header = extract(replace(PAGE, headers={"x-robots-tag": "noai"}), drop_robots=("noai",))
    assert (by_header.reasons, by_header.signals["robots"]) == (["robots"], ["noai", "noarchive"])
    with pytest.raises(ValidationError, match="noimageai"):
        ExtractionConfig.model_validate({"drop_robots": ["no-ai"]})


def test_the_same_page_is_read_once() -> None:
    seen = SeenPages()

    def read(page: Page, document_id: str) -> ExtractedPage:
        config = ExtractionConfig()
        return page_to_document(page, document_id=document_id, crawl="c", config=config, rules=RULES, seen=seen)

    assert read(replace(PAGE, url="https://betway.com/"), "W:1").reasons == ["url_domain"]
    assert read(replace(PAGE, http_status=404), "W:2").reasons == ["http_status"]
    assert read(PAGE, "W:3").document
    again = read(replace(PAGE, url="https://mirror.example/", offset=99), "W:4")
    assert (again.reasons, again.signals["seen_as"], again.signals["charset"]) == (["seen"], "W:3", None)
    for other in (
        {"payload": HTML + b"<!-- -->"},
        {"content_type": "text/html; charset=koi8-r"},
        {"headers": {"x-robots-tag": "noai"}},
    ):
        assert read(replace(PAGE, **other), "W:5").document


def test_the_other_extractor_keeps_paragraphs_apart() -> None:
    extracted = extract(PAGE, extractor="resiliparse")
    assert extracted.document
    assert extracted.document["text"].split("\n\n") == list(LINES)


def test_what_the_config_lets_pass_passes() -> None:
    assert extract(replace(PAGE, truncated="length"), drop_truncated=False).document
    assert extract(replace(PAGE, digest_ok=False), drop_bad_digests=False).document
    assert extract(replace(PAGE, digest_ok=None)).document
    assert extract(PAGE, min_text_chars=10_000).reasons == ["no_text"]
    assert extract(PAGE, max_elements=5).reasons == ["too_large"]


def test_an_extractor_that_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(tree: object, html: str, url: str, config: ExtractionConfig) -> str:
        raise RecursionError("deeper and deeper")

    monkeypatch.setattr(page_extraction, "main_text", explode)
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


@pytest.mark.parametrize(
    ("content_type", "payload"),
    [
        ("text/html, text/html; charset=utf-8", HTML),
        ("text/plain, text/html", HTML),
        ("text/html charset=utf-8", HTML),
        ("TEXT/HTML;charset=utf-8", HTML),
        ("", HTML),
        ("", b"\xef\xbb\xbf \n<!DOCTYPE html><title>T</title><p>Words"),
        ("", b"<!-- made by hand --><p>Words"),
        ("unknown/unknown", b"<TITLE>T</TITLE><p>Words"),
    ],
)
def test_html_is_known_as_browsers_know_it(content_type: str, payload: bytes) -> None:
    page = replace(PAGE, identified_type="", content_type=content_type, payload=payload)
    assert mime_type(page) == "text/html"


@pytest.mark.parametrize("payload", [b"Plain words", b"<pfff>", b"<rss><channel>", b"{}", b"\x00\x01<html>"[:2]])
def test_what_has_no_type_and_no_beginning_of_html_is_none(payload: bytes) -> None:
    assert mime_type(replace(PAGE, identified_type="", content_type="", payload=payload)) != "text/html"


def test_a_text_with_some_broken_characters_is_kept() -> None:
    broken = HTML.replace(b"harbour", b"harb\xffour")
    assert extract(replace(PAGE, payload=broken)).reasons == []
