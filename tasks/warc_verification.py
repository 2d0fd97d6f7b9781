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
    compressed = head.startswith(_GZIP_MAGIC)
    records = verified = last = 0
    wrong: list[int] = []
    broken_at: int | None = None
    try:
        for record in ArchiveIterator(str(path), parse_http=True, fsspec_args=False):
            records += 1
            last = record.stream_pos
            match _digest_fits(record):
                case True:
                    verified += 1
                case False:
                    wrong.append(last)
    except OSError:
        broken_at = last
    if records == 0:
        _refuse_other_files(path, head)
        return WarcCheck(0, 0, (), broken_at=0, cut_at=None, compressed=compressed)
    cut_at = None
    if broken_at is None and _ends_inside(path, last, compressed):
        cut_at = last
    unsound = {broken_at, cut_at}
    return WarcCheck(records, verified, tuple(at for at in wrong if at not in unsound), broken_at, cut_at, compressed)


def _digest_fits(record: WarcRecord) -> bool | None:
    """Whether the record's digest is right; None where it has none, or one of a payload stored elsewhere (revisits)."""
    if record.record_type == WarcRecordType.response and record.is_http_parsed:
        if "WARC-Payload-Digest" in record.headers:
            return bool(record.verify_payload_digest(consume=True))
    elif "WARC-Block-Digest" in record.headers and not record.is_http_parsed:
        return bool(record.verify_block_digest(consume=True))
    record.reader.consume()
    return None


def _ends_inside(path: Path, last: int, compressed: bool) -> bool:
    """Whether the record at `last` is not whole in the file."""
    with path.open("rb") as file:
        file.seek(last)
        if compressed:
            if last >= path.stat().st_size:
                return False
            member = zlib.decompressobj(wbits=31)
            while not member.eof and (piece := file.read(1 << 20)):
                member.decompress(piece)
            return not member.eof
        header, end, block = file.read().partition(b"\r\n\r\n")
        lengths = [line[15:] for line in header.split(b"\r\n") if line[:15].lower() == b"content-length:"]
        return not end or not lengths or len(block) < int(lengths[0])


def _refuse_other_files(path: Path, head: bytes) -> None:
    """Raise NotAWarc if the file is text of another kind; anything else may be a WARC damaged at its beginning."""
    if head.startswith(_GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
        except zlib.error:
            return
    if head.startswith(_WARC_MAGIC):
        return
    if not head:
        raise NotAWarc(f"{path}: the file is empty where a WARC file should be.")
    if all(byte >= 32 or byte in _TEXT_CONTROLS for byte in head):
        raise NotAWarc(f"{path}: this is no WARC file; it begins with: {first_words(head)!r}.")
