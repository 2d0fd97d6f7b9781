"""How the report reads datasets: counts of what is finished, and a bounded, evenly spread sample of the rows.

Notable: a dataset without a manifest still counts by the parts that are there, so a failed run has a funnel too. Rows
are read from at most `MAX_PARTS` parts and `MAX_GROUPS` row groups of each, whatever the size of the crawl.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from flows.store.run_record import RunRecord
from tasks.base.errors import PermanentError
from tasks.base.plain_data import parse_json
from tasks.dataset.manifest import dataset_folder, decisions_folder, part_names, read_manifest
from tasks.dataset.parquet_opening import read_rows
from tasks.dataset.parts import open_part, read_footer
from tasks.dataset.store import Store

T = TypeVar("T")

REMOVED = "removed."
"""With it begin the counters of the reasons for which a stage removed documents."""

MAX_PARTS = 16
"""Parts of a dataset that the report reads rows from."""
MAX_GROUPS = 8
"""Row groups of a part that the report reads."""
_READERS = 16


class PartCount(NamedTuple):
    """What one part holds."""

    name: str
    rows: int
    counters: Mapping[str, int]


@dataclass(frozen=True)
class DatasetCount:
    """What a stage's finished parts hold."""

    parts: tuple[PartCount, ...]
    expected: int | None
    """Parts of the whole dataset; None where the run did not get as far as counting them."""
    finished: bool
    """Whether the dataset has its manifest."""
    bytes: int
    """Bytes of the parts; 0 where the dataset is not finished."""
    damage: str | None = None
    """What is wrong with the manifest."""

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def counters(self) -> Counter[str]:
        """Counters of all parts, summed."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.counters)
        return total


def count_dataset(store: Store, record: RunRecord, stage: str) -> DatasetCount | None:
    """Return what is there of a stage's dataset; None where the recipe has no such stage, or nothing of it is there."""
    if stage not in record.stages:
        return None
    plan, damage = record.stages[stage].plan, None
    try:
        if manifest := read_manifest(store, stage, plan.fingerprint):
            counts = tuple(PartCount(part.path, part.rows, part.counters) for part in manifest.parts)
            return DatasetCount(counts, len(counts), True, manifest.bytes)
    except PermanentError as error:
        damage = str(error)
    counts = counted_parts(store, plan.folder, plan.part_fingerprint)
    return DatasetCount(counts, record.stages[stage].parts_expected, False, 0, damage) if counts or damage else None


def count_decisions(store: Store, record: RunRecord, stage: str) -> DatasetCount | None:
    """Return the decisions of a stage, part by part; None where there are none."""
    if stage not in record.stages:
        return None
    counts = counted_parts(store, stage_decisions(record, stage), record.stages[stage].plan.part_fingerprint)
    return DatasetCount(counts, record.stages[stage].parts_expected, True, 0) if counts else None


def counted_parts(store: Store, folder: str, part_fingerprint: str) -> tuple[PartCount, ...]:
    """Return the parts of a folder whose footers carry the fingerprint of the stage's parts."""
    names = part_names(store, folder)
    with ThreadPoolExecutor(_READERS) as readers:
        footers = readers.map(lambda name: read_footer(store, f"{folder}/{name}"), names)
        return tuple(
            PartCount(name, footer.rows, footer.counters)
            for name, footer in zip(names, footers, strict=True)
            if footer and footer.fingerprint == part_fingerprint
        )


def stage_folder(record: RunRecord, stage: str) -> str:
    """Return the folder of a stage's dataset. Raises KeyError where the recipe has no such stage."""
    return dataset_folder(stage, record.stages[stage].plan.fingerprint)


def stage_decisions(record: RunRecord, stage: str) -> str:
    """Return the folder of a stage's decisions. Raises KeyError where the recipe has no such stage."""
    return decisions_folder(stage, record.stages[stage].plan.fingerprint)


def sampled_tables(store: Store, folder: str, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield an evenly spread, bounded sample of a folder's row groups, as (part name, rows).

    Columns that a part does not have are left out.
    """
    for name in sampled_parts(store, folder):
        with open_part(store, f"{folder}/{name}") as parquet:
            there = [column for column in columns if column in parquet.schema_arrow.names]
            for group in evenly_spaced(range(parquet.num_row_groups), MAX_GROUPS):
                yield name, read_rows(parquet, there, group)


def sampled_rows(store: Store, folder: str, columns: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what `sampled_tables` does, as dictionaries."""
    for name, table in sampled_tables(store, folder, columns):
        yield name, table.to_pylist()


def part_tables(store: Store, path: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a part, one table a row group, within the limits of `read_rows`."""
    with open_part(store, path) as parquet:
        for group in range(parquet.num_row_groups):
            yield read_rows(parquet, columns, group)


def rows_of_parts(store: Store, folder: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield all rows of a folder's parts."""
    for name in part_names(store, folder):
        for table in part_tables(store, f"{folder}/{name}", columns):
            yield from table.to_pylist()


def read_column(store: Store, path: str, column: str) -> pa.ChunkedArray:
    """Return one column of a whole part."""
    with open_part(store, path) as parquet:
        return read_rows(parquet, [column])[column]


def summary_of_part(store: Store, path: str) -> dict[str, Any]:
    """Return what a program left, from its part. Raises `PermanentError` where the part says nothing of the kind."""
    with open_part(store, path) as parquet:
        texts = read_rows(parquet, ["summary"]).to_pylist()
    try:
        summary = parse_json(texts[0]["summary"])
        if not isinstance(summary, dict):
            raise ValueError("it is no object")
    except (ValueError, LookupError, AttributeError) as error:
        raise PermanentError(f"The summary in {store.location(path)} cannot be read: {error}.") from error
    return summary


def part_schema(store: Store, folder: str) -> pa.Schema:
    """Return the columns of a folder's first part; none where there is no part."""
    for name in sampled_parts(store, folder)[:1]:
        with open_part(store, f"{folder}/{name}") as parquet:
            return parquet.schema_arrow
    return pa.schema([])


def rows_by_id(
    store: Store, folder: str, part: str, ids: Iterable[str], columns: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the rows of one part that have these ids, by id. Beyond the id column only their row groups are read."""
    wanted = pa.array(ids, pa.string())
    found: dict[str, dict[str, Any]] = {}
    with open_part(store, f"{folder}/{part}") as parquet:
        there = [column for column in columns if column in parquet.schema_arrow.names]
        for group in range(parquet.num_row_groups):
            places = pc.index_in(wanted, value_set=read_rows(parquet, ["id"], group)["id"]).drop_null()
            if len(places):
                rows = read_rows(parquet, ["id", *there], group).take(places).to_pylist()
                found.update({row["id"]: row for row in rows})
            if len(found) == len(wanted):
                break
    return found


def value_counts(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Return how often each string of a column occurs, null left out."""
    return {one["values"].as_py(): one["counts"].as_py() for one in pc.value_counts(column.drop_null())}


def most_frequent(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the counts in their order, the largest first, without zeros."""
    return tuple(sorted(((name, count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0])))


def removal_reasons(counters: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return how often a stage gave each reason, the most frequent first.

    A document may have several, so they can add up to more than were removed.
    """
    return most_frequent({key.removeprefix(REMOVED): n for key, n in counters.items() if key.startswith(REMOVED)})


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of `items`, evenly spread over them, the first always among them."""
    if len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def sampled_parts(store: Store, folder: str) -> list[str]:
    """Return the names of the parts that `sampled_rows` reads from."""
    return evenly_spaced(part_names(store, folder), MAX_PARTS)
