"""Thousands of damaged records and pages through the real extract stage, in a worker's process.

Whatever a record was turned into: the worker lives, the record ends as a document or as a decision with its reasons,
the good pages around it come out, no page takes more time than is allowed, and every text is UTF-8.
"""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.chaos.extract_jobs import Extracted, extract, place
from tests.chaos.mutations import Capture, capture, mutate
from tests.conftest import COMMON_CRAWL
from tests.tasks.warc_builder import members, page

RECORDS_PER_ARCHIVE = 500
PAGE_SECONDS = 4.0
MARGIN_SECONDS = 4.0
"""For decoding, which has a limit of its own, and for C code that a deadline waits for."""
MEMORY_BYTES = 1 << 30
PLAIN_EVERY = 3
"""Every third archive is not compressed."""


def html_pages(folder: Path) -> Iterator[Page]:
    """The HTML pages of all archives in a folder."""
    for warc in sorted(folder.rglob("*.warc.gz")):
        with warc.open("rb") as stream:
            for item in read_pages(stream, ReadLimits()):
                if isinstance(item, Page) and item.http_status == 200 and item.content_type.startswith("text/html"):
                    yield item


@pytest.fixture(scope="module")
def synthetic_web(tmp_path_factory: pytest.TempPathFactory) -> list[Capture]:
    """Pages of the synthetic web, of all kinds."""
    folder = tmp_path_factory.mktemp("synthetic_web") / "web"
    few = SyntheticWebConfig(
        towns=4, pages_per_town=12, held_out_facts=6, hidden_places=1, mirrors=4, near_duplicates=4
    )
    generate_synthetic_web(
        folder, few.model_copy(update={"foreign_pages": 30, "poor_pages": 30, "broken_responses": 9})
    )
    return [capture(found.url, found.payload) for found in html_pages(folder)]


def archive(seed: int, sources: list[Capture]) -> tuple[bytes, list[tuple[int, int, list[str]]], list[int]]:
    """Mutated records, each followed by a good one: the file, the mutated (start, end, mutations), the good's places.

    A record that was cut down to nothing, or to line ends, is not in the list: there is nothing there to lose.
    """
    draw = random.Random(seed)
    compressed = seed % PLAIN_EVERY != 0
    parts: list[bytes] = [members([page(0)]) if compressed else page(0)]
    size, mutated, good = len(parts[0]), [], [0]
    for number in range(1, RECORDS_PER_ARCHIVE + 1):
        one, names = mutate(draw, draw.choice(sources))
        data = one.member() if compressed else one.record()
        if data.strip(b"\r\n\0") and one.record().strip(b"\r\n"):
            mutated.append((size, size + len(data), names))
        good.append(size + len(data))
        parts += [data, members([page(number)]) if compressed else page(number)]
        size += len(parts[-1]) + len(data)
    return b"".join(parts), mutated, good


def check(extracted: Extracted, mutated: list[tuple[int, int, list[str]]], good: list[int]) -> None:
    """All that must hold of what came out."""
    places = extracted.offsets()
    assert places == sorted(set(places)), "each record once, in order"
    kept = [row["id"] for row in extracted.decisions if row["kept"]]
    assert [row["id"] for row in extracted.documents] == kept
    for row in extracted.decisions:
        assert row["kept"] is not bool(row["reasons"]), row
        assert all(isinstance(reason, str) and reason for reason in row["reasons"])
    documents = {int(row["id"].rpartition(":")[2]) for row in extracted.documents}
    assert [place for place in good if place not in documents] == [], "a good page was lost"
    found = set(places)
    missed = [names for start, end, names in mutated if found.isdisjoint(range(start, end))]
    counters = extracted.cost.footer.counters
    others = sum(number for name, number in counters.items() if name.startswith("other_records."))
    assert len(missed) <= others, "a record left neither a decision nor a count"
    assert counters["read"] == len(places)
    seconds, offset = extracted.cost.worst
    names = [names for start, end, names in mutated if start <= offset < end]
    assert seconds < PAGE_SECONDS + MARGIN_SECONDS, names
    assert extracted.cost.peak_bytes < MEMORY_BYTES


def run(seed: int, sources: list[Capture], folder: Path) -> Extracted:
    """One archive through the stage, checked."""
    data, mutated, good = archive(seed, sources)
    place(folder).write_bytes(data)
    extracted = extract(folder, max_page_seconds=PAGE_SECONDS)
    check(extracted, mutated, good)
    return extracted


@pytest.mark.parametrize("seed", range(1, 5))
def test_mutated_records_are_documents_or_decisions(seed: int, synthetic_web: list[Capture], tmp_path: Path) -> None:
    extracted = run(seed, synthetic_web, tmp_path)
    reasons = {reason for row in extracted.decisions for reason in row["reasons"]}
    assert {"bad_body", "wrong_length", "not_html", "truncated"} <= reasons
    kept = len(extracted.documents) - RECORDS_PER_ARCHIVE - 1
    assert RECORDS_PER_ARCHIVE / 5 < kept < RECORDS_PER_ARCHIVE, "some survive, some do not"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_mutated_records(synthetic_web: list[Capture], tmp_path: Path) -> None:
    """Pages of our own, and real ones where they are at hand."""
    real = [capture(found.url, found.payload) for found in islice(html_pages(COMMON_CRAWL / "crawl-data"), 0, None, 9)]
    sources = synthetic_web + [one for one in real if len(one.body) < 60_000]
    for seed in range(100, 120):
        run(seed, sources, tmp_path / str(seed))
