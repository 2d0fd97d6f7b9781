"""Cut the content of an archive into WARC records.

Notable:
- Records are framed by their own Content-Length on the unpacked bytes, so a record may span gzip members and a member
  may hold many records. Memory is bounded by the longest record allowed: longer ones are skipped as they stream by.
- Whatever cannot be framed becomes an `Unreadable`, and framing goes on at the next line that begins a record. This
  includes a wrong Content-Length: the bytes that it covers are searched for records, whatever the record's type.
- Of a damaged member, the last record is discarded, since its headers may be what was hit; those before it are yielded
  with a `Doubt`, and their payload digests decide.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tasks.warc.content import WarcContent, refuse_other_content
from tasks.warc.gzip_members import Piece
from tasks.warc.header_lines import HEAD_END, RECORD_BEGIN, RECORD_LINE, HeaderLines
from tasks.warc.limits import ReadLimits
from tasks.warc.streamed_digest import StreamedDigest

_LONGEST_RECORD_LINE = 64
_LINE_ENDS = re.compile(rb"[\r\n]*")
_MAX_HEAD_BYTES = 1 << 17
# After a record: two line breaks and the beginning of the next one.
_LOOKAHEAD_BYTES = len(b"\r\n\r\n" + RECORD_BEGIN)
_DECIMAL = re.compile(r"[0-9]{1,15}", re.ASCII)
RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in the archive that should be a response record and is no page."""

    offset: int  # where it begins in the file, in bytes
    reason: str
    """damaged_gzip, damaged_zstd, junk, decompression_bomb, clipped, bad_record, wrong_length or too_large; of
    `read_pages` also bad_body, decoding_timeout, and what its caller gives for a record that is not to be decoded."""
    detail: str  # the same in words
    url: str | None = None  # the page's address, None where it is not known


class Doubt(NamedTuple):
    """Why what a gzip member held cannot be trusted without its digest."""

    reason: str  # as in `Unreadable`
    detail: str


class RawRecord(NamedTuple):
    """A record as it stands in the archive."""

    offset: int  # where it begins in the file, in bytes
    kind: str  # WARC-Type in lower case
    headers: HeaderLines  # the WARC headers
    block: memoryview  # what follows them: of a response, an HTTP head and body
    doubt: Doubt | None = None  # the damage of the gzip member that held it
    clipped: bool = False  # whether the file ends before the record does; `block` is then what there is of it


class _Head(NamedTuple):
    """The head of the record being read."""

    headers: HeaderLines
    size: int  # its own length in bytes, the blank line included
    total: int  # the record's length in bytes, head and block
    kind: str


MAX_URL_CHARS = 8_000  # what servers should at least take (RFC 9110, section 4.1); hardly any takes more


def reported_url(headers: HeaderLines) -> str | None:
    """Return the address that an `Unreadable` gives; None where there is none, or one too long to be one."""
    url = target_url(headers)
    return url if 0 < len(url) <= MAX_URL_CHARS else None


