"""Is a WARC file whole? Its compression, its records' structure and their digests, read and unpacked once.

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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from tasks.base.errors import PermanentError
from tasks.sources.transfer import first_words
from tasks.warc.content import WarcContent
from tasks.warc.reader import ReadLimits, read_pages

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
    digest: str
    """Digest of the content (`WarcContent.digest`)."""


def verify_warc_payload_digests(path: str | Path) -> WarcCheck:
    """Read a local WARC file through and check every record; about 15 s of processor time for 1 GB.

    Raises NotAWarc, with the file's first words, if it is no WARC file at all.
    """
    path = Path(path)
    records = verified = last = 0
    wrong: list[int] = []
    readable = True
    with path.open("rb") as file:
        content = WarcContent(file)
        try:
            for record in _records(content):
                records += 1
                last = content.place(record.stream_pos)
                match _digest_fits(record):
                    case True:
                        verified += 1
                    case False:
                        wrong.append(last)
        except OSError:
            readable = False
        digest = content.digest()
    if records == 0:
        _refuse_other_files(path)
    broken_at, cut_at = content.broken_at, content.cut_at
    if not content.compressed:
        broken_at, cut_at = _plain_fault(path, last, readable)
    wrong = [at for at in wrong if at not in (broken_at, cut_at)]
    return WarcCheck(records, verified, tuple(wrong), broken_at, cut_at, content.compressed, digest)


def holds_a_record(path: str | Path, check: WarcCheck) -> bool:
    """Whether a reader that steps over damage finds anything to read in a file."""
    if check.records:
        return True
    with Path(path).open("rb") as file:
        try:
            for _ in read_pages(file, ReadLimits()):
                pass
        except PermanentError:
            return False
    return True


def _records(content: WarcContent) -> Iterator[WarcRecord]:
    """All records; fastwarc is given content that is unpacked, and must not take it for a compressed file inside."""
    return iter(ArchiveIterator(cast(BinaryIO, content), parse_http=True, stream_detect=False))


def _digest_fits(record: WarcRecord) -> bool | None:
    """Whether the record's digest is right; None where it has none, or one of a payload stored elsewhere (revisits)."""
    if record.record_type == WarcRecordType.response and record.is_http_parsed:
        if "WARC-Payload-Digest" in record.headers:
            return bool(record.verify_payload_digest(consume=True))
    elif "WARC-Block-Digest" in record.headers and not record.is_http_parsed:
        return bool(record.verify_block_digest(consume=True))
    record.reader.consume()
    return None


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


def _refuse_other_files(path: Path) -> None:
    """Raise NotAWarc if the file is text of another kind; anything else may be a WARC damaged at its beginning."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
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
