"""Rows on their way from one order to another, in files on this machine's disk: a bucket at a time fits into memory."""

import contextlib
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.workers.scratch_folder import scratch_folder


class SpilledRows:
    """Some buckets of rows. A context manager: the files are removed at its end."""

    def __init__(self, schema: pa.Schema, buckets: int) -> None:
        self._schema = schema
        self._buckets = buckets
        self._stack = contextlib.ExitStack()
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def __enter__(self) -> "SpilledRows":
        self._folder: Path = self._stack.enter_context(scratch_folder("join"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        self._stack.close()

    def add(self, table: pa.Table, bucket: npt.NDArray[np.int64]) -> None:
        """Add rows, each to its `bucket` [n]."""
        order = np.argsort(bucket, kind="stable")
        table, bucket = table.take(pa.array(order)), bucket[order]
        bounds = np.searchsorted(bucket, np.arange(self._buckets + 1))
        for number in np.unique(bucket).tolist():
            begin, end = int(bounds[number]), int(bounds[number + 1])
            self._writer(number).write_table(table.slice(begin, end - begin))

    def read(self, bucket: int) -> pa.Table:
        """Return the rows of a bucket, to which none is added any more."""
        if bucket not in self._writers:
            return self._schema.empty_table()
        self._writers.pop(bucket).close()
        with pa.OSFile(str(self._path(bucket))) as file, pa.ipc.open_stream(file) as reader:
            return reader.read_all()

    def _writer(self, bucket: int) -> pa.RecordBatchStreamWriter:
        if bucket not in self._writers:
            file = self._stack.enter_context(pa.OSFile(str(self._path(bucket)), "wb"))
            self._writers[bucket] = pa.ipc.new_stream(file, self._schema)
        return self._writers[bucket]

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket}.arrow"
