"""extract: every response record of a WARC becomes a document or a decision that says why not.

Notable: a page has a limit of processor time here, and the process around it limits of memory and of standing still. A
record that breaks even those comes back in `job.skip` and is decided on without being read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa

from tasks.deadline import DeadlineExceeded, cpu_deadline
from tasks.extraction import ExtractionConfig
from tasks.page_extraction import EXTRACT_SIGNALS, ExtractedPage, page_to_document
from tasks.schemas import DOCUMENTS, decisions_schema
from tasks.stages.fetch import is_read_in_place, job_source, stored_path, warc_name
from tasks.stages.stage import Output, PartContext, Stage, Upstream
from tasks.warc_reading import Page, ReadLimits, RecordCounts, Unreadable, read_pages

DECISIONS = decisions_schema([pa.field(name, kind) for name, kind in EXTRACT_SIGNALS.items()])
ROWS_PER_GROUP = 1000
"""Records whose text is held in memory at a time."""


def run(context: PartContext) -> Iterator[Output]:
    """Documents and decisions in the order of the records."""
    config = context.config(ExtractionConfig)
    source, path = job_source(context.job)
    counts = RecordCounts()
    with _open_warc(context) as stream:
        records = read_pages(stream, ReadLimits(), allow_clipped_end=source.bytes_per_warc is not None, counts=counts)
        while group := list(islice(records, ROWS_PER_GROUP)):
            yield _extract_group(context, group, warc_name(path), source.crawl, config)
    others = {f"other_records.{kind}": number for kind, number in counts.others.items()}
    yield Output(counters=others | {"clipped_records": counts.clipped})


def _open_warc(context: PartContext) -> BinaryIO:
    source, path = job_source(context.job)
    if is_read_in_place(source, path):
        return cast(BinaryIO, fsspec.open(f"{source.base.rstrip('/')}/{path}", "rb").open())
    return context.store.open(stored_path(source, path))


def _extract_group(
    context: PartContext, group: list[Page | Unreadable], warc: str, crawl: str, config: ExtractionConfig
) -> Output:
    documents: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    counters: Counter[str] = Counter()
    for record in group:
        document_id = f"{warc}:{record.offset}"
        extracted = _extract_record(context, record, document_id, crawl, config)
        if extracted.document:
            documents.append(extracted.document)
        kept = extracted.document is not None
        head = {"id": document_id, "stage": "extract", "kept": kept, "reasons": extracted.reasons}
        decisions.append(head | extracted.signals)
        counters.update(["read", *(["kept"] if kept else [f"removed.{reason}" for reason in extracted.reasons])])
    return Output(
        pa.Table.from_pylist(documents, DOCUMENTS), pa.Table.from_pylist(decisions, DECISIONS), dict(counters)
    )


def _extract_record(
    context: PartContext, record: Page | Unreadable, document_id: str, crawl: str, config: ExtractionConfig
) -> ExtractedPage:
    """One record's document, or all its reasons."""
    context.progress.at(record.offset)
    if isinstance(record, Unreadable):
        return ExtractedPage(None, [record.reason], {})
    if record.offset in context.job.skip:
        return ExtractedPage(None, [f"extractor_{context.job.skip[record.offset]}"], {"url": record.url})
    try:
        with cpu_deadline(config.max_page_seconds):
            return page_to_document(record, document_id=document_id, crawl=crawl, config=config)
    except DeadlineExceeded:
        return ExtractedPage(None, ["extractor_timeout"], {"url": record.url})


def schema(context: PartContext) -> pa.Schema:
    """The columns of the documents."""
    return DOCUMENTS


def decisions(context: PartContext) -> pa.Schema:
    """The columns of the decisions."""
    return DECISIONS


STAGE = Stage("extract", 1, (Upstream("fetch"),), run, schema, decisions)
