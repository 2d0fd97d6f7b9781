"""extract: every page of a WARC, or text of another file, becomes a document or a decision that says why not.

Notable: decoding a page and extracting its text are limited in processor time here, and the worker process around
them in memory and in time without progress. A record is reported before it is decoded, so one that breaks even those
limits comes back in `job.skip` and becomes a decision without being decoded again. Finding where a record ends is not
reported: its time grows with the record's length alone and its memory is bounded, so no record should break a limit
there.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from tasks.base.deadline import DeadlineExceeded, cpu_deadline
from tasks.dataset.data_files import read_data_file
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_footer
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.documents.columns import ColumnsConfig, Fields
from tasks.documents.own_reader import read_own
from tasks.documents.reading import read_documents
from tasks.documents.record import TextRecord, UnreadableRow
from tasks.extract.config import ExtractionConfig
from tasks.extract.page_to_document import EXTRACT_SIGNALS, ExtractedPage, SeenPages, page_to_document, without_document
from tasks.extract.rules import RULE_FIELDS, extract_rules
from tasks.extract.text_documents import text_to_document
from tasks.extract.url_rules import UrlRules
from tasks.fetch.crawl_listing import SourceConfig
from tasks.fetch.source_listing import id_prefix
from tasks.fetch.wanted_dataset import wanted_records
from tasks.fetch.warc_files import job_source, local_file, stored_path
from tasks.own_code.named_code import OwnCode
from tasks.warc.reader import Page, ReadLimits, RecordCounts, Unreadable, read_pages

DECISIONS = decisions_schema([pa.field(name, kind) for name, kind in EXTRACT_SIGNALS.items()])
ROWS_PER_GROUP = 1000
"""Records whose text is held in memory at a time, unless it is long."""
CHARS_PER_GROUP = 32_000_000
"""Characters of text held in memory at a time, about."""


def run(context: PartContext) -> Iterator[Output]:
    """Documents and decisions in the order of the records."""
    fetched = read_footer(context.store, part_path("fetch", context.job.upstream["fetch"], context.job.index))
    if fetched and fetched.failed:
        return
    source, path = job_source(context.job)
    prefix, counts, group = id_prefix(source, path), RecordCounts(), _Group()
    items = _texts(context) if source.kind in ("wet", "documents") else _pages(context, counts)
    extract = _Extractor(context, source.crawl)
    for place, record in islice(items, context.job.limit):
        context.progress.at(place)  # what could not be framed is a step forward too
        document_id = f"{prefix}:{place}"
        group.add(document_id, extract(record, document_id))
        if group.is_full:
            yield group.output()
            group = _Group()
    yield group.output()
    others = {f"other_records.{kind}": number for kind, number in counts.others.items()}
    yield Output(counters=others | {"clipped_records": counts.clipped})


def _pages(context: PartContext, counts: RecordCounts) -> Iterator[tuple[int, Page | Unreadable]]:
    """Yield the response records of a WARC with their offsets in the source's file."""
    config = context.config(ExtractStageConfig)
    source, _ = job_source(context.job)
    original = _original_offsets(context)

    def starting(position: int) -> str | None:
        """Tell the supervisor of a record; the reason if it is known to break the worker."""
        offset = original(position)
        context.progress.at(offset)
        broken = context.job.skip.get(offset)
        return f"extractor_{broken}" if broken else None

    with _open_file(context) as stream:
        for record in read_pages(
            stream,
            ReadLimits(max_decoding_seconds=config.max_page_seconds),
            allow_clipped_end=source.bytes_per_warc is not None,
            counts=counts,
            starting=starting,
        ):
            yield original(record.offset), record


def _texts(context: PartContext) -> Iterator[tuple[int, TextRecord | UnreadableRow]]:
    """Yield the texts of a file that are documents already, with their rows or offsets."""
    _, path = job_source(context.job)
    config = context.config(ExtractStageConfig)
    fields = Fields(config.columns or ColumnsConfig())
    with _open_file(context) as stream:
        own = config.reader
        for record in read_own(own, path, stream, fields) if own else read_documents(path, stream, fields):
            if reason := context.job.skip.get(record.place):
                record = UnreadableRow(record.place, f"extractor_{reason}")
            yield record.place, record


