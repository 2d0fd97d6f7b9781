"""The documents of a corpus that a generator is shown."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.base.hashing import hash_strings, mix64
from tasks.dataset.stage import PartContext
from tasks.synthesis.config import FromDocuments

_SENTENCE_ENDS = re.compile(r"[.!?][\"'”’)\]]*\s|[。！？]|\n")


def draws_of(ids: list[str], seed: int) -> list[int]:
    """Return a number for each id, spread evenly over 64 bits, that depends on nothing else."""
    return [int(value) for value in mix64(hash_strings(ids), seed)]


def shown_documents(
    context: PartContext, config: FromDocuments, seed: int
) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """Yield the documents of a part that were drawn, each with its number, a row group at a time."""
    for table in context.input("corpus"):
        rows = table.to_pylist()
        numbered = zip(rows, draws_of([row["id"] for row in rows], seed), strict=True)
        yield [(row, number) for row, number in numbered if number < config.share * 2**64]


def beginning(text: str, config: FromDocuments) -> str:
    """Return the beginning of a text that is shown: up to a sentence's or a line's end near there, or else a word's."""
    if len(text) <= config.max_document_chars:
        return text
    shown = text[: config.max_document_chars]
    ends = [found.end() for found in _SENTENCE_ENDS.finditer(shown, len(shown) // 2)]
    return shown[: ends[-1]].rstrip() if ends else shown.rpartition(" ")[0] or shown
