"""Read a file of JSON lines: a document for each line, or the reason why there is none.

Notable:
- A line ends at a line feed and nowhere else, as JSON may hold the other marks that Python takes for line ends. Rows
  are numbered by lines from 0, blank ones included, so `sed -n '18p'` shows row 17.
- A file may be anybody's: a line is held up to a limit, and a file that unpacks to far more than it should is left.
"""

from collections.abc import Iterator
from typing import BinaryIO

from tasks.base.plain_data import parse_json
from tasks.documents.columns import Fields
from tasks.documents.opening import UNPACKING_ERRORS, unpacked
from tasks.documents.record import TextRecord, UnreadableRow

MAX_LINE_BYTES = 64 << 20
"""Longest line that is read; of a longer one nothing is."""
_MOST_INFLATION = 1000
_TRUSTED_BYTES = 1 << 30  # unpacked, before the ratio counts
_MARK = b"\xef\xbb\xbf"


def read_json_lines(stream: BinaryIO, fields: Fields) -> Iterator[TextRecord | UnreadableRow]:
    """Yield an item for each line that is not blank."""
    place, total = 0, 0
    with unpacked(stream) as lines:
        while True:
            try:
                line = lines.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                read = len(line)
                if is_long := len(line) > MAX_LINE_BYTES:
                    read += _skip_line(lines, line, stream, total)
            except UNPACKING_ERRORS as error:
                yield UnreadableRow(place, "clipped" if isinstance(error, EOFError) else "damaged")
                return
            total += read
            if is_long or line.strip(_MARK + b" \t\r\n" if place == 0 else None):
                yield UnreadableRow(place, "too_large") if is_long else _record(place, line, fields)
            if is_bomb(total, stream.tell()):
                yield UnreadableRow(place + 1, "decompression_bomb")
                return
            place += 1


def is_bomb(unpacked_bytes: int, packed_bytes: int) -> bool:
    """Return whether a file has unpacked to far more than text does."""
    return unpacked_bytes > _TRUSTED_BYTES and unpacked_bytes > _MOST_INFLATION * max(1, packed_bytes)


def _skip_line(lines: BinaryIO, line: bytes, stream: BinaryIO, total: int) -> int:
    """Read on to the end of a line that is too long, as far as the file is no bomb; return how many bytes that was."""
    skipped = 0
    while line and not line.endswith(b"\n") and not is_bomb(total + skipped, stream.tell()):
        line = lines.readline(MAX_LINE_BYTES)
        skipped += len(line)
    return skipped


def _record(place: int, line: bytes, fields: Fields) -> TextRecord | UnreadableRow:
    try:
        row = parse_json(line)
    except UnicodeDecodeError:
        return UnreadableRow(place, "undecodable")
    except ValueError:
        return UnreadableRow(place, "bad_row")
    return fields.record(place, row) if isinstance(row, dict) else UnreadableRow(place, "bad_row")
