"""Common Crawl's columnar index: which records a crawl has, from the parts of its Parquet files that are needed.

Notable:
- Of a file only the footer is requested, and of each row group that its statistics do not rule out only the columns of
  the conditions; the columns that say where a record lies only where some row of the group meets the conditions.
- A few bytes of Parquet can unpack to any number of rows and to strings of any length. What the footer admits is
  limited here; the rest is limited by the memory of a worker process, in which alone an index file is to be opened.
- A wrong byte is noticed: Common Crawl's pages are gzip streams, which carry a checksum; all else is read twice.
"""

import io
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tasks.base.errors import PermanentError
from tasks.fetch.crawl_listing import SourceConfig, listed_paths
from tasks.fetch.page_selection import SelectConfig, group_filter, row_filter, without_scheme
from tasks.fetch.range_fetching import file_size, read_range
from tasks.sources.byte_source import byte_source
from tasks.sources.transfer import TransferConfig, never_twice_alike

WARC_COLUMNS = ("warc_filename", "warc_record_offset", "warc_record_length")
INDEX_ENDING = ".parquet"
_INDEX_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=/-]*" + re.escape(INDEX_ENDING))
_SUBSET = "/subset=warc/"
_TAIL_BYTES = 128 << 10
_MOST_FOOTER_BYTES = 16 << 20
_MOST_GROUP_BYTES = 1 << 30
_MOST_GROUP_ROWS = 1 << 24
_MERGE_GAP_BYTES = 256 << 10
_MAGIC = b"PAR1"
_TRAILER_BYTES = 8


def list_index_files(source: SourceConfig) -> list[str]:
    """Return the paths below the base of the index files for fetched pages; raises NotFound where there is no index."""
    path = f"crawl-data/{source.crawl}/cc-index-table.paths.gz"
    paths = listed_paths(source, path, _INDEX_PATH)
    chosen = [path for path in paths if _SUBSET in path]
    if not chosen:
        raise PermanentError(f"{source.base}: {path} lists no file with {_SUBSET.strip('/')}: nothing to select.")
    return chosen


