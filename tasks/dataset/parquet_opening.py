"""Open and read the Parquet files of a store, which may be shared with people who write other files than we do.

Notable: a few bytes can unpack to any number of rows, so what a file says of itself is held against what files have.
A text that stands in the file once can be every row's, which no size in the file tells. `read_rows`, for readers that
have no worker process whose memory is limited, reads a few rows at a time where that could be too much.
"""

from collections.abc import Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

MAX_GROUP_ROWS = 1 << 22
"""Rows of a row group; pyarrow writes at most 1 << 20 unless it is told otherwise."""
MAX_GROUP_BYTES = 8 << 30
MAX_READ_BYTES = 1 << 30
"""Of the rows that `read_rows` returns, unpacked."""
_LARGEST_NUMBER = 8  # bytes
_MOST_FOOTER_ENTRIES = 100_000  # of any list in the footer


def open_parquet(file: IO[bytes]) -> pq.ParquetFile:
    """Open a Parquet file. Raises pyarrow.ArrowInvalid for what is none, or has row groups of no usual size."""
    parquet = pq.ParquetFile(file, thrift_container_size_limit=_MOST_FOOTER_ENTRIES)
    for group in map(parquet.metadata.row_group, range(parquet.num_row_groups)):
        if group.num_rows > MAX_GROUP_ROWS:
            raise pa.ArrowInvalid(f"a row group has {group.num_rows:,} rows, more than {MAX_GROUP_ROWS:,}")
        if group.total_byte_size > MAX_GROUP_BYTES:
            raise pa.ArrowInvalid(f"a row group has {group.total_byte_size:,} bytes, more than {MAX_GROUP_BYTES:,}")
    return parquet


def read_rows(parquet: pq.ParquetFile, columns: Sequence[str], group: int | None = None) -> pa.Table:
    """Return some columns of all rows, or of one row group; raises pyarrow.ArrowInvalid where they are too large."""
    groups = list(range(parquet.num_row_groups)) if group is None else [group]
    chunks = [
        chunk
        for row_group in map(parquet.metadata.row_group, groups)
        for chunk in map(row_group.column, range(row_group.num_columns))
        if chunk.path_in_schema.partition(".")[0] in columns
    ]
    if _LARGEST_NUMBER * sum(chunk.num_values for chunk in chunks) > MAX_READ_BYTES:
        raise _too_large()
    texts = [chunk for chunk in chunks if chunk.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")]
    if sum(chunk.num_values * chunk.total_uncompressed_size for chunk in texts) <= MAX_READ_BYTES:
        return parquet.read_row_groups(groups, list(columns), use_threads=False)
    at_once = max(1, MAX_READ_BYTES // max(chunk.total_uncompressed_size for chunk in texts))
    batches, bytes_left = list[pa.RecordBatch](), MAX_READ_BYTES
    for batch in parquet.iter_batches(at_once, groups, list(columns), use_threads=False):
        bytes_left -= batch.nbytes
        if bytes_left < 0:
            raise _too_large()
        batches.append(batch)
    return pa.Table.from_batches(batches)


def _too_large() -> pa.ArrowInvalid:
    return pa.ArrowInvalid(f"its rows unpack to more than {MAX_READ_BYTES >> 30} GiB")
