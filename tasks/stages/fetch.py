"""fetch: one WARC file brought to the store, whole and verified, and one row that says what came.

Notable: the row holds nothing of where the file came from or lies, so a folder, a mirror and the original give the same
part. A whole file of a local folder is read in place and never copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import pyarrow as pa
import xxhash

from tasks.byte_source import byte_source
from tasks.crawl_listing import SourceConfig, warc_name
from tasks.downloading import fetch_warc
from tasks.parts import read_part
from tasks.schemas import WARCS
from tasks.stages.stage import Output, PartContext, PartJob, Stage
from tasks.store import Store


def run(context: PartContext) -> Iterator[Output]:
    """Fetch the WARC at `job.source["path"]`."""
    source, path = job_source(context.job)
    destination = f"{context.store.url}/{stored_path(source, path)}"
    fetched = fetch_warc(source.base, path, destination, source.transfer, source.bytes_per_warc)
    row = {
        "name": warc_name(path),
        "path": path,
        "crawl": source.crawl,
        "bytes": fetched.bytes,
        "digest": fetched.digest,
        "clipped": source.bytes_per_warc is not None,
    }
    yield Output(
        pa.Table.from_pylist([row], WARCS),
        counters={"bytes": fetched.bytes, "wrong_digests": len(fetched.check.wrong_digests)},
    )


def job_source(job: PartJob) -> tuple[SourceConfig, str]:
    """The source that a job reads from, and the WARC's path below its base."""
    return SourceConfig.model_validate(job.source["source"]), str(job.source["path"])


def stored_path(source: SourceConfig, path: str) -> str:
    """Where a fetched WARC lies in the store."""
    return f"warcs/{source.crawl}/{PurePosixPath(path).name}"


def is_read_in_place(source: SourceConfig, path: str) -> bool:
    """Whether the WARC is a whole file of a local folder, which is never copied."""
    return source.bytes_per_warc is None and byte_source(source.base, source.transfer).local(path) is not None


def is_at_hand(job: PartJob) -> bool:
    """Whether the bytes that a finished fetch job speaks of, and no others, are there to be read."""
    source, path = job_source(job)
    store = Store(job.store)
    (row,) = next(read_part(store, job.path)).to_pylist()
    if is_read_in_place(source, path):
        local = byte_source(source.base, source.transfer).local(path)
        return local is not None and local.stat().st_size == row["bytes"]
    stored = stored_path(source, path)
    if not store.exists(stored) or store.size(stored) != row["bytes"]:
        return False
    digest = xxhash.xxh3_128()
    with store.open(stored) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest() == row["digest"]


def drop_warc(job: PartJob) -> None:
    """Remove the store's copy of a WARC; a file of the source itself is left alone."""
    source, path = job_source(job)
    if not is_read_in_place(source, path):
        Store(job.store).remove(stored_path(source, path))


def schema(context: PartContext) -> pa.Schema:
    """The columns of the one row."""
    return WARCS


STAGE = Stage("fetch", 1, (), run, schema)