class IndexFile:
    """One Parquet file of the index, at the source."""

    def __init__(self, base: str, path: str, transfer: TransferConfig) -> None:
        self._source = byte_source(base, transfer)
        self._path = path
        self._transfer = transfer
        self.address = self._source.address(path)
        self.urls_found: set[str] = set()
        self.bytes_read = 0  # bytes read so far, each counted once however often it was asked for

    @cached_property
    def _size(self) -> int:
        return file_size(self._source, self._path, self._transfer)

    @cached_property
    def _tail(self) -> tuple[int, bytes]:
        """The file's end from the footer on, after its offset."""
        if self._size <= _TRAILER_BYTES:
            raise PermanentError(f"{self.address} is no Parquet file: it has {self._size} bytes.")
        begin = max(0, self._size - _TAIL_BYTES)
        for _attempt in range(1 + self._transfer.refetches):
            tail = self._read(begin, self._size)
            length = int.from_bytes(tail[-_TRAILER_BYTES:-4], "little") + _TRAILER_BYTES
            if not tail.endswith(_MAGIC) or length > min(self._size, _MOST_FOOTER_BYTES):
                problem = "is no Parquet file"
                continue
            if length > len(tail):
                begin = self._size - length
                tail = self._read(begin, self._size)
            if self._read(begin, self._size) == tail:
                self.bytes_read += len(tail)
                return begin, tail
            problem = "arrives differently each time"
        raise PermanentError(f"{self.address} {problem}: look at the file, or use another mirror (source.base).")

    @cached_property
    def _metadata(self) -> pq.FileMetaData:
        try:
            return pq.read_metadata(_Patchwork(self._size, [self._tail]))
        except (pa.ArrowException, OSError) as error:
            raise PermanentError(f"{self.address}: the Parquet footer cannot be read ({error}).") from error

    @property
    def rows(self) -> int:
        """Records in the file, by its footer."""
        return int(self._metadata.num_rows)

    @cached_property
    def columns(self) -> list[str]:
        """The names of the file's columns."""
        return list(self._metadata.schema.to_arrow_schema().names)

    def selected(self, select: SelectConfig, urls: Collection[str] = ()) -> Iterator[pa.Table]:
        """Yield where the records that meet all conditions lie (`WARC_COLUMNS`), a table for each row group.

        `urls` are the addresses that `select.urls` lists; of those found, `urls_found` is the set, without schemes.
        """
        for name, column in [*select.columns().items(), *(("select", column) for column in WARC_COLUMNS)]:
            if column not in self.columns:
                needs = "every selection" if name == "select" else f"source.select.{name}"
                raise PermanentError(
                    f"{self.address}: the index has no column {column}, which {needs} needs;"
                    f" it has {', '.join(self.columns)}."
                )
        condition, asked = row_filter(select, urls), sorted(select.columns().values())
        for group in self._groups(select, urls):
            rows = None
            if condition is not None:
                rows = self._table(group, asked)
                numbers = pa.array(range(rows.num_rows), pa.int64())
                rows = rows.append_column("row", numbers).filter(condition)
                if select.urls:
                    self.urls_found.update(map(without_scheme, rows["url"].to_pylist()))
                rows = rows["row"].combine_chunks()
                if not len(rows):
                    continue
            table = self._table(group, WARC_COLUMNS)
            yield table if rows is None else table.take(rows)

    def _groups(self, select: SelectConfig, urls: Collection[str]) -> list[int]:
        """Return the row groups that the statistics do not rule out."""
        fragment = ds.ParquetFileFormat().make_fragment(_Patchwork(self._size, [self._tail]))
        parts = fragment.split_by_row_group(group_filter(select, set(self.columns), urls))
        return [group.id for part in parts for group in part.row_groups]

    def _table(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Return some columns of a row group; what arrives damaged is read again."""
        row_group, where = self._metadata.row_group(group), f"{self.address}, row group {group}"
        chunks = [row_group.column(place) for place in range(row_group.num_columns)]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema in columns]
        extents = self._extents(where, chunks)
        checked = all(chunk.compression == "GZIP" for chunk in chunks)
        self.bytes_read += sum(stop - first for first, stop in extents)
        seen: set[bytes] = set()
        for _attempt in range(1 + self._transfer.refetches):
            blocks = [(first, self._read(first, stop)) for first, stop in extents]
            if not checked and any(self._read(first, first + len(block)) != block for first, block in blocks):
                continue
            try:
                # Names of WARC files repeat, and are long.
                parquet = pq.ParquetFile(
                    _Patchwork(self._size, blocks),
                    metadata=self._metadata,
                    read_dictionary=["warc_filename"],
                    page_checksum_verification=True,
                    pre_buffer=False,
                )
                table = parquet.read_row_group(group, columns=list(columns))
                table.validate(full=True)
                return table
            except (pa.ArrowException, OSError) as error:
                content = b"".join(block for _, block in blocks)
                if content in seen:
                    raise PermanentError(f"{where}: unreadable at the source ({error}).") from error
                seen.add(content)
        raise PermanentError(never_twice_alike(where, self._transfer))

    def _extents(self, where: str, chunks: Sequence[pq.ColumnChunkMetaData]) -> list[tuple[int, int]]:
        """Return the ranges of the file that hold some column chunks of a row group, near ones joined."""
        found: list[tuple[int, int]] = []
        for chunk in sorted(chunks, key=lambda chunk: chunk.data_page_offset):
            offsets = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
            first = min(offsets)
            stop = first + chunk.total_compressed_size
            if found and first - found[-1][1] <= _MERGE_GAP_BYTES:
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            else:
                found.append((first, stop))
        if any(not 0 <= first < stop <= self._size for first, stop in found):
            raise PermanentError(f"{where}: the footer gives places outside the file.")
        unpacked = sum(chunk.total_uncompressed_size for chunk in chunks)
        if max(unpacked, sum(stop - first for first, stop in found)) > _MOST_GROUP_BYTES:
            raise PermanentError(f"{where}: the requested columns take more than {_MOST_GROUP_BYTES:,} bytes.")
        if max((chunk.num_values for chunk in chunks), default=0) > _MOST_GROUP_ROWS:
            raise PermanentError(f"{where}: it has more than {_MOST_GROUP_ROWS:,} rows.")
        return found

    def _read(self, first: int, stop: int) -> bytes:
        return read_range(self._source, self._path, first, stop, self._transfer)


def index_rows(asked: tuple[SourceConfig, Sequence[str]], _progress: object = None) -> list[int]:
    """Return the number of records in each of some index files, by their footers."""
    source, paths = asked
    return [IndexFile(source.base, path, source.transfer).rows for path in paths]


class _Patchwork(io.RawIOBase):
    """A file of which only some ranges are in memory."""

    def __init__(self, size: int, blocks: Sequence[tuple[int, bytes]]) -> None:
        self._size, self._blocks, self._position = size, blocks, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._position + size)
        for first, block in self._blocks:
            if first <= self._position and stop <= first + len(block):
                found = block[self._position - first : stop - first]
                self._position = stop
                return found
        raise OSError(f"bytes {self._position} to {stop} were read, which are not those of the requested columns")