def target_url(headers: HeaderLines) -> str:
    """Return WARC-Target-URI without angle brackets, "" where there is none."""
    return (headers.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")


class RecordFramer:
    """Cuts a WARC file's content into records."""

    def __init__(self, content: WarcContent, limits: ReadLimits) -> None:
        self.others: Counter[str] = Counter()  # records so far that are no responses, by WARC-Type
        self.heads = 0  # records so far whose head could be read
        self.skipped_digests: dict[int, bool] = {}
        """Of the records so far that are too long to be held, whether each one's digest is right, by offset."""
        self._content = content
        self._compressed = content.compressed
        self._file_bytes = sys.maxsize if content.compressed or content.file_bytes is None else content.file_bytes
        self._max_record_bytes = limits.max_record_bytes
        self._buffer: bytes | bytearray = b""
        self._at = 0  # in the buffer, of the first byte not dealt with
        self._position = 0  # of that byte in the file, where it is not compressed
        self._member = 0  # offset of the gzip member being read
        self._begun = 0  # records begun in that member
        self._silent = True  # whether nothing was yielded of that member
        self._start: int | None = None  # offset of the record being read
        self._head: _Head | None = None
        self._skip = 0  # bytes of the present record still to skip
        self._skipped_digest = StreamedDigest(HeaderLines(), 0, False)  # of that record
        self._lost = False  # looking for a line that begins a record
        self._reported = False  # the record being skipped was already yielded as unreadable

    def records(self) -> Iterator[RawRecord | Unreadable]:
        """Yield all records and whatever could not be framed, once, in file order. Raises NotAWarc for another file."""
        start = self._content.start
        if start is None:
            raise self._content.refusal()
        if start:
            yield Unreadable(0, "junk", f"the first {start} bytes of the file belong to no record")
        for piece in self._content.pieces():
            if piece.offset == 0:
                refuse_other_content(piece)
            yield from self._feed(piece)
        yield from self._take(True, None)
        if self._is_unfinished and not self._reported:
            yield from self._end_inside(self._head, "the file ends inside a record")

    def _feed(self, piece: Piece) -> Iterator[RawRecord | Unreadable]:
        """Yield the records that end in this piece, and what its damage cost."""
        if piece.first and self._compressed:
            if self._start is not None and piece.data.startswith(RECORD_BEGIN):
                yield from self._give_up("wrong_length", "the record is shorter than its Content-Length")
            elif self._lost:
                self._reset()
            self._member, self._begun, self._silent = piece.offset, 0, True
        if not self._compressed and not self._left:
            self._position = piece.offset
        self._add(piece.data)
        doubt = Doubt(piece.damage, piece.detail) if piece.damage not in (None, "clipped") else None
        silent = True
        for item in self._take(piece.last, doubt):
            if isinstance(item, Unreadable) or item.kind == RESPONSE:
                silent = self._silent = False
            yield item
        if piece.damage is not None:
            unfinished = self._is_unfinished or self._begun == 0
            if (unfinished or (silent and doubt)) and not self._reported:
                if piece.damage == "clipped" and self._head:
                    yield from self._end_inside(self._head, piece.detail)
                else:
                    yield self._fail(piece.damage, piece.detail, self._member if self._silent else None)
            self._reset()

    @property
    def _is_unfinished(self) -> bool:
        """Whether the bytes so far end inside a record."""
        return self._start is not None or (not self._lost and bool(bytes(self._buffer[self._at :]).strip()))

    @property
    def _left(self) -> int:
        """How many bytes of the buffer are not dealt with."""
        return len(self._buffer) - self._at

    def _take(self, ended: bool, doubt: Doubt | None) -> Iterator[RawRecord | Unreadable]:
        """Yield all that the buffer holds; `ended` says that nothing more belongs to it for now."""
        while (not self._skip or self._skip_over()) and (self._start is not None or self._find_start()):
            head = self._head
            if head is None:
                failure = self._read_head()
                if failure:
                    reason, detail, lost_bytes = failure
                    yield self._fail(*(doubt or (reason, detail)))
                    self._lose(lost_bytes)
                elif self._head is None:
                    return
                continue
            if self._left < head.total or (self._left < head.total + _LOOKAHEAD_BYTES and not ended):
                return
            after = self._bytes(head.total, head.total + _LOOKAHEAD_BYTES).lstrip(b"\r\n")
            if after and not after.startswith(RECORD_BEGIN[: len(after)]):
                yield self._fail(*(doubt or ("wrong_length", "the record goes on after its Content-Length")))
                self._lose(head.size)
                continue
            if doubt and not after:
                yield self._fail(*doubt)
            elif self._start is not None:
                if head.kind != RESPONSE:
                    self.others[head.kind] += 1
                block = self._view(head.size, head.total)
                yield RawRecord(self._start, head.kind, head.headers, block, doubt)
            self._drop(head.total)
            self._start = self._head = None

    def _skip_over(self) -> bool:
        """Drop what belongs to a record that is skipped; return False while there is more of it to come."""
        skipped = min(self._skip, self._left)
        self._skipped_digest.update(memoryview(self._buffer)[self._at : self._at + skipped])
        self._drop(skipped)
        self._skip -= skipped
        if not self._skip:
            if self._start is not None and (agrees := self._skipped_digest.agrees()) is not None:
                self.skipped_digests[self._start] = agrees
            self._start = self._head = None
            self._reported = False
        return not self._skip

    def _find_start(self) -> bool:
        """Bring the buffer to the first byte of a record; return False where none is in it."""
        line_ends = _LINE_ENDS.match(self._buffer, self._at)
        self._drop(line_ends.end() - self._at if line_ends else 0)
        if self._lost:
            found = RECORD_LINE.search(self._buffer, self._at)
            self._drop(found.start() - self._at if found else max(0, self._left - _LONGEST_RECORD_LINE))
            self._lost = found is None
        if self._lost or not self._left:
            return False
        self._start = self._member + self._begun if self._compressed else self._position
        self._begun += 1
        return True

    def _read_head(self) -> tuple[str, str, int] | None:
        """Read the record's head if it is complete; of a bad one, return why and how many bytes hold no record."""
        if not RECORD_BEGIN.startswith(self._bytes(0, len(RECORD_BEGIN))):
            return "junk", "bytes where a record should begin", 1
        end = HEAD_END.search(self._buffer, self._at, self._at + _MAX_HEAD_BYTES)
        if end is None:
            # No blank line in all of the allowed length: so no head of half that length in its first half.
            endless = "bad_record", "the record's head has no end", _MAX_HEAD_BYTES // 2
            return endless if self._left >= _MAX_HEAD_BYTES else None
        self.heads += 1
        size = end.end() - self._at
        if self._buffer.find(RECORD_BEGIN, self._at + 1, end.start()) >= 0 and (
            inner := [found.start() for found in RECORD_LINE.finditer(self._buffer, self._at + 1, end.start())]
        ):
            return "bad_record", "another record begins inside the record's head", inner[-1] - self._at
        headers = HeaderLines(self._bytes(0, size))
        length = _DECIMAL.fullmatch((headers.get("Content-Length") or "").strip())
        if length is None:
            return "bad_record", "the record has no Content-Length that is a number", 1
        kind = (headers.get("WARC-Type") or "unknown").strip().lower()
        self._head = head = _Head(headers, size, size + int(length[0]), kind)
        if head.total <= self._max_record_bytes:
            return None
        if self._position + head.total > self._file_bytes:
            return "wrong_length", "the record is shorter than its Content-Length", 1
        self._skip = head.total
        self._skipped_digest = StreamedDigest(headers, size, kind == RESPONSE)
        if kind != RESPONSE:
            self.others[kind] += 1
            return None
        self._reported = True
        return "too_large", f"the record has {head.total} bytes, over {self._max_record_bytes}", 1

    def _end_inside(self, head: _Head | None, detail: str) -> Iterator[RawRecord | Unreadable]:
        """Yield the record that the end of the file cuts off, or the records that begin inside it."""
        if head is None or self._start is None:
            yield self._fail("clipped", detail)
        elif RECORD_LINE.search(self._buffer, self._at + head.size):
            yield from self._give_up("wrong_length", "the record is shorter than its Content-Length")
        elif head.kind == RESPONSE and self._left:
            block = self._view(head.size, self._left)
            yield RawRecord(self._start, head.kind, head.headers, block, clipped=True)
        else:
            yield self._fail("clipped", detail)

    def _give_up(self, reason: str, detail: str) -> Iterator[RawRecord | Unreadable]:
        """Yield a record whose end was not where it should be, and the records inside its length."""
        if not self._reported:
            yield self._fail(reason, detail)
        if self._head and not self._skip:
            self._lose(self._head.size)
            yield from self._take(True, None)
        self._reset()

    def _fail(self, reason: str, detail: str, offset: int | None = None) -> Unreadable:
        """Return an `Unreadable` for the record being read, or for the present place."""
        if self._start is not None:
            offset = self._start
        elif offset is None:
            offset = self._member + self._begun if self._compressed else self._position
            self._begun += 1
        return Unreadable(offset, reason, detail, reported_url(self._head.headers) if self._head else None)

    def _lose(self, n_bytes: int) -> None:
        """Give up the present record and look for the next one after its first `n_bytes`, unless it can be skipped."""
        if self._skip:
            return
        self._drop(n_bytes)
        self._start = self._head = None
        self._lost = True

    def _bytes(self, first: int, stop: int) -> bytes:
        """Some bytes from the first one not dealt with on, fewer where there are no more."""
        return bytes(memoryview(self._buffer)[self._at + first : self._at + stop])

    def _view(self, first: int, stop: int) -> memoryview:
        """The same without a copy where the buffer is never changed."""
        whole = memoryview(self._buffer) if isinstance(self._buffer, bytes) else memoryview(bytes(self._buffer))
        return whole[self._at + first : self._at + stop]

    def _add(self, data: bytes) -> None:
        if self._left == 0:
            self._buffer, self._at = data, 0  # most records are a gzip member, and need no copy
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer)
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    def _drop(self, n_bytes: int) -> None:
        self._at += n_bytes
        self._position += n_bytes
        if self._left <= 0:
            self._buffer, self._at = b"", 0

    def _reset(self) -> None:
        self._drop(self._left)
        self._start = self._head = None
        self._skip, self._lost, self._reported = 0, False, False
