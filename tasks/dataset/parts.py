"""Parts: the unit of work, of retry and of resume, one Parquet file out of one input.

Notable: the Parquet footer says what the part is made of (stage, meaning, digest of its inputs), what it holds
(digest of its rows) and what was counted on the way. A part whose footer matches is done, with no other bookkeeping;
anything else is rebuilt. The same rows give the same bytes. The footer says nothing of the dataset or of the part's
place there, so a part may be in several datasets (`tasks.dataset.earlier_parts`).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from pydantic import TypeAdapter

from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.parquet_opening import open_parquet
from tasks.dataset.store import Store

_KEY = b"sluice"
_TOGETHER = 16


@dataclass(frozen=True)
class PartFooter:
    """What a part says about itself."""

    stage: str
    fingerprint: str
    """What a part of the stage means: its version and configuration (`StagePlan.part_fingerprint`)."""
    inputs: str
    """Digest of everything the part was made from."""
    digest: str
    """xxh3-128 of the row groups' bytes."""
    rows: int
    counters: dict[str, int] = field(default_factory=dict)

    def matches(self, stage: str, fingerprint: str, inputs: str) -> bool:
        """Return whether this is the part of that stage, made from these inputs."""
        return (self.stage, self.fingerprint, self.inputs) == (stage, fingerprint, inputs)

    @property
    def failed(self) -> bool:
        """Whether the part is without what it should be made from, such as a WARC file that the source lacks."""
        return self.counters.get("failed", 0) > 0


_FOOTER = TypeAdapter(PartFooter)


def part_name(index: int) -> str:
    """Return the file name of part `index`."""
    return f"part-{index:05d}.parquet"


class _HashingFile:
    """A binary file that hashes what passes through it, for pyarrow to write to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = xxhash.xxh3_128()
        self.abandoned = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self.abandoned:
            return len(view)
        self.hash.update(view)
        return self._file.write(view)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()


class PartWriter:
    """Writes one part in bounded memory; nothing appears in the store before `commit`.

    A context manager: leaving it without `commit`, by an error or not, leaves the store as it was.
    """

    def __init__(self, store: Store, path: str, schema: pa.Schema, stage: str, fingerprint: str, inputs: str) -> None:
        self._schema = schema
        self._head = {"stage": stage, "fingerprint": fingerprint, "inputs": inputs}
        self._writing = store.writing(path)
        self._path = f"{store.url}/{path}"
        self.rows = 0

    def __enter__(self) -> PartWriter:
        temporary: Path = self._writing.__enter__()
        self._file = _HashingFile(temporary.open("wb"))
        self._parquet = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._committed = False
        return self

    def write(self, table: pa.Table) -> None:
        """Append rows as one row group (or more, above a million rows)."""
        if table.num_rows:
            self._parquet.write_table(table.cast(self._schema).combine_chunks())
            self.rows += table.num_rows

    def commit(self, counters: dict[str, int]) -> PartFooter:
        """Close the file with its footer; the part appears when the context is left."""
        footer: dict[str, Any] = {
            **self._head,
            "digest": self._file.hash.hexdigest(),
            "rows": self.rows,
            "counters": dict(sorted(counters.items())),
        }
        self._parquet.add_key_value_metadata({_KEY.decode(): json.dumps(footer, sort_keys=True)})
        self._parquet.close()
        self._file.close()
        self._committed = True
        return PartFooter(**footer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._committed and error is None:
            self._writing.__exit__(None, None, None)
            return
        abandoned = error or PermanentError(f"{self._path} was left without commit.")
        # The Parquet writer insists on a footer when it is closed; on a full disk that would fail a second time.
        self._file.abandoned = True
        try:
            self._parquet.close()
            self._file.close()
        finally:
            self._writing.__exit__(type(abandoned), abandoned, trace)
        if error is None:
            raise abandoned


def read_footer(store: Store, path: str) -> PartFooter | None:
    """Return a part's footer, or None where there is no readable part of ours at `path`."""
    try:
        with store.open(path) as file:
            metadata = pq.read_metadata(file).metadata or {}
        return _FOOTER.validate_json(metadata[_KEY])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValueError):
        return None
    except OSError as error:
        _raise_if_temporary(store, path, error)
        return None


def _raise_if_temporary(store: Store, path: str, error: OSError) -> None:
    """Raise TemporaryError for a store that does not answer; pyarrow reports a damaged file without an errno."""
    if not store.is_local and error.errno is not None:
        raise TemporaryError(f"{store.location(path)} could not be read: {error}. Check the store and run again.")


@contextmanager
def open_part(store: Store, path: str) -> Iterator[pq.ParquetFile]:
    """Open a part of a dataset or of decisions; `PermanentError` names the file where it is missing or damaged."""
    try:
        with store.open(path) as file:
            yield open_parquet(file)
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            _raise_if_temporary(store, path, error)
        raise PermanentError(
            f"The part {store.location(path)} cannot be read: {error}. Delete the file, and those of its name under "
            "datasets/ and decisions/ of the stage, and run again to rebuild it."
        ) from error


def read_part_where(
    store: Store, path: str, column: str, low: int, high: int, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Yield the rows of a part whose `column` is from `low` to `high`: tables, the first of which is empty.

    The part is ordered by that column. Only row groups that may hold such rows are read, found by their statistics.
    Raises as `open_part` does.
    """
    with open_part(store, path) as parquet:
        place = parquet.schema_arrow.names.index(column)
        groups = range(parquet.num_row_groups)

        def known(group: int) -> Any:
            return parquet.metadata.row_group(group).column(place).statistics

        yield parquet.schema_arrow.empty_table().select(columns)
        for group in groups[bisect_left(groups, low, key=lambda group: known(group).max) :]:
            if known(group).min > high:
                break
            table = parquet.read_row_group(group, columns=[column, *columns])
            here = pc.and_(pc.greater_equal(table[column], low), pc.less_equal(table[column], high))
            yield table.filter(here).select(columns)


def read_part(store: Store, path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a part's rows, one table a row group. Raises as `open_part` does."""
    with open_part(store, path) as parquet:
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group, columns=list(columns) if columns else None)


def read_parts(
    store: Store, paths: Sequence[str], columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of several parts, in order, as (place among `paths`, row group). Raises as `open_part` does.

    Parts of an object store are read `_TOGETHER` at a time and whole. One after the other, a stage of one part that
    reads a whole crawl would wait for answers for hours.
    """
    if store.is_local:
        for place, path in enumerate(paths):
            yield from ((place, table) for table in read_part(store, path, columns))
        return
    with ThreadPoolExecutor(_TOGETHER) as readers:
        for start in range(0, len(paths), _TOGETHER):
            several = readers.map(lambda path: list(read_part(store, path, columns)), paths[start : start + _TOGETHER])
            for place, tables in enumerate(several, start):
                yield from ((place, table) for table in tables)
