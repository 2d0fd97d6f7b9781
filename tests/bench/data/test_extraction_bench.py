"""A page's way through our readers beside trafilatura alone, on the same real pages.

Notable: processor time of this thread, since nothing here waits; each page goes both ways in turn, and which way first
changes from page to page, for whoever comes second finds warm caches.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import pyarrow as pa
import pytest
from trafilatura import extract

from tasks.dataset.schemas import DOCUMENTS
from tasks.dedup.minhash import MinHashConfig, signatures_table
from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig, Extractor
from tasks.extract.language import identify
from tasks.extract.language_guess import guess_language
from tasks.extract.main_text import parse_page
from tasks.extract.page_metadata import read_metadata
from tasks.extract.page_to_document import page_to_document
from tasks.extract.url_rules import UrlRules, UrlRulesConfig
from tasks.filter.config import FilterConfig
from tasks.filter.filter import filter_documents
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.bench.side_by_side import show
from tests.page_texts import text_of
from tests.tasks.builtin_lists import read_list

P = ParamSpec("P")
T = TypeVar("T")
PAGES = 200
ROUNDS = 2
CONFIG = ExtractionConfig()
MOST_BESIDE_EXTRACTION = 0.21
"""Of bare trafilatura's time. Measured on idle cores: 0.193, and 0.160 before prose had signals of its own."""


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


def our_way(page: Page, config: ExtractionConfig) -> bool:
    """What the extract stage does with a page; whether it became a document."""
    return page_to_document(page, document_id="x", crawl="y", config=config).document is not None


@pytest.mark.bench
@pytest.mark.parametrize(("extractor", "most"), [("precision", 1.25), ("auto", 0.8)])
def test_our_way_costs_little_more_than_trafilatura_alone(
    extractor: Extractor, most: float, common_crawl: Path
) -> None:
    """Reading, decompressing, digests, decoding, limits, language and hash included; trafilatura gets decoded text."""
    config, ratios = ExtractionConfig(extractor=extractor), []
    for _ in range(ROUNDS):
        clock, pages, documents = Clock(), 0, 0
        for page in pages_of(common_crawl, clock):
            html = decode(page.payload, page.content_type).text
            pages += 1
            for side in ("ours", "bare") if pages % 2 else ("bare", "ours"):
                if side == "ours":
                    documents += clock.time("ours", our_way, page, config)
                else:
                    clock.time("bare", bare_trafilatura, html, page.url)
        assert documents >= 0.8 * pages >= 0.5 * PAGES
        clock.seconds["ours"] += clock.seconds["read"]
        ratios.append(clock.share("ours", "bare"))
    ratio = median(ratios)
    show("A page from the WARC to a document, time over trafilatura's alone", {f"{extractor} over bare": ratio})
    assert ratio <= most


FIELD_STEPS = ("read", "address", "decode", "language", "filter", "signatures")
"""What every pipeline of this kind does to a page besides the extraction of its text."""
OWN_STEPS = ("guess", "metadata")
"""What this one does beyond: a guess of the language, which spares more than it costs where few pages are wanted, and
the columns of title, date, robots and licence."""


def measure_steps(folder: Path) -> Clock:
    """Every step once for each page, signatures for those that the filters keep; and both extractions in turn.

    The filters and signatures come after all else, as they do in a run: they are stages of their own.
    """
    clock, texts = Clock(), []
    rules, config = UrlRules(UrlRulesConfig(), read_list), FilterConfig()
    for number, page in enumerate(pages_of(folder, clock)):
        clock.time("address", rules.check, page.url)
        html = clock.time("decode", decode, page.payload, page.content_type).text
        clock.time("guess", guess_language, html, ("en",))
        for side in ("ours", "bare") if number % 2 else ("bare", "ours"):
            if side == "ours":
                text = clock.time("ours", text_of, html, page.url, CONFIG)
            else:
                clock.time("bare", bare_trafilatura, html, page.url)
        if (tree := parse_page(html, CONFIG)) is not None:
            clock.time("metadata", read_metadata, tree, html, page.url, page.date, page.headers)
        if text:
            texts.append((text, *clock.time("language", identify, text)))
    columns = dict(zip(("text", "language", "language_score"), zip(*texts, strict=True), strict=True))
    documents = pa.Table.from_pydict(
        {name: columns.get(name, [None] * len(texts)) for name in DOCUMENTS.names}, DOCUMENTS
    )
    kept = clock.time("filter", filter_documents, documents, config).rows
    assert kept
    clock.time("signatures", signatures_table, kept, MinHashConfig())
    return clock


@pytest.mark.bench
def test_everything_but_extraction_is_a_small_share(common_crawl: Path) -> None:
    """Of trafilatura's time as others call it; and of our own extraction's, which takes about 0.6 of that."""
    signatures_table(DOCUMENTS.empty_table(), MinHashConfig())  # the first call imports datasketch
    clocks = [measure_steps(common_crawl) for _ in range(ROUNDS)]
    together = {}
    for below, title in (("bare", "trafilatura's as it comes"), ("ours", "our extraction's")):
        shares = {step: median(clock.share(step, below) for clock in clocks) for step in (*FIELD_STEPS, *OWN_STEPS)}
        together[below] = sum(shares[step] for step in FIELD_STEPS)
        shares |= {"the field's steps together": together[below], "with our own": sum(shares.values())}
        show(f"Everything but extraction, time over {title}", shares)
    assert together["bare"] <= MOST_BESIDE_EXTRACTION
