"""Open a file of lines, packed by gzip or zstd or not at all, in bounded memory."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import zstandard

from tasks.warc.gzip_inflating import GZIP_MAGIC
from tasks.warc.zstd_frames import ZSTD_MAGIC

_MOST_WINDOW_BYTES = 128 << 20
_BUFFER_BYTES = 1 << 20
_PACKED_BYTES = 1 << 11  # unpacked at once; a bomb makes at most 64 MiB of so many

UNPACKING_ERRORS = (zlib.error, gzip.BadGzipFile, EOFError, zstandard.ZstdError)
"""What reading raises where the packed bytes are damaged or cut off."""


@contextmanager
def unpacked(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Yield what a seekable stream holds, unpacked if it begins as gzip or zstd do."""
    head = stream.read(4)
    stream.seek(0)
    if head.startswith(GZIP_MAGIC):
        with gzip.GzipFile(fileobj=stream) as file:
            yield cast(BinaryIO, io.BufferedReader(file, _BUFFER_BYTES))
    elif head.startswith(ZSTD_MAGIC):
        yield cast(BinaryIO, io.BufferedReader(_ZstdFile(stream), _BUFFER_BYTES))
    else:
        yield stream


class _ZstdFile(io.RawIOBase):
    """What a file of zstd frames holds; the library's own reader takes one that breaks off for whole."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES)
        self._frame: Any = None
        self._rest = b""  # read and not unpacked: the frames after one that has ended
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._rest or self._packed.read(_PACKED_BYTES)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the file ends inside a zstd frame")
                return 0
            self._frame = self._frame or self._decoder.decompressobj()
            self._ready = memoryview(self._frame.decompress(packed))
            self._rest = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
