"""Texts of the real pages, as our extractor takes them out."""

from collections.abc import Iterator

from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.extract.language import identify
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.conftest import COMMON_CRAWL
from tests.page_texts import text_of


def texts_by_language() -> Iterator[tuple[str, str]]:
    """The ISO 639-1 code and the text of each page of the shared crawls that has one; none where they are not here."""
    for warc in sorted((COMMON_CRAWL / "crawl-data").rglob("*.warc.gz")):
        with warc.open("rb") as stream:
            for page in read_pages(stream, ReadLimits()):
                if isinstance(page, Page):
                    html = decode(page.payload, page.content_type).text
                    text = text_of(html, page.url, ExtractionConfig())
                    if text:
                        yield identify(text)[0], text


def english_texts() -> Iterator[str]:
    """Those in English."""
    return (text for language, text in texts_by_language() if language == "en")
