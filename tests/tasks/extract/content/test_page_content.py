"""Pages of each kind: the kind that is told, what comes out and what does not; and pages made to hurt."""

import time

import pytest

from tasks.extract.config import ExtractionConfig
from tasks.extract.main_text import MainText, main_text, parse_page
from tests.tasks.extract.content.more_pages_of_kinds import MORE_PAGES_OF_KINDS
from tests.tasks.extract.content.pages_of_kinds import ARTICLE, BOILERPLATE, FORUM, PAGES_OF_KINDS, PageOfKind

PAGES = (*PAGES_OF_KINDS, *MORE_PAGES_OF_KINDS)


def found_in(html: str, url: str, config: ExtractionConfig | None = None) -> MainText:
    config = config or ExtractionConfig(extractor="auto")
    tree = parse_page(html, config)
    assert tree is not None
    return main_text(tree, html, url, config)


@pytest.mark.parametrize("page", PAGES, ids=[page.kind for page in PAGES])
def test_a_page_of_each_kind_is_told_and_keeps_its_main_text(page: PageOfKind) -> None:
    found = found_in(page.html, page.url)
    flat = " ".join(found.text.split())
    assert [piece for piece in page.wanted if piece not in flat] == []
    assert [piece for piece in (*page.unwanted, *BOILERPLATE) if piece in flat] == []
    alike = ("collection", "listing")  # both are lists, and small ones are told apart by their prices at best
    assert found.kind in (alike if page.kind in alike else (page.kind,))
    assert found.score is not None and 0 < found.score <= 1


def test_other_methods_neither_tell_kinds_nor_score() -> None:
    found = found_in(ARTICLE.html, ARTICLE.url, ExtractionConfig(extractor="precision"))
    assert (found.method, found.kind, found.score) == ("precision", None, None)


def test_markdown_comes_of_the_same_choice() -> None:
    text = found_in(FORUM.html, FORUM.url, ExtractionConfig(extractor="auto", format="markdown")).text
    assert all(piece in text for piece in FORUM.wanted)


@pytest.mark.parametrize(
    "body",
    [
        "<p>word</p>" * 15_000,
        "".join(f"<div class='c{number} post-{number}'>text {number}</div>" for number in range(15_000)),
        "<div>" * 5000 + "word",
        "<i>" * 5000 + "word",
        "<p>" + "word " * 400_000 + "</p>",
        "<p>" + "é" * 2_000_000 + "</p>",
    ],
    ids=["paragraphs", "classes", "nested boxes", "nested marks", "a long run", "a long word"],
)
def test_pages_made_to_hurt_take_seconds_at_most(body: str) -> None:
    began = time.thread_time()
    found_in(f"<html><body>{body}</body></html>", "https://tolvane.example/")
    assert time.thread_time() - began < 10
