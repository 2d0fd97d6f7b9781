"""Trafilatura's searches in Python: the elements that XPath finds, in its order, for every expression it has."""

from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree, html
from trafilatura import core, external, extract, main_extractor, xpaths

from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.extract.fast_trafilatura import fast_searches, translate
from tasks.extract.html.limits import HtmlTooLargeError
from tasks.extract.main_text import parse_page
from tasks.warc.reader import Page, ReadLimits, read_pages

LISTS = {
    name: list(held)
    for name, held in vars(xpaths).items()
    if isinstance(held, list) and all(isinstance(item, etree.XPath) for item in held)
}
EXPRESSIONS = [expression for held in LISTS.values() for expression in held]
REGEXP = {"re": xpaths.REGEXP_NS}

# Values that the expressions look for, and some that nearly are.
VALUES = [
    *("comment", "comments-title", "Commentary", "reply-1", "hidden", " hidden", "display:none", "footer", "nav"),
    *("post", "entry", "article-body", "storybody", "content", "main-content", "teaser", "Teaser", "bottom", "xbottom"),
    *("link", "permalink", "border", "social", "share-", "caption", "mvp-post-add-wrap", "elementor-share-buttons"),
    *("cookie", "true", "", " ", "main", "article ", "disqus_thread", "respond", "menu bar", "x" * 400),
]
ATTRIBUTES = [
    "id",
    "class",
    "style",
    "role",
    "aria-hidden",
    "data-component",
    "data-lp-replacement-content",
    "itemprop",
]
TAGS = ["div", "p", "span", "section", "ul", "ol", "article", "main", "aside", "details", "header", "h1", "a", "list"]

attributes = st.lists(st.tuples(st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES)), max_size=4)
leaves = st.tuples(st.sampled_from(TAGS), attributes, st.just(()))
trees = st.recursive(
    leaves, lambda below: st.tuples(st.sampled_from(TAGS), attributes, st.lists(below, max_size=4)), max_leaves=12
)


def built(drawn: tuple[str, list[tuple[str, str]], list[object]]) -> html.HtmlElement:
    tag, pairs, below = drawn
    element = html.Element(tag)
    for name, value in pairs:
        element.set(name, value)
    element.extend([built(child) for child in below])  # type: ignore[arg-type]
    return element


def test_the_expressions_that_matter_are_translated() -> None:
    """Those that cost half of the extraction; a new trafilatura may need more of the language than is spoken here."""
    for name in ("OVERALL_DISCARD_XPATH", "PRECISION_DISCARD_XPATH", "REMOVE_COMMENTS_XPATH", "TEASER_DISCARD_XPATH"):
        for expression in LISTS[name]:
            assert translate(expression) is not expression, name


@settings(max_examples=100, deadline=None)
@given(trees)
def test_they_find_what_xpath_finds(drawn: tuple[str, list[tuple[str, str]], list[object]]) -> None:
    tree = html.Element("body")
    tree.append(built(drawn))
    for expression in EXPRESSIONS:
        assert translate(expression)(tree) == expression(tree), expression.path


@pytest.mark.parametrize(
    "path",
    [
        ".//div",
        ".//*[@id]",
        ".//*[@id='a' or @class=\"b\"]",
        ".//*[self::div or self::p][@class='b'][1]",
        "(.//*[self::div or self::p][@class='b'])[1]",
        ".//*[@class='b'][not(.//p) or self::p]",
        ".//*[@class='b'][@id and contains(@id, 'a')]",
        ".//*[re:test(@class, 'B', 'i')]",
        ".//*[re:test(@id|@class, 'b')]",
        ".//*[starts-with(@class|@id, 'b') or re:test(@id|@role, 'a')]",
        ".//*[contains(translate(@class, 'B', 'b'), 'b')]",
        ".//*[(@class='b' or @id='a')]",
    ],
)
def test_each_form_that_is_understood(path: str) -> None:
    tree = html.fromstring(
        "<div><p id='a' class='b'><b/></p><p class='b' id='a'/><div class='B'><p/></div>"
        "<div class='b' id='c'><p/></div><section id='' class=''><p class='b'/><p class='b'/>"
        "<span role='a' id='b'/><span id='b' role='a'/></section></div>"
    )
    expression = etree.XPath(path, namespaces=REGEXP)
    quick = translate(expression)
    assert quick is not expression
    assert quick(tree) == expression(tree)


@pytest.mark.parametrize(
    "path",
    [
        "//div",
        ".//div|.//p",
        ".//*[rel='me']",
        ".//*[contains(., 'x')]",
        ".//*[re:test(@id, '^$|x')]",
        ".//*[not(@id)]",
        ".//*[@id and @class]",
        ".//*[@id][2]",
        ".//*[position()=1]",
        ".//*[contains(@id, @class)]",
        ".//*[re:test(@id, 'x', 'g')]",
        "(.//*[@id])[last()]",
        ".//*[@id]/p",
        "string(.//p)",
    ],
)
def test_what_is_not_understood_is_left_as_it_is(path: str) -> None:
    expression = etree.XPath(path, namespaces=REGEXP)
    assert translate(expression) is expression


def test_trafilatura_has_its_own_lists_back_afterwards() -> None:
    held = [core.REMOVE_COMMENTS_XPATH, external.OVERALL_DISCARD_XPATH, main_extractor.BODY_XPATH]
    before = [list(expressions) for expressions in held]
    with pytest.raises(RuntimeError), fast_searches():
        assert all(list(now) != then for now, then in zip(held, before, strict=True))
        raise RuntimeError
    assert [list(expressions) for expressions in held] == before


def test_the_text_of_real_pages_is_the_same(common_crawl: Path) -> None:
    compared = 0
    for warc in sorted((common_crawl / "crawl-data").rglob("*.warc.gz")):
        with warc.open("rb") as stream:
            for item in islice(read_pages(stream, ReadLimits()), 0, None, 50):
                if isinstance(item, Page) and item.http_status == 200:
                    assert_same_text(decode(item.payload, item.content_type).text, item.url)
                    compared += 1
    assert compared > 30


def assert_same_text(source: str, url: str) -> None:
    try:
        tree = parse_page(source, ExtractionConfig())
    except HtmlTooLargeError:
        return
    texts = []
    for way in (nullcontext, fast_searches):
        with way():
            texts.append(tree is not None and extract(tree, url=url, favor_precision=True, include_comments=False))
    assert texts[0] == texts[1], url
