"""How much of the main text comes out, and how little else: word-4-gram F1 on the gold texts, by their sources."""

from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.warc.reader import Page
from tests.bench.side_by_side import show
from tests.page_texts import text_of
from tests.tasks.extract.test_real_pages import four_gram_f1, lines_of, read

FLOORS = {"trafilatura": 0.897, "trafilatura, fast": 0.84, "resiliparse": 0.84}
CONFIGS = {
    "trafilatura": ExtractionConfig(),
    "trafilatura, fast": ExtractionConfig(fast=True),
    "resiliparse": ExtractionConfig(extractor="resiliparse"),
}


@pytest.mark.bench
@pytest.mark.parametrize("name", CONFIGS)
def test_four_gram_f1_on_all_gold_texts(name: str, common_crawl: Path) -> None:
    """Trafilatura by itself, with favor_precision and without its deduplicate, reaches 0.897."""
    gold = {(line["warc"], line["offset"]): line for line in lines_of("gold.jsonl.gz") if line["kind"] == "full"}
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for warc in sorted({warc for warc, _ in gold}):
        for item in read(common_crawl / warc)[0]:
            if isinstance(item, Page) and (line := gold.get((warc, item.offset))):
                text = text_of(decode(item.payload, item.content_type).text, item.url, CONFIGS[name])
                scores[line["source"]].append(four_gram_f1(text, line["text"]))
    every = [score for of_source in scores.values() for score in of_source]
    assert len(every) == len(gold)
    by_source = {f"{source} ({len(found)} pages)": mean(found) for source, found in sorted(scores.items())}
    show(f"Word-4-gram F1 by {name}", {**by_source, "all": mean(every)})
    assert mean(every) >= FLOORS[name]
