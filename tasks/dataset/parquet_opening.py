"""Open the Parquet files of a store, which may be shared with people who write other files than we do.

Notable: a few bytes can unpack to any number of rows, so what a file says of itself is held against what files have.
Strings that repeat may still unpack to more; only the memory of a worker process limits those.
"""

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

MAX_GROUP_ROWS = 1 << 22
"""Rows of a row group; pyarrow writes at most 1 << 20 unless it is told otherwise."""
MAX_GROUP_BYTES = 8 << 30
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
