"""Is a WARC file whole? Its compression, its records' structure and their digests, read through once.

Notable:
- gzip carries a checksum for each record, so a byte flipped on the way breaks the structure there, and everything
  before it is good: a damaged file need only be fetched again from that record on.
- A digest that is wrong inside an intact gzip member was wrong at the source already. That is the record's fault, to be
  decided about with the record, and not the file's.
- Damage and truncation look alike in their consequences but not in their cure: only a truncated last record is normal,
  in a file of which only the first bytes were fetched.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from tasks.byte_source import first_words
from tasks.errors import PermanentError

_GZIP_MAGIC = b"\x1f\x8b"
_WARC_MAGIC = b"WARC/"
_HEAD_BYTES = 4096
_PIECE_BYTES = 1 << 20
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


class NotAWarc(PermanentError):
    """The file is something else, an error page for instance."""


@dataclass(frozen=True)
class WarcCheck:
    """What a reading of a WARC file found. Offsets are in bytes of the file as stored, at a record's beginning."""

    records: int
    """Records found, those with a fault included."""
    verified: int
    """Records whose payload or block digest was there and right."""
    wrong_digests: tuple[int, ...]
    """Offsets of intact records whose digest does not fit their content."""
    broken_at: int | None
    """Offset of the record where the file stops being readable, None if it is readable to its end."""
    cut_at: int | None
    """Offset of the last record, if the file ends in the middle of it."""
    compressed: bool
    """Whether the records are gzip members."""


def verify_warc_payload_digests(path: str | Path) -> WarcCheck:
    """Read a local WARC file through and check every record; about 8 s for 1 GB.

    Raises NotAWarc, with the file's first words, if it is no WARC file at all.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    compressed = bool(head) and _GZIP_MAGIC.startswith(head[:2])
    records = verified = last = 0
    wrong: list[int] = []
    readable = True
    try:
        # An open file, since fastwarc judges a path by its suffix and a file by its bytes.
        with path.open("rb") as file:
            for record in ArchiveIterator(file, parse_http=True):
                records += 1
                last = record.stream_pos
                match _digest_fits(record):
                    case True:
                        verified += 1
                    case False:
                        wrong.append(last)
    except OSError:
        readable = False
    if records == 0:
        _refuse_other_files(path, head)
    broken_at, cut_at = (_gzip_fault if compressed else _plain_fault)(path, last, readable)
    wrong = [at for at in wrong if at not in (broken_at, cut_at)]
    return WarcCheck(records, verified, tuple(wrong), broken_at, cut_at, compressed)


def _digest_fits(record: WarcRecord) -> bool | None:
    """Whether the record's digest is right; None where it has none, or one of a payload stored elsewhere (revisits)."""
    if record.record_type == WarcRecordType.response and record.is_http_parsed:
        if "WARC-Payload-Digest" in record.headers:
            return bool(record.verify_payload_digest(consume=True))
    elif "WARC-Block-Digest" in record.headers and not record.is_http_parsed:
        return bool(record.verify_block_digest(consume=True))
    record.reader.consume()
    return None


def _gzip_fault(path: Path, start: int, readable: bool) -> tuple[int | None, int | None]:
    """(broken_at, cut_at) from the member at `start` on, the last one before reading ended."""
    with path.open("rb") as file:
        file.seek(start)
        member_at, rest = start, b""
        while True:
            member = zlib.decompressobj(wbits=31)
            piece = rest or file.read(_PIECE_BYTES)
            if not piece:
                return (None if readable else start), None
            while piece and not member.eof:
                try:
                    member.decompress(piece)
                except zlib.error:
                    return member_at, None
                rest = member.unused_data
                piece = b"" if member.eof else file.read(_PIECE_BYTES)
            if not member.eof:
                return None, member_at
            member_at = file.tell() - len(rest)


def _plain_fault(path: Path, start: int, readable: bool) -> tuple[int | None, int | None]:
    """(broken_at, cut_at) for a file without compression, whose last readable record is at `start`."""
    with path.open("rb") as file:
        file.seek(start)
        header, end, _ = file.read(_PIECE_BYTES).partition(b"\r\n\r\n")
    if not _WARC_MAGIC.startswith(header[: len(_WARC_MAGIC)]):
        return start, None
    lengths = [line[15:].strip() for line in header.split(b"\r\n") if line[:15].lower() == b"content-length:"]
    there = path.stat().st_size - start - len(header) - len(end)
    if not end or (lengths and lengths[0].isdigit() and there < int(lengths[0])):
        return None, start
    return (None if readable else start), None


def _refuse_other_files(path: Path, head: bytes) -> None:
    """Raise NotAWarc if the file is text of another kind; anything else may be a WARC damaged at its beginning."""
    if not head:
        raise NotAWarc(f"{path}: the file is empty where a WARC file should be.")
    if head.startswith(_GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
        except zlib.error:
            return
    is_text = all(byte >= 32 or byte in _TEXT_CONTROLS for byte in head)
    if head and is_text and not _WARC_MAGIC.startswith(head[: len(_WARC_MAGIC)]):
        raise NotAWarc(f"{path}: this is no WARC file; it begins with: {first_words(head)!r}.")
