"""Main text out of a page's HTML, by trafilatura.

Notable:
- Never trafilatura's `deduplicate`: it remembers segments for the whole process, so that a page's text would depend
  on which pages came before it (trafilatura issue 778). What FineWeb lost to it cannot be reproduced.
- The page is parsed here, so that the tree can be measured before the extractor walks it. The parser finds its element
  class in C instead of by lxml.html's lookup in Python: the same text, and what that saves pays for the measuring.
- Limits keep hostile pages from the extractor, whose XPath expressions take seconds on one giant attribute. Nesting
  needs no limit of ours: libxml2 drops what is nested deeper than 256.
"""

from __future__ import annotations

import logging
import re
from functools import cache

from lxml import etree
from lxml import html as lxml_html
from pydantic import Field
from trafilatura import extract

from tasks.config import Config

# Control characters that no XML tree may hold, and surrogates that UTF-8 cannot.
_INVALID_CHARACTERS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LONG_ATTRIBUTES = etree.XPath("//*[@*[string-length() > $limit]]")
_COUNT_ELEMENTS = etree.XPath("count(//*)")
_SELF_CLOSED_HTML = re.compile(r"(<html\b[^>]{0,1000}?)\s*/>", re.IGNORECASE)
_HEAD_CHARACTERS = 4096


class ExtractionConfig(Config):
    """How text is taken out of HTML."""

    favor_precision: bool = True
    """Prefer less text that is surely the main text; False weighs both alike."""
    tables: bool = True
    """Keep the text of tables."""
    fast: bool = False
    """Skip the comparison with a second extractor: a third faster, word-4-gram F1 0.87 instead of 0.90."""
    min_text_chars: int = Field(default=1, ge=1)
    """A page with a shorter text, in characters, is dropped as `no_text`."""
    max_html_chars: int = Field(default=10_000_000, gt=0)
    """A page with longer HTML, in characters, is dropped as `too_large`."""
    max_elements: int = Field(default=100_000, gt=0)
    """A page with more HTML elements is dropped as `too_large`; extraction takes up to 40 microseconds for each."""
    max_attribute_chars: int = Field(default=100_000, gt=0)
    """Attributes longer than so many characters are ignored."""
    max_page_seconds: float = Field(default=20.0, gt=0)
    """A page that takes the extractor more processor time, in seconds, is dropped as `extractor_timeout`."""
    drop_truncated: bool = True
    """Drop pages of which the archive holds only the beginning."""
    drop_bad_digests: bool = True
    """Drop pages whose payload digest does not agree with their bytes."""


class HtmlTooLargeError(ValueError):
    """A page that is over a limit of `ExtractionConfig`; the message says which."""


def extract_text(html: str, url: str, config: ExtractionConfig) -> str:
    """The page's main text, lines separated by single newlines, "" where there is none.

    Raises `HtmlTooLargeError` for a page over the limits; whatever else the extractor raises is let through.
    """
    tree = _parse(html, config)
    if tree is None:
        return ""
    text: str | None = extract(
        tree,
        url=url,
        favor_precision=config.favor_precision,
        include_comments=False,
        include_tables=config.tables,
        fast=config.fast,
        deduplicate=False,
    )
    return text or ""


def _parse(html: str, config: ExtractionConfig) -> lxml_html.HtmlElement | None:
    """The page's tree within the limits; None where there is nothing to parse."""
    if len(html) > config.max_html_chars:
        raise HtmlTooLargeError(f"the HTML has {len(html)} characters, over {config.max_html_chars}")
    cleaned = _INVALID_CHARACTERS.sub("", html)
    # libxml2 takes a self-closed <html/> at its word and drops the page.
    head = _SELF_CLOSED_HTML.sub(r"\1>", cleaned[:_HEAD_CHARACTERS], count=1)
    try:
        tree = etree.fromstring((head + cleaned[_HEAD_CHARACTERS:]).encode(), _parser())
    except etree.ParserError:
        return None
    if tree is None:
        return None
    n_elements = int(_COUNT_ELEMENTS(tree))
    if n_elements > config.max_elements:
        raise HtmlTooLargeError(f"the page has {n_elements} elements, over {config.max_elements}")
    if len(html) > config.max_attribute_chars:
        _drop_long_attributes(tree, config.max_attribute_chars)
    return tree


def _drop_long_attributes(tree: lxml_html.HtmlElement, limit: int) -> None:
    for element in _LONG_ATTRIBUTES(tree, limit=limit):
        for name, value in element.attrib.items():
            if len(value) > limit:
                del element.attrib[name]


@cache
def _parser() -> etree.HTMLParser:
    """The parser, made on first use; it quiets trafilatura, whose messages say what our decisions say."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    parser = etree.HTMLParser(
        collect_ids=False, default_doctype=False, encoding="utf-8", remove_comments=True, remove_pis=True
    )
    parser.set_element_class_lookup(
        etree.ElementDefaultClassLookup(
            element=lxml_html.HtmlElement,
            comment=lxml_html.HtmlComment,
            pi=lxml_html.HtmlProcessingInstruction,
            entity=lxml_html.HtmlEntity,
        )
    )
    return parser
