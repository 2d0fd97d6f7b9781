"""The readers on real archives: every record accounted for, text close to the gold.

Skipped where the shared crawl is not beside the repository.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.extract.language import identify
from tasks.warc.reader import Page, ReadLimits, RecordCounts, Unreadable, read_pages
from tests.conftest import COMMON_CRAWL
from tests.page_texts import text_of

pytestmark = pytest.mark.skipif(not COMMON_CRAWL.exists(), reason="the shared crawl is not here")
FIRST_CRAWL = "CC-MAIN-2026-46"
GOLD_SAMPLE = 4  # every fourth gold page
WITHOUT_SPACES = "\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
WORD = re.compile(rf"[{WITHOUT_SPACES}]|[^\W{WITHOUT_SPACES}]+")


def lines_of(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(COMMON_CRAWL / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read(path: str | Path, allow_clipped_end: bool = False) -> tuple[list[Page | Unreadable], RecordCounts]:
    counts = RecordCounts()
    with (COMMON_CRAWL / path).open("rb") as stream:
        items = list(read_pages(stream, ReadLimits(), allow_clipped_end=allow_clipped_end, counts=counts))
    return items, counts


def test_every_record_of_the_first_crawl_is_a_page_at_its_place() -> None:
    labels = [label for label in lines_of("labels.jsonl.gz") if FIRST_CRAWL in label["warc"]]
    assert len(labels) == 1675
    expected = {(label["warc"], label["offset"]): (label["record_id"], label["url"]) for label in labels}
    found = {}
    for warc in sorted({label["warc"] for label in labels}):
        items, counts = read(warc)
        assert counts.others["request"] == counts.others["metadata"] == len(items)
        for item in items:
            assert isinstance(item, Page)
            assert item.digest_ok
            found[warc, item.offset] = (item.record_id, item.url)
    assert found == expected


def test_pages_that_are_not_utf_8_are_decoded_without_loss() -> None:
    labels = {(label["warc"], label["offset"]): label for label in lines_of("labels.jsonl.gz") if not label["utf8"]}
    losses: Counter[str] = Counter()
    for warc in sorted({warc for warc, _ in labels}):
        for item in read(warc)[0]:
            if isinstance(item, Page) and (warc, item.offset) in labels:
                decoded = decode(item.payload, item.content_type)
                losses[item.url] = decoded.text.count("\ufffd")
    assert len(losses) == len(labels)
    assert sum(losses.values()) <= 10, losses.most_common(5)


def test_text_agrees_with_the_gold() -> None:
    gold = [line for line in lines_of("gold.jsonl.gz") if line["kind"] == "full"][::GOLD_SAMPLE]
    places = {(line["warc"], line["offset"]): line for line in gold}
    scores, languages = [], []
    for warc in sorted({warc for warc, _ in places}):
        for item in read(warc)[0]:
            line = places.get((warc, item.offset))
            if line is None or not isinstance(item, Page):
                continue
            text = text_of(decode(item.payload, item.content_type).text, item.url, ExtractionConfig())
            scores.append(four_gram_f1(text, line["text"]))
            languages.append((identify(line["text"])[0], line["lang_guess"]))
    assert len(scores) == len(gold)
    assert sum(scores) / len(scores) >= 0.89
    known = [(found, guess) for found, guess in languages if guess in ("en", "de", "pl", "ru", "el", "zh")]
    assert sum(found == guess for found, guess in known) >= 0.98 * len(known)


def four_gram_f1(text: str, gold: str) -> float:
    """F1 of the word 4-grams, as multisets; in scripts without spaces each character is a word."""
    found, wanted = _four_grams(text), _four_grams(gold)
    common = (found & wanted).total()
    return 2 * common / (found.total() + wanted.total()) if common else float(found == wanted)


def _four_grams(text: str) -> Counter[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
