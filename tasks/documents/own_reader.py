"""Read a file by a function of the user's own: a document for each row that it yields.

Notable: the function gets the open file and its name, and yields mappings as the lines of a JSON Lines file hold them,
so ids, addresses and dates are found under the same names. Rows are numbered from 0 in the order in which they come.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import BinaryIO

from tasks.documents.columns import Fields
from tasks.documents.record import TextRecord, UnreadableRow
from tasks.own_code.named_code import explaining, load

_END = object()


def read_own(reader: str, name: str, stream: BinaryIO, fields: Fields) -> Iterator[TextRecord | UnreadableRow]:
    """Yield an item for each row. Raises PermanentError, with file and line of the code, where it fails."""
    with explaining(reader, where=f", on {name}"):
        rows = iter(load(reader)(stream, name))
    for place in count():
        with explaining(reader, where=f", on row {place} of {name}"):
            row = next(rows, _END)
        if row is _END:
            return
        yield fields.record(place, row) if isinstance(row, Mapping) else UnreadableRow(place, "bad_row")
