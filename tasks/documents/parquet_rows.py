"""Read a Parquet file: a document for each row, or the reason why there is none.

Notable: only the columns that may hold something are read, a few thousand rows at a time; what the footer admits is
limited as for our own files, and the rest by the memory of the worker.
"""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from tasks.base.errors import PermanentError
from tasks.dataset.parquet_opening import open_parquet
from tasks.documents.columns import Fields
from tasks.documents.record import TextRecord, UnreadableRow

_ROWS_AT_ONCE = 1000
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_null)


def read_parquet_rows(stream: BinaryIO, fields: Fields) -> Iterator[TextRecord | UnreadableRow]:
    """Yield an item for each row. Raises PermanentError for a file that cannot be read, or has no text column."""
    try:
        parquet = open_parquet(stream)
        schema = parquet.schema_arrow
        require_text(schema, fields)
        columns = [name for name in schema.names if name in fields.top]
        place = 0
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns):
            for row in _rows(batch):
                yield fields.record(place, row)
                place += 1
    except (pa.ArrowException, OSError) as error:
        raise PermanentError(f"the Parquet file cannot be read: {error}") from error


def require_text(schema: pa.Schema, fields: Fields) -> None:
    """Raise PermanentError where no column may hold a text, naming those that there are."""
    for name in fields.text_names:
        if name.partition(".")[0] in schema.names:
            kind = schema.field(name.partition(".")[0]).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if "." not in name and not any(is_text(kind) for is_text in _TEXT):
                raise PermanentError(f"the column {name} holds no text but {kind}: name another in source.columns.text")
            return
    there = ", ".join(f"{field.name} ({field.type})" for field in schema)[:1000]
    raise PermanentError(
        f"it has no column {' or '.join(fields.text_names)}; it has {there}: name the text's in source.columns.text"
    )


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """Yield rows; a value that Python cannot hold comes as bytes that are no text."""
    try:
        yield from batch.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        # One value spoils the batch, such as a string that is no UTF-8 or a date in the year 200,000.
        for place in range(batch.num_rows):
            row: dict[str, object] = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                try:
                    row[name] = column[place].as_py()
                except (UnicodeDecodeError, ValueError, OverflowError):
                    row[name] = b"\xff"
            yield row
