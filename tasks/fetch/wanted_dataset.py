"""What the stages after `wanted` read of its dataset: one row for each WARC file of which some records are fetched."""

from collections.abc import Iterator

import pyarrow as pa

from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import part_path
from tasks.dataset.parquet_opening import open_parquet
from tasks.dataset.parts import read_part
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.range_planning import RangeCost, Records, checked_records, range_cost

WARCS_PER_GROUP = 16  # rows of every row group but the last, so that a row's number says where it is


def wanted_records(store: Store, job: PartJob) -> Records | None:
    """Return the selected records of the WARC file that a job is about; None where the recipe takes whole files."""
    fingerprint = job.upstream.get("wanted")
    if fingerprint is None:
        return None
    group, row = divmod(job.index, WARCS_PER_GROUP)
    path = part_path("wanted", fingerprint, 0)
    place = store.location(path)
    try:
        with store.open(path) as file:
            (found,) = open_parquet(file).read_row_group(group).slice(row, 1).to_pylist()
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise PermanentError(f"{place} cannot be read: {error}. Delete it and run again.") from error
    if found["path"] != job.file:
        raise PermanentError(f"{place}: row {job.index} is about {found['path']}: delete it and run again.")
    return checked_records(**found)


def wanted_digests(store: Store, fingerprint: str) -> dict[str, str]:
    """Return the WARC files of which some records are fetched, in the order of the rows, with a digest of which."""
    rows = (row for table in _rows(store, fingerprint) for row in table.to_pylist())
    return {row["path"]: digest([row["offsets"], row["lengths"]]) for row in rows}


def fetch_cost(store: Store, fingerprint: str, select: SelectConfig) -> RangeCost:
    """Return what fetching all selected records takes."""
    rows = (row for table in _rows(store, fingerprint) for row in table.to_pylist())
    return sum((range_cost(checked_records(**row), select) for row in rows), RangeCost())


def _rows(store: Store, fingerprint: str) -> Iterator[pa.Table]:
    return read_part(store, part_path("wanted", fingerprint, 0))
