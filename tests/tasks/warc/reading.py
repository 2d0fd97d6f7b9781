"""Reading a WARC file in one call, for tests: what must hold of every reading is checked on the way."""

import io

from tasks.warc.reader import Page, ReadLimits, RecordCounts, Unreadable, read_pages
from tests.tasks.warc_builder import record

LIMITS = ReadLimits()


def read(
    data: bytes, limits: ReadLimits = LIMITS, allow_clipped_end: bool = False
) -> tuple[list[Page | Unreadable], RecordCounts]:
    counts = RecordCounts()
    items = list(read_pages(io.BytesIO(data), limits, allow_clipped_end=allow_clipped_end, counts=counts))
    assert counts.pages == sum(isinstance(item, Page) for item in items)
    assert counts.unreadable == sum(isinstance(item, Unreadable) for item in items)
    offsets = [item.offset for item in items]
    assert offsets == sorted(set(offsets)), "offsets are ids: each once, in order"
    return items, counts


def pages_of(data: bytes) -> list[Page]:
    items, _ = read(data)
    assert all(isinstance(item, Page) for item in items), items
    return [item for item in items if isinstance(item, Page)]


def one_page(block: bytes, **extra: str) -> Page:
    [found] = pages_of(record(block, **extra))
    return found


def reasons(items: list[Page | Unreadable]) -> list[str]:
    return [item.reason if isinstance(item, Unreadable) else "page" for item in items]
