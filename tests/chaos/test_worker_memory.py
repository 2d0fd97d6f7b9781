"""A worker's memory over a whole WARC of a gigabyte: bounded, and flat from the first pages to the last."""

import gzip
import random
from itertools import chain, cycle, islice
from pathlib import Path

import pytest

from tasks.workers.worker_process import WorkerLimits
from tests.chaos.extract_jobs import extract, place
from tests.chaos.test_mutated_records import html_pages
from tests.tasks.warc_builder import http_response, record

WARC_BYTES = 1_000_000_000
NEW_PAGES = 1_000
"""Pages that no other record repeats, spread over the file. The rest are the crawl's own, over and over: all are read,
unpacked and verified, and from the second time on decided as `seen`, since extracting every one would take too long."""
LARGE_BYTES = 60_000_000
"""Of a page that no compression makes smaller."""
MOST_BYTES = 1 << 30
MOST_GROWTH = 48 << 20
"""From the first quarter of the file to the last, in resident bytes."""


def write_warc(path: Path, crawl: Path) -> None:
    """A gigabyte of records, most of them copies of the crawl's."""
    warcs = sorted(crawl.rglob("*.warc.gz"))
    copies = WARC_BYTES // sum(warc.stat().st_size for warc in warcs)
    each = NEW_PAGES // (copies * len(warcs)) + 1
    pages = cycle(list(islice(html_pages(crawl), 400)))
    with path.open("wb") as file:
        file.write(gzip.compress(record(http_response(random.Random(1).randbytes(LARGE_BYTES))), 1))
        for number, warc in enumerate(chain.from_iterable([warcs] * copies)):
            file.write(warc.read_bytes())
            for place_of, found in enumerate(islice(pages, each)):
                new = found.payload + b"<!-- %d %d -->" % (number, place_of)
                file.write(gzip.compress(record(http_response(new), url=found.url), 1))
        file.write(gzip.compress(record(http_response(bytes(LARGE_BYTES))), 1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_worker_needs_no_more_than_a_gigabyte_for_a_warc_of_a_gigabyte(common_crawl: Path, tmp_path: Path) -> None:
    archive = place(tmp_path)
    write_warc(archive, common_crawl / "crawl-data")
    size = archive.stat().st_size
    try:
        extracted = extract(tmp_path, WorkerLimits(seconds=3600, memory_bytes=2 << 30, stall_seconds=60))
    finally:
        archive.unlink()
    cost, counters = extracted.cost, extracted.cost.footer.counters
    quarter = len(cost.resident_bytes) // 4
    first, last = max(cost.resident_bytes[:quarter]), max(cost.resident_bytes[-quarter:])
    print(f"\n{size / 1e9:.2f} GB, {counters['read']} records read, {counters['kept']} documents, {cost.seconds:.0f} s")
    print(
        f"peak {cost.peak_bytes >> 20} MiB; resident in the first quarter {first >> 20}, in the last {last >> 20} MiB"
    )
    assert size > 0.99 * WARC_BYTES
    assert counters["kept"] > NEW_PAGES
    assert counters["removed.seen"] > counters["read"] / 2
    assert cost.peak_bytes < MOST_BYTES
    assert last - first < MOST_GROWTH
