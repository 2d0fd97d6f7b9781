"""The texts that a classifier learns from: a sample of the files that a recipe names.

Notable:
- A text's place in the sample is a hash of the text itself, so the sample is the same whatever the order of files and
  lines, and a repeated text is taken once: no copy of a held-out text is learnt from.
- Files are read as streams, and only the sample is held.
"""

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.base.errors import PermanentError
from tasks.base.hashing import UInt64s, hash_strings, mix64
from tasks.dataset.data_files import is_pinned, read_data_file
from tasks.dataset.store import Store

MAX_LINE_BYTES = 64 << 20
"""Longest line of a set, in bytes."""
_BATCH = 1024
_BATCH_BYTES = 16 << 20


class TextSample:
    """The texts with the smallest keys, at most `limit` of them, whatever the order in which they come."""

    def __init__(self, limit: int, seed: int, max_chars: int) -> None:
        self._limit, self._seed, self._max_chars = limit, seed, max_chars
        self._texts: dict[int, str] = {}
        self._largest = np.uint64(2**64 - 1)

    def add(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Consider `texts` (strings without null), but not those of white space alone."""
        texts = pc.utf8_slice_codeunits(texts, 0, self._max_chars)
        texts = texts.filter(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
        self.add_keyed(hash_strings(texts.to_pylist()), texts)

    def add_keyed(self, hashes: UInt64s, texts: pa.Array | pa.ChunkedArray) -> None:
        """Consider `texts` whose 64-bit `hashes` [n] are known; equal hashes are the same text."""
        keys = mix64(hashes, self._seed)
        near = keys <= self._largest
        clipped = pc.utf8_slice_codeunits(texts.filter(pa.array(near)), 0, self._max_chars)
        self._texts.update(zip(keys[near].tolist(), clipped.to_pylist(), strict=True))
        if len(self._texts) > self._limit + _BATCH:
            self._texts = self._smallest()
            self._largest = np.uint64(max(self._texts))

    def texts(self) -> list[str]:
        """Return the sample, in the order of its keys."""
        return list(self._smallest().values())

    def _smallest(self) -> dict[int, str]:
        return {key: self._texts[key] for key in sorted(self._texts)[: self._limit]}


def read_set(store: Store, files: Iterable[str], text_field: str, field: str, sample: TextSample) -> None:
    """Add the texts of `files` to `sample`. Raises `PermanentError` that names the recipe's `field` and the place."""
    for place, file in enumerate(files):
        where = f"{field}[{place}] ({file})"
        read = _parquet_texts if file.endswith(".parquet") else _line_texts
        seen = 0
        for texts in read(store, file, text_field, where):
            seen += len(texts)
            sample.add(texts)
        if not seen:
            raise PermanentError(f"{where} holds no text: give a file with at least one.")


@contextmanager
def _opened(store: Store, file: str) -> Iterator[IO[bytes]]:
    """Give the file as a stream where it is in the store, as it is in a run."""
    if is_pinned(file):
        with store.open(file) as stream:
            yield stream
    else:
        yield io.BytesIO(read_data_file(store, file))


def _parquet_texts(store: Store, file: str, column: str, where: str) -> Iterator[pa.Array]:
    try:
        with _opened(store, file) as stream:
            parquet = pq.ParquetFile(stream)
            names = parquet.schema_arrow.names
            if column not in names:
                raise PermanentError(f"{where}: no column {column!r}; it has: {', '.join(names)}. Set text_field.")
            kind = parquet.schema_arrow.field(column).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise PermanentError(f"{where}: the column {column!r} is {kind}, not strings. Set text_field.")
            for batch in parquet.iter_batches(_BATCH, columns=[column]):
                yield batch.column(0).drop_null()
    except (pa.ArrowException, OSError) as error:
        raise PermanentError(f"{where} cannot be read as Parquet: {error}.") from error


def _line_texts(store: Store, file: str, text_field: str, where: str) -> Iterator[pa.Array]:
    batch: list[str] = []
    size = 0
    try:
        with _opened(store, file) as stream:
            lines = gzip.GzipFile(fileobj=stream) if file.endswith(".gz") else stream
            for number, line in enumerate(iter(partial(lines.readline, MAX_LINE_BYTES + 1), b""), 1):
                if len(line) > MAX_LINE_BYTES:
                    raise PermanentError(f"{where}, line {number} has more than {MAX_LINE_BYTES:,} bytes.")
                if not line.strip():
                    continue
                is_plain = file.endswith((".txt", ".txt.gz"))
                batch.append(_text(line, None if is_plain else text_field, f"{where}, line {number}"))
                size += len(line)
                if len(batch) == _BATCH or size > _BATCH_BYTES:
                    yield pa.array(batch, pa.large_string())
                    batch, size = [], 0
    except (OSError, EOFError) as error:
        raise PermanentError(f"{where} cannot be read: {error}.") from error
    if batch:
        yield pa.array(batch, pa.large_string())


def _text(line: bytes, text_field: str | None, where: str) -> str:
    """Return the text in one line, which is an object of JSON where there is a `text_field`."""
    try:
        if text_field is None:
            return line.decode("utf-8-sig").strip()
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"{where} is not {'UTF-8' if text_field is None else 'JSON'}: {error}.") from error
    if not isinstance(value, dict):
        raise PermanentError(f"{where} is no object of JSON: each line must be one, with a field {text_field!r}.")
    if text_field not in value:
        raise PermanentError(f"{where}: no field {text_field!r}; it has: {', '.join(map(str, value))}. Set text_field.")
    text = value[text_field]
    if not isinstance(text, str):
        raise PermanentError(f"{where}: the field {text_field!r} is not a string but {type(text).__name__}.")
    # JSON can spell half a surrogate pair, which no UTF-8 has.
    return text.encode(errors="replace").decode()