def _original_offsets(context: PartContext) -> Callable[[int], int]:
    """From a place in the file that is read to that in the crawl's own, of which perhaps only some records are here."""
    records = wanted_records(context.store, context.job)
    return records.original_offset if records else lambda offset: offset


def _open_file(context: PartContext) -> BinaryIO:
    source, path = job_source(context.job)
    local = local_file(source, path)
    return local.open("rb") if local else context.store.open(stored_path(source, path))


class _Group:
    """Extracted records on their way to one row group: text only, never the pages themselves."""

    def __init__(self) -> None:
        self._documents: list[dict[str, Any]] = []
        self._decisions: list[dict[str, Any]] = []
        self._counters: Counter[str] = Counter()
        self._chars = 0

    def add(self, document_id: str, extracted: ExtractedPage) -> None:
        kept = extracted.document is not None
        if extracted.document:
            self._documents.append(extracted.document)
            self._chars += len(extracted.document["text"])
        head = {"id": document_id, "stage": "extract", "kept": kept, "reasons": extracted.reasons}
        self._decisions.append(head | extracted.signals)
        self._counters.update(["read", *(["kept"] if kept else [f"removed.{reason}" for reason in extracted.reasons])])

    @property
    def is_full(self) -> bool:
        return len(self._decisions) >= ROWS_PER_GROUP or self._chars >= CHARS_PER_GROUP

    def output(self) -> Output:
        documents = pa.Table.from_pylist(self._documents, DOCUMENTS)
        return Output(documents, pa.Table.from_pylist(self._decisions, DECISIONS), dict(self._counters))


class _Extractor:
    """From one record after the other of a WARC to its document, or all its reasons."""

    def __init__(self, context: PartContext, crawl: str) -> None:
        self._config = context.config(ExtractStageConfig)
        self._crawl = crawl
        self._rules = UrlRules(self._config.urls, lambda file: read_data_file(context.store, file))
        self._seen = SeenPages() if self._config.drop_seen else None

    def __call__(self, record: Page | Unreadable | TextRecord | UnreadableRow, document_id: str) -> ExtractedPage:
        if isinstance(record, Unreadable):
            return without_document(record.reason, record.url)
        if isinstance(record, TextRecord | UnreadableRow):
            return text_to_document(
                record, document_id=document_id, crawl=self._crawl, config=self._config, rules=self._rules
            )
        try:
            with cpu_deadline(self._config.max_page_seconds):
                return page_to_document(
                    record,
                    document_id=document_id,
                    crawl=self._crawl,
                    config=self._config,
                    rules=self._rules,
                    seen=self._seen,
                )
        except DeadlineExceeded:
            return without_document("extractor_timeout", record.url)


class _Languages(Protocol):
    languages: tuple[str, ...]


class _Recipe(Protocol):
    source: SourceConfig
    extract: ExtractionConfig
    filter: _Languages


class ExtractStageConfig(ExtractionConfig):
    """The section, and what else decides on documents."""

    columns: ColumnsConfig | None = None
    """Which columns of a file of documents hold what; None: the source is of another kind."""
    reader: OwnCode | None = None
    """What reads a file of documents in our readers' place."""


def _config(recipe: _Recipe) -> ExtractStageConfig:
    """Return the section; the languages to guess for follow the filter's unless given."""
    config = ExtractStageConfig(**dict(recipe.extract))
    if recipe.source.kind == "documents":
        config = config.model_copy(update={"columns": recipe.source.columns, "reader": recipe.source.reader})
    if config.guess_languages is not None:
        return config
    return config.model_copy(update={"guess_languages": recipe.filter.languages})


STAGE = Stage(
    name="extract",
    version=10,
    upstream=(
        Upstream("fetch"),
        # What fetch left is the input; `wanted` only says where in the crawl's file those records are.
        Upstream("wanted", all_parts=True, in_part_inputs=True, when=lambda recipe: recipe.source.select is not None),
    ),
    config_of=_config,
    rows=DOCUMENTS,
    decisions=DECISIONS,
    run=run,
    runs_with="fetch",
    rules=lambda configs: extract_rules(ExtractStageConfig.model_validate(configs["extract"])),
    rule_fields=RULE_FIELDS,
)
