"""Where a file of the source lies once it was fetched: in the store, or where the source has it."""

from pathlib import Path, PurePosixPath

from tasks.base.fingerprint import digest
from tasks.dataset.parts import read_footer, read_part
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig
from tasks.fetch.source_listing import source_root
from tasks.sources.byte_source import byte_source
from tasks.sources.downloading import bytes_digest
from tasks.warc.content import content_digest


def job_source(job: PartJob) -> tuple[SourceConfig, str]:
    """Return the source that a job reads from, and the WARC's path below its base."""
    return SourceConfig.model_validate(job.source), job.file


def stored_path(source: SourceConfig, path: str) -> str:
    """Return where a fetched file lies in the store; a WARC with selected records only has a folder for those."""
    folder = f"warcs/{source.crawl}"
    if source.kind == "documents":
        return f"{folder}/{path}"  # base names repeat there
    if source.select:
        folder += f"/selected-{digest(source.select.meaning())[:16]}"
    return f"{folder}/{PurePosixPath(path).name}"


def local_file(source: SourceConfig, path: str) -> Path | None:
    """Return a whole file of a local folder, which is never copied; None for one that comes to the store."""
    whole = source.select is None and source.bytes_per_warc is None
    return byte_source(source_root(source), source.transfer).local(path) if whole else None


def is_at_hand(job: PartJob) -> bool:
    """Return whether the bytes that a finished fetch job speaks of, and no others, are there to be read."""
    source, path = job_source(job)
    store = Store(job.store)
    footer = read_footer(store, job.path)
    if footer is None or footer.failed:
        return False
    (row,) = next(read_part(store, job.path)).to_pylist()
    if (local := local_file(source, path)) is not None:
        return bool(local.stat().st_size == row["bytes"])
    stored = stored_path(source, path)
    if not store.exists(stored) or store.size(stored) != row["bytes"]:
        return False
    with store.open(stored) as file:
        digest = bytes_digest(file) if source.kind == "documents" else content_digest(file)
        return digest == str(row["digest"])


def drop_warc(job: PartJob) -> None:
    """Remove the store's copy of a WARC file, unless the recipe keeps it or it is a file of the source itself."""
    source, path = job_source(job)
    if not source.keep_warcs and local_file(source, path) is None:
        Store(job.store).remove(stored_path(source, path))
