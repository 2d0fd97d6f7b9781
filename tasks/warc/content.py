"""The content of a WARC file: what its gzip members or zstd frames hold, or the file itself; digest and damage.

Notable:
- The digest covers what gzip's checksums protect, the content and where in the file each member begins: the rest of
  the container, such as a header's time, may change on the way, and no reader would see it.
- From the first damage on the content is uncertain, so from there the digest covers the bytes of the file.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import xxhash

from tasks.base.errors import PermanentError
from tasks.base.messages import first_words, is_markup, is_text
from tasks.warc.gzip_inflating import GZIP_MAGIC
from tasks.warc.gzip_members import FileWindow, Piece, find_member, read_members
from tasks.warc.header_lines import RECORD_BEGIN, RECORD_LINE
from tasks.warc.limits import ReadLimits
from tasks.warc.zstd_frames import DICTIONARY_MAGIC, ZSTD_MAGIC, read_frames

_SNIFF_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_PLACE = struct.Struct("<q")
_DAMAGE = b"damage"
_KNOWN_BEGINNINGS = {
    b"filedesc://": "an ARC file, the format before WARC; convert it with a tool such as warcio recompress",
    b"PK\x03\x04": "a zip file",
    b"\x04\x22\x4d\x18": "an lz4 file; unpack it, or fetch the .warc.gz",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF file",
}


class NotAWarc(PermanentError):
    """The file is something else, an error page for instance."""


class WarcContent:
    """The content of a WARC file, from a stream that stands at its beginning."""

    def __init__(self, stream: BinaryIO, limits: ReadLimits) -> None:
        self.file_bytes = _file_bytes(stream)  # the file's length, None where the stream cannot tell
        self._stream = stream
        self._limits = limits
        self._window = FileWindow(stream)
        self._head = self._window.read(0, _SNIFF_BYTES)
        self.start, self.compressed = self._find_archive()
        """Where the first record or gzip member begins, None where there is none; and whether it is gzip or zstd."""
        self.broken_at: int | None = None if self.start == 0 else 0
        """Offset of the first bytes that are no sound gzip member or frame; in a plain file, that are no record."""
        self.cut_at: int | None = None  # offset of the last gzip member, if the file ends in the middle of it
        self._uncertain_from: int | None = self.broken_at
        self._digest, self._member = xxhash.xxh3_128(), xxhash.xxh3_128()

    def pieces(self) -> Iterator[Piece]:
        """Yield all that can be read, once."""
        if self.start is None:
            return
        for piece in self._read(self.start):
            self._note(piece)
            yield piece

    def _read(self, start: int) -> Iterator[Piece]:
        if self._head.startswith((ZSTD_MAGIC, DICTIONARY_MAGIC)):
            return read_frames(self._window, start, self._limits)
        if self.compressed:
            return read_members(self._window, start, RECORD_BEGIN, self._limits)
        return self._plain_pieces(start)

    def digest(self) -> str:
        """Return the xxh3-128 of the content, 32 hexadecimal digits, once all pieces have been read."""
        if self._uncertain_from is not None:
            self._digest.update(_DAMAGE)
            self._stream.seek(self._uncertain_from)
            while data := self._stream.read(_READ_BYTES):
                self._digest.update(data)
            self._uncertain_from = None
        return self._digest.hexdigest()

    def is_other_text(self) -> bool:
        """Whether the file is text of another kind or empty, and so not a WARC file damaged at its beginning."""
        return self.start is None and is_text(self._head)

    def refusal(self) -> NotAWarc:
        """Return the error for a file without an archive in it."""
        return NotAWarc(f"this is not a WARC file but {_describe(self._head)}; look at its address and fetch it again")

    def _find_archive(self) -> tuple[int | None, bool]:
        if self._head and GZIP_MAGIC.startswith(self._head[: len(GZIP_MAGIC)]):
            return 0, True
        if self._head.startswith((ZSTD_MAGIC, DICTIONARY_MAGIC)):
            return 0, True
        if record := RECORD_LINE.search(self._head):
            return record.start(), False
        if self._head and RECORD_BEGIN.startswith(self._head[: len(RECORD_BEGIN)]):
            return 0, False
        first_member = find_member(self._window, 0, RECORD_BEGIN) if self._head else -1
        return (first_member, True) if first_member >= 0 else (None, False)

    def _plain_pieces(self, start: int) -> Iterator[Piece]:
        position = start
        while data := self._window.read(position, position + _READ_BYTES):
            yield Piece(position, data, position == start, False)
            position += len(data)
            self._window.drop(position)

    def _note(self, piece: Piece) -> None:
        """Take down a piece's damage, or add it to the digest."""
        if piece.unended:
            self.cut_at = piece.offset
        elif piece.damage in ("damaged_gzip", "damaged_zstd", "junk") and self.broken_at is None:
            self.broken_at = piece.offset
        if self._uncertain_from is not None:
            return
        if piece.damage:
            self._uncertain_from = piece.offset
        elif not self.compressed:
            self._digest.update(piece.data)
        elif piece.first and piece.last:
            self._digest.update(_PLACE.pack(piece.offset) + xxhash.xxh3_128_digest(piece.data))
        else:
            if piece.first:
                self._member.reset()
            self._member.update(piece.data)
            if piece.last:
                self._digest.update(_PLACE.pack(piece.offset) + self._member.digest())


def content_digest(stream: BinaryIO) -> str:
    """Return the digest of a WARC file's content, from a stream that stands at its beginning."""
    content = WarcContent(stream, ReadLimits())
    for _ in content.pieces():
        pass
    return content.digest()


def refuse_other_content(piece: Piece) -> None:
    """Raise NotAWarc where a file's first gzip member is sound and holds something else."""
    begins = piece.data[: len(RECORD_BEGIN)]
    if piece.first and not piece.damage and not RECORD_BEGIN.startswith(begins):
        raise NotAWarc(f"this is not a WARC file but, inside gzip, {_describe(piece.data)}; look at its address")


def _file_bytes(stream: BinaryIO) -> int | None:
    if not stream.seekable():
        return None
    begin = stream.tell()
    length = stream.seek(0, io.SEEK_END)
    stream.seek(begin)
    return length


def _describe(head: bytes) -> str:
    """Return in words what a file that is not a WARC file seems to be."""
    if not head:
        return "an empty file"
    for beginning, name in _KNOWN_BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if not is_text(head):
        return f"bytes that begin {head[:40]!r}"
    return f"{'an HTML or XML page' if is_markup(head) else 'text'} that begins with: {first_words(head)!r}"
