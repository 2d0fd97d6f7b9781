"""Which reader takes a file of documents, by its name; and whether the file is what its name says."""

from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from tasks.base.errors import PermanentError
from tasks.base.plain_data import parse_json
from tasks.documents.columns import Fields
from tasks.documents.json_lines import read_json_lines
from tasks.documents.opening import UNPACKING_ERRORS, unpacked
from tasks.documents.parquet_rows import read_parquet_rows
from tasks.documents.record import TextRecord, UnreadableRow
from tasks.documents.wet import read_wet

PARQUET_ENDINGS = (".parquet",)
JSON_ENDINGS = tuple(f".{name}{packed}" for name in ("jsonl", "ndjson", "json") for packed in ("", ".gz", ".zst"))
WET_ENDINGS = (".wet", ".wet.gz", ".wet.zst")
_CHECKED_BYTES = 1 << 20
_MOST_NAMES = 30


def read_documents(name: str, stream: BinaryIO, fields: Fields) -> Iterator[TextRecord | UnreadableRow]:
    """Yield an item for each row or record of a file. Raises PermanentError for one that is not what its name says."""
    if name.endswith(WET_ENDINGS):
        return read_wet(stream)
    return read_parquet_rows(stream, fields) if name.endswith(PARQUET_ENDINGS) else read_json_lines(stream, fields)


def check_documents(name: str, stream: BinaryIO, fields: Fields) -> None:
    """Raise PermanentError where a file cannot be read or the text is under another name, before work goes into it."""
    if name.endswith(WET_ENDINGS):
        next(read_wet(stream), None)
    elif name.endswith(PARQUET_ENDINGS):
        next(read_parquet_rows(stream, fields), None)
    else:
        _check_lines(stream, fields)


def _check_lines(stream: BinaryIO, fields: Fields) -> None:
    try:
        with unpacked(stream) as lines:
            head = lines.read(_CHECKED_BYTES)
    except UNPACKING_ERRORS as error:
        raise PermanentError(f"it cannot be unpacked: {error}") from error
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise PermanentError("it is one JSON list, not JSON lines: write an object a line (jq -c '.[]' does)")
    names: set[str] = set()
    for line in head.split(b"\n"):
        with suppress(ValueError):
            row = parse_json(line)
            if isinstance(row, dict) and fields.has_text(row):
                return
            names |= set(row) if isinstance(row, dict) else set()
    if names:
        there = ", ".join(sorted(map(str, names))[:_MOST_NAMES])
        raise PermanentError(
            f"its first lines have no field {' or '.join(fields.text_names)} but {there}: name the text's in"
            " source.columns.text"
        )
