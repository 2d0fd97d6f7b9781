"""JSON Lines: one JSON value a line, in the files that people write and in those that programs leave.

Notable:
- Only a line feed ends a line: U+2028, U+2029 and U+0085, at which `str.splitlines` cuts, may stand in a JSON string.
- A byte order mark at the start is passed over.
- JSON can spell half of a surrogate pair, as a text that was cut in UTF-16 has it. UTF-8 and tokenizers know no such
  character, so it becomes U+FFFD.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from model.base.errors import BadInput

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_lines(path: Path, what: str, expected: str) -> list[tuple[str, Any]]:
    """Return the values of a file, each with its place for error messages; blank lines are passed over.

    Raises BadInput, with the line, if the file cannot be read or is not JSON in UTF-8. `what` says what the file holds,
    `expected` how one of them looks.
    """
    try:
        lines = path.read_bytes().removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    except OSError as error:
        raise BadInput(f"cannot read the {what} {path}: {error.strerror or error}") from error
    values = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                values.append((where, json_value(line.decode())))
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{where}: {expected}; this is not JSON in UTF-8: {error}") from error
    return values


def logged_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a program's log; a line that is being written, or that a kill cut short, is left out."""
    for line in text.split("\n"):
        with suppress(ValueError, RecursionError):
            value = json_value(line)
            if isinstance(value, dict):
                yield value


def json_lines(values: Iterable[Any]) -> str:
    """Return values as lines of JSON, each with its end."""
    return "".join(without_surrogates(json.dumps(value, ensure_ascii=False)) + "\n" for value in values)


def without_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def json_value(line: str) -> Any:
    """Return the value in a line of JSON; raises ValueError or RecursionError if it is none."""
    value = json.loads(line)
    if _ESCAPED_SURROGATE.search(line):
        return json.loads(without_surrogates(json.dumps(value, ensure_ascii=False)))
    return value
