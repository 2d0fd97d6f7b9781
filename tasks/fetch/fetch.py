"""fetch: one WARC file brought to the store, whole and verified, and one row that says what came.

Notable:
- The row holds nothing of where the file came from or lies, so a folder, a mirror and the original give the same part.
  A whole file of a local folder is read in place and never copied.
- Each WARC asked for has a decision. One that cannot be had has no row; whether a run may go on without it is
  `source.max_failed_share`'s to say, and a later run asks for it again.
- A file that is damaged at the source is had: what can be read of it is read, and what cannot is decided on in extract.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import PartFooter, read_footer, read_part
from tasks.dataset.schemas import WARCS, decisions_schema
from tasks.dataset.stage import Output, PartContext, PartJob, Stage
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig, warc_name
from tasks.fetch.range_fetching import fetch_records
from tasks.fetch.selected_records import wanted_records
from tasks.sources.downloading import DamagedWarc, Fetched, byte_source, fetch_warc
from tasks.sources.transfer import NotFound
from tasks.warc.content import NotAWarc, content_digest

_log = logging.getLogger(__name__)

FAILURES: dict[type[PermanentError], str] = {NotFound: "missing", DamagedWarc: "damaged", NotAWarc: "not_a_warc"}
"""What may be wrong with one WARC for good, and the reason that its decision gives."""
SIGNALS = [
    pa.field("path", pa.string()),  # below the source's base, as warc.paths lists it
    pa.field("bytes", pa.int64()),
    pa.field("records", pa.int64()),
    pa.field("verified", pa.int64()),  # records whose digest was there and right
    pa.field("wrong_digests", pa.int64()),  # intact records whose digest is not that of their content
    pa.field("damaged_at", pa.int64()),  # offset of the first record that is damaged at the source; null: none is
]


def run(context: PartContext) -> Iterator[Output]:
    """Fetch the WARC at `job.source["path"]`."""
    source, path = job_source(context.job)
    try:
        fetched = _fetch(context, source, path)
    except tuple(FAILURES) as error:
        if not source.max_failed_share:
            raise type(error)(f"{error} To go on without such files, set source.max_failed_share.") from error
        reason = next(name for kind, name in FAILURES.items() if isinstance(error, kind))
        _log.warning("%s The WARC file is left out (%s).", error, reason)
        counters = {"read": 1, "kept": 0, "failed": 1, f"removed.{reason}": 1}
        yield Output(decisions=_decision(path, [reason]), counters=counters)
        return
    row = {
        "name": warc_name(path),
        "path": path,
        "crawl": source.crawl,
        "bytes": fetched.bytes,
        "digest": fetched.digest,
        "clipped": source.bytes_per_warc is not None,
    }
    check = fetched.check
    yield Output(
        pa.Table.from_pylist([row], WARCS),
        _decision(
            path,
            [],
            bytes=fetched.bytes,
            records=check.records,
            verified=check.verified,
            wrong_digests=len(check.wrong_digests),
            damaged_at=check.broken_at,
        ),
        {
            "read": 1,
            "kept": 1,
            "bytes": fetched.bytes,
            "wrong_digests": len(check.wrong_digests),
            "damaged": int(check.broken_at is not None),
        },
    )


def _decision(path: str, reasons: list[str], **signals: Any) -> pa.Table:
    head = {"id": warc_name(path), "stage": "fetch", "kept": not reasons, "reasons": reasons}
    return pa.Table.from_pylist([head | {"path": path} | signals], DECISIONS)


def _fetch(context: PartContext, source: SourceConfig, path: str) -> Fetched:
    destination = f"{context.store.url}/{stored_path(source, path)}"
    records = wanted_records(context.store, context.job)
    if records is not None and source.select is not None:
        return fetch_records(source.base, records, destination, source.select, source.transfer)
    return fetch_warc(source.base, path, destination, source.transfer, source.bytes_per_warc)


def has_failed(footer: PartFooter) -> bool:
    """Whether a finished fetch part stands for a WARC that could not be had."""
    return footer.counters.get("failed", 0) > 0


def was_fetched(context: PartContext) -> bool:
    """Whether there is a WARC for this job's extraction to read."""
    footer = read_footer(context.store, part_path("fetch", context.job.upstream.get("fetch", ""), context.job.index))
    return footer is None or not has_failed(footer)


def job_source(job: PartJob) -> tuple[SourceConfig, str]:
    """The source that a job reads from, and the WARC's path below its base."""
    return SourceConfig.model_validate(job.source["source"]), str(job.source["path"])


def stored_path(source: SourceConfig, path: str) -> str:
    """Where a fetched WARC lies in the store; one of which only some records were fetched, in a folder for those."""
    folder = f"warcs/{source.crawl}"
    if source.select:
        folder += f"/selected-{digest(source.select.meaning())[:16]}"
    return f"{folder}/{PurePosixPath(path).name}"


def is_read_in_place(source: SourceConfig, path: str) -> bool:
    """Whether the WARC is a whole file of a local folder, which is never copied."""
    if source.select or source.bytes_per_warc is not None:
        return False
    return byte_source(source.base, source.transfer).local(path) is not None


def is_at_hand(job: PartJob) -> bool:
    """Whether the bytes that a finished fetch job speaks of, and no others, are there to be read."""
    source, path = job_source(job)
    store = Store(job.store)
    footer = read_footer(store, job.path)
    if footer is None or has_failed(footer):
        return False
    (row,) = next(read_part(store, job.path)).to_pylist()
    if is_read_in_place(source, path):
        local = byte_source(source.base, source.transfer).local(path)
        return local is not None and local.stat().st_size == row["bytes"]
    stored = stored_path(source, path)
    if not store.exists(stored) or store.size(stored) != row["bytes"]:
        return False
    with store.open(stored) as file:
        return content_digest(file) == str(row["digest"])


def drop_warc(job: PartJob) -> None:
    """Remove the store's copy of a WARC; a file of the source itself is left alone."""
    source, path = job_source(job)
    if not is_read_in_place(source, path):
        Store(job.store).remove(stored_path(source, path))


def schema(context: PartContext) -> pa.Schema:
    """The columns of the one row."""
    return WARCS


DECISIONS = decisions_schema(SIGNALS)


def decisions(context: PartContext) -> pa.Schema:
    """The columns of the one decision."""
    return DECISIONS


STAGE = Stage("fetch", 2, (), run, schema, decisions)
