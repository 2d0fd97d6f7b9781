"""JSON, JSON Lines and YAML that may come from anywhere: every text is a value or a ValueError.

Notable:
- The parsers themselves end with other errors for some texts: lists nested thousands deep, a date in February that
  is not there, half a surrogate pair that fails only where it is written.
- Lines of JSON end at a line feed and nowhere else: U+2028, U+2029 and U+0085 may stand inside a string.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

_MAX_YAML_LENGTH = 1 << 19
_MAX_YAML_VALUES = 1 << 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, with or without a byte order mark."""
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    try:
        value = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("it has half a surrogate pair (\\ud800 to \\udfff), which is no character") from error
    return value


def parse_json_lines(data: bytes, skip_bad: bool = False) -> Iterator[Any]:
    """Yield the value of each line that is not blank; `skip_bad` leaves out what is no JSON, such as half a line."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line)
        except ValueError as error:
            if not skip_bad:
                raise ValueError(f"line {number}: {error}") from error


def parse_yaml(text: str | bytes) -> Any:
    """Return the value of a YAML text of at most half a mebibyte."""
    if len(text) > _MAX_YAML_LENGTH:
        raise ValueError(f"it has more than {_MAX_YAML_LENGTH:,} characters")
    try:
        value = yaml.safe_load(text)
        if _count(value, {}) > _MAX_YAML_VALUES:
            raise ValueError("its aliases (*name) make more values of it than it may have")
    except RecursionError as error:
        raise ValueError("it is nested too deeply, or holds itself") from error
    except Exception as error:
        # Tags that do not fit their value raise whatever their constructor does.
        raise ValueError(str(error)) from error
    return value


def _count(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are if each alias is replaced by what it stands for; `known` holds those counted."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(item, known) for item in inside)
    return known[id(value)]
