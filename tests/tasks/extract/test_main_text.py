"""Main text: what is taken and left, that no page depends on another, and pages made to hurt."""

import pytest
import trafilatura
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extract.config import ExtractionConfig
from tasks.extract.html.limits import HtmlTooLargeError
from tests.golden.make_filter_vectors import LINES
from tests.page_texts import text_of

CONFIG = ExtractionConfig()
URL = "https://tolvane.example/"
NAVIGATION = '<nav><a href="/">Home</a> <a href="/shop">Shop</a> <a href="/about">About us</a></nav>'
ARTICLE = "".join(f"<p>{line}</p>" for line in LINES)
FOOTER = "<footer>Copyright Tolvane Press. All rights reserved. Privacy settings.</footer>"
COMMENTS = '<div id="comments"><div class="comment"><p>I was there as a child and liked it.</p></div></div>'


def page(body: str = ARTICLE, head: str = "") -> str:
    return (
        f"<!DOCTYPE html><html><head><title>T</title>{head}</head>"
        f"<body>{NAVIGATION}<article>{body}</article>{COMMENTS}{FOOTER}</body></html>"
    )


def test_the_main_text_is_taken_and_the_rest_left() -> None:
    assert text_of(page(), URL, CONFIG) == "\n".join(LINES)


def test_tables_are_kept_where_they_are_wanted() -> None:
    table = "<table><tr><td>Depth of the sound</td><td>forty fathoms</td></tr></table>"
    assert "forty fathoms" in text_of(page(ARTICLE + table), URL, CONFIG)
    assert "forty fathoms" not in text_of(page(ARTICLE + table), URL, ExtractionConfig(tables=False))


def test_blank_lines_part_paragraphs_headings_lists_and_tables_where_they_are_wanted() -> None:
    rows = "<table><tr><td>Depth</td><td>forty fathoms</td></tr><tr><td>Width</td><td>two miles</td></tr></table>"
    body = f"<h2>The harbour</h2>{ARTICLE}<ul><li>{LINES[0]} Yes.</li><li>{LINES[1]} No.</li></ul>{rows}"
    text = text_of(page(body), URL, ExtractionConfig(blank_lines=True))
    blocks = text.split("\n\n")
    assert blocks[: len(LINES) + 1] == ["The harbour", *LINES]
    assert blocks[-2] == f"- {LINES[0]} Yes.\n- {LINES[1]} No."
    assert "Depth" in blocks[-1] and "Width" in blocks[-1]
    assert text.split() == text_of(page(body), URL, CONFIG).split()


def test_the_other_extractor_takes_the_main_text_too() -> None:
    text = text_of(page(), URL, ExtractionConfig(extractor="resiliparse"))
    assert text.split("\n\n") == list(LINES)


def test_a_segment_met_before_is_not_dropped() -> None:
    texts = {text_of(page(), URL, CONFIG) for _ in range(5)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    "html",
    [
        page(),
        page(ARTICLE.replace("<p>", "<div>").replace("</p>", "</div>")),
        page(f"<ul>{''.join(f'<li>{line}</li>' for line in LINES)}</ul>"),
        page("".join(f"<h2>Part</h2><blockquote>{line}</blockquote>" for line in LINES)),
        page(head="<!-- a comment --><?php echo 1 ?><style>p { x: y }</style>"),
        f"<html>{ARTICLE.replace('</p>', '')}",
    ],
)
def test_our_parser_gives_the_text_that_trafilatura_s_own_gives(html: str) -> None:
    expected = trafilatura.extract(html, url=URL, favor_precision=True, include_comments=False, deduplicate=False)
    assert text_of(html, URL, CONFIG) == (expected or "")
    assert "guild of salt merchants" in text_of(html, URL, CONFIG)


def test_a_self_closed_html_tag_does_not_close_the_page() -> None:
    html = f"<?xml version='1.0' encoding='utf-8'?><html lang='en' />{NAVIGATION}{ARTICLE}"
    assert text_of(html, URL, CONFIG) == "\n".join(LINES)


@pytest.mark.parametrize("html", ["", "   ", "no markup at all", "<", "<!-- -->", "\0\x01", "<html></html>", "<?xml?>"])
def test_a_page_with_nothing_gives_no_text(html: str) -> None:
    assert text_of(html, URL, CONFIG) in ("", html)


def test_control_characters_and_surrogates_do_not_break_it() -> None:
    assert "quay" in text_of(page().replace("oldest", "old\0\x0b\ud800est"), URL, CONFIG)


def test_limits_on_characters_and_elements_are_told() -> None:
    with pytest.raises(HtmlTooLargeError, match="characters"):
        text_of(page(), URL, ExtractionConfig(max_html_chars=100))
    with pytest.raises(HtmlTooLargeError, match="elements"):
        text_of(page(), URL, ExtractionConfig(max_elements=10))


def test_a_giant_attribute_is_ignored() -> None:
    hostile = page(f'<div class="{"a " * 200_000}">{ARTICLE}</div>')
    assert "guild of salt merchants" in text_of(hostile, URL, CONFIG)


@pytest.mark.parametrize("tag", ["div", "span", "table><tr><td", "ul><li", "b"])
def test_deep_nesting_ends(tag: str) -> None:
    assert isinstance(text_of(f"<html><body>{f'<{tag}>' * 15_000}{ARTICLE}", URL, CONFIG), str)


TAGS = ["<div>", "</div>", "<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<script>", "</html>", "</a>"]
PIECES = [
    *TAGS,
    "<!--",
    "-->",
    "<a href='x'>",
    "&amp;",
    "&#0;",
    "&#xD800;",
    "<",
    ">",
    '"',
    "\0",
    "\ud800",
    "中",
    *LINES[:3],
]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_markup_gives_a_text(html: str) -> None:
    assert isinstance(text_of(html, URL, CONFIG), str)
