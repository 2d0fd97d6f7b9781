"""Verify a WARC file: its compression, its records' structure and their digests, read and unpacked once.

Notable:
- gzip carries a checksum for each record, so a damaged file need only be fetched again from the damage on.
- A digest or a length that is wrong inside an intact gzip member was wrong at the source already. That is the record's
  fault, to be decided with the record, and not the file's.
"""

from dataclasses import dataclass
from pathlib import Path

from tasks.warc.content import WarcContent
from tasks.warc.framing import RESPONSE, RawRecord, RecordFramer, Unreadable
from tasks.warc.http_payload import digest_agrees, split_http
from tasks.warc.limits import ReadLimits
from tasks.warc.reader import Page, read_record


@dataclass(frozen=True)
class WarcCheck:
    """What verification of a WARC file found. Offsets are in bytes of the file as stored, at a record's beginning."""

    records: int  # records whose head could be read, those with a fault included
    verified: int  # records whose payload or block digest was there and right
    wrong_digests: tuple[int, ...]  # offsets of intact records whose digest does not fit their content
    broken_at: int | None  # offset of the first damage, None if the file is sound as far as it goes
    cut_at: int | None  # offset of the last record, if the file ends in the middle of it
    compressed: bool  # whether the records are gzip members
    digest: str  # digest of the content (`WarcContent.digest`)


def verify_warc(path: str | Path) -> WarcCheck:
    """Read a local WARC file through and check every record. Raises NotAWarc, with the file's first words."""
    limits = ReadLimits()
    verified = 0
    wrong: list[int] = []
    with Path(path).open("rb") as file:
        content = WarcContent(file, limits)
        if content.is_other_text():
            raise content.refusal()
        framer = RecordFramer(content, limits)
        broken_at, cut_at = content.broken_at, None
        for item in framer.records() if content.start is not None else ():
            if isinstance(item, RawRecord) and not item.doubt and not item.clipped:
                fits = _digest_fits(item, limits)
                verified += fits is True
                wrong += [item.offset] if fits is False else []
            elif item.clipped if isinstance(item, RawRecord) else item.reason == "clipped":
                cut_at = item.offset
            elif isinstance(item, Unreadable) and item.reason != "too_large" and broken_at is None:
                broken_at = item.offset
        verified += sum(framer.skipped_digests.values())
        wrong = sorted([*wrong, *(at for at, fits in framer.skipped_digests.items() if not fits)])
        if content.compressed:
            # A fault inside an intact gzip member is a record's.
            broken_at, cut_at = content.broken_at, content.cut_at
        return WarcCheck(framer.heads, verified, tuple(wrong), broken_at, cut_at, content.compressed, content.digest())


def _digest_fits(record: RawRecord, limits: ReadLimits) -> bool | None:
    """Whether the record's digest is right; None where it has none, or one of a payload stored elsewhere (revisits)."""
    payload_digest, block_digest = (record.headers.get(f"WARC-{part}-Digest") for part in ("Payload", "Block"))
    if record.kind == RESPONSE and payload_digest:
        if digest_agrees(payload_digest, split_http(record.block)[1]):
            return True
        page = read_record(record, limits)  # the digest may be that of the body as decoded
        return page.digest_ok if isinstance(page, Page) else False
    is_http = (record.headers.get("Content-Type") or "").lower().startswith("application/http")
    return digest_agrees(block_digest, record.block) if block_digest and not is_http else None
