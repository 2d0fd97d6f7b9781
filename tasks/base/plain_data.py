"""JSON and YAML that may come from anywhere: every text is a value or a ValueError.

Notable: the parsers themselves end with other errors for some texts, such as lists nested thousands deep and dates that
are on no calendar; and a few YAML aliases stand for more values than there is memory.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_YAML_LENGTH = 1 << 19
_MAX_YAML_VALUES = 1 << 20


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, with or without a byte order mark."""
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def lines_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1. Only a line feed ends one: JSON may hold the other marks."""
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, line


def without_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def parse_yaml(text: str | bytes) -> Any:
    """Return the value of a YAML text of at most half a mebibyte."""
    if len(text) > _MAX_YAML_LENGTH:
        raise ValueError(f"it has more than {_MAX_YAML_LENGTH:,} characters")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        # Before the values are made: a merge key (<<) writes out what its aliases stand for.
        if _count(node, {}) > _MAX_YAML_VALUES:
            raise ValueError("its aliases (*name) make more values of it than it may have")
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply, or holds itself") from error
    except Exception as error:
        # Tags that do not fit their value raise whatever their constructor does.
        raise ValueError(str(error)) from error


def _count(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many values there are if each alias is replaced by what it stands for; `known` holds those counted."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        inside = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_count(item, known) for item in inside)
    return known[id(node)]
