"""A page's way through our readers beside trafilatura alone, on the same real pages.

Notable: processor time of this thread, since nothing here waits; each page goes both ways in turn, and which way first
changes from page to page, for whoever comes second finds warm caches.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import pyarrow as pa
import pytest
from trafilatura import extract

from tasks.charset import decode
from tasks.extraction import ExtractionConfig, extract_text
from tasks.filters.filtering import FilterConfig, filter_document
from tasks.language import identify
from tasks.minhash import MinHashConfig, signatures_table
from tasks.page_extraction import page_to_document
from tasks.warc_reading import Page, ReadLimits, read_pages
from tests.bench.side_by_side import show

P = ParamSpec("P")
T = TypeVar("T")
PAGES = 200
ROUNDS = 2
CONFIG = ExtractionConfig()


class Clock:
    """Processor time of this thread, summed under names."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def time(self, name: str, work: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """The result of `work`, its time added to `name`."""
        began = time.thread_time()
        result = work(*arguments, **keywords)
        self.seconds[name] += time.thread_time() - began
        return result

    def share(self, above: str, below: str) -> float:
        """Time under one name over time under another."""
        return self.seconds[above] / self.seconds[below]


def pages_of(folder: Path, clock: Clock) -> Iterator[Page]:
    """`PAGES` pages of the first crawl's WARCs, as many of each; `clock` gets the time of reading them."""
    warcs = sorted((folder / "crawl-data" / "CC-MAIN-2026-46").rglob("*.warc.gz"))
    for warc in warcs:
        with warc.open("rb") as stream:
            items = read_pages(stream, ReadLimits())
            for _ in range(-(-PAGES // len(warcs))):
                item = clock.time("read", next, items, None)
                if isinstance(item, Page):
                    yield item


def bare_trafilatura(html: str, url: str) -> str:
    """What a script would call, at our settings."""
    return extract(html, url=url, favor_precision=True, include_comments=False, deduplicate=False) or ""


def our_way(page: Page) -> bool:
    """What the extract stage does with a page; whether it became a document."""
    return page_to_document(page, document_id="x", crawl="y", config=CONFIG).document is not None


@pytest.mark.bench
def test_our_way_costs_little_more_than_trafilatura_alone(common_crawl: Path) -> None:
    """Reading, decompressing, digests, decoding, limits, language and hash included; trafilatura gets decoded text."""
    ratios = []
    for _ in range(ROUNDS):
        clock, pages, documents = Clock(), 0, 0
        for page in pages_of(common_crawl, clock):
            html = decode(page.payload, page.content_type).text
            pages += 1
            for side in ("ours", "bare") if pages % 2 else ("bare", "ours"):
                if side == "ours":
                    documents += clock.time("ours", our_way, page)
                else:
                    clock.time("bare", bare_trafilatura, html, page.url)
        assert documents >= 0.8 * pages >= 0.5 * PAGES
        clock.seconds["ours"] += clock.seconds["read"]
        ratios.append(clock.share("ours", "bare"))
    ratio = median(ratios)
    show("A page from the WARC to a document, time over trafilatura's alone", {"ours over bare": ratio})
    assert ratio <= 1.25


@pytest.mark.bench
def test_everything_but_extraction_is_a_small_share(common_crawl: Path) -> None:
    """Read, decode, language and filters for every page, signatures for those that the filters keep."""
    clock = Clock()
    config, kept = FilterConfig(), []
    for page in pages_of(common_crawl, clock):
        html = clock.time("decode", decode, page.payload, page.content_type).text
        text = clock.time("extract", extract_text, html, page.url, CONFIG)
        if text:
            language, score = clock.time("language", identify, text)
            judged = clock.time("filter", filter_document, text, language, score, config)
            kept += [judged.text] if judged.kept else []
    assert kept
    documents = pa.table({"id": kept, "text_hash": kept, "text": kept})
    clock.time("signatures", signatures_table, documents, MinHashConfig())
    steps = ("read", "decode", "language", "filter", "signatures")
    shares = {name: clock.share(name, "extract") for name in steps}
    shares["all together"] = sum(shares.values())
    show("Everything but extraction, time over extraction's", shares)
    assert shares["all together"] <= 0.25
