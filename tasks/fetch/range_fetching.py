"""Fetch chosen bytes of large files: the selected records of a WARC, a range of an index file.

Notable:
- The file in the store holds the selected records alone, one after the other, in whatever requests they came.
- The partial file is always the beginning of the finished one, so its length says which byte comes next.
- Every record is verified as one whole gzip member; one that was damaged on the way is fetched again alone. One that is
  damaged at the source stays, and the reader decides about it.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import xxhash

from tasks.base.errors import PermanentError
from tasks.base.messages import first_words
from tasks.base.plain_data import parse_json
from tasks.dataset.store import explaining_failed_writes
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.range_planning import Records, spans
from tasks.sources.byte_source import byte_source
from tasks.sources.downloading import DamagedWarc, Fetched, land, landing, note_beside, patiently, size_of
from tasks.sources.transfer import ByteSource, RangeRefused, Refused, Reply, TransferConfig, never_twice_alike
from tasks.warc.content import NotAWarc
from tasks.warc.gzip_inflating import GZIP_MAGIC
from tasks.warc.gzip_members import FileWindow, read_members
from tasks.warc.header_lines import RECORD_BEGIN
from tasks.warc.limits import ReadLimits
from tasks.warc.verification import verify_warc

_log = logging.getLogger(__name__)


def fetch_records(
    base: str, records: Records, destination: str | Path, select: SelectConfig, transfer: TransferConfig
) -> Fetched:
    """Fetch the selected records of a WARC below `base` to `destination`. Arguments and errors as in `fetch_warc`."""
    source = byte_source(base, transfer)
    total = int(records.lengths.sum())
    if total > transfer.max_file_bytes:
        raise PermanentError(
            f"{source.address(records.path)}: {total:,} bytes of it are selected, more than"
            f" source.transfer.max_file_bytes ({transfer.max_file_bytes:,}) allows."
        )
    with landing(destination) as partial, explaining_failed_writes(str(partial)):
        _download(source, records, partial, spans(records, select), transfer)
        _mend(source, records, partial, transfer)
        check = verify_warc(partial)
        if check.broken_at is not None:
            check = dataclasses.replace(check, broken_at=records.original_offset(check.broken_at))
        return land(partial, destination, check)


def read_range(source: ByteSource, path: str, first: int, stop: int, transfer: TransferConfig) -> bytes:
    """Return the bytes [first, stop) of a file of the source. Raises PermanentError where the file ends before."""
    body = bytearray()
    tag: str | None = None

    def attempt() -> None:
        nonlocal tag
        with _opened(source, path, first + len(body), stop, tag) as reply:
            if tag is not None and reply.tag != tag:
                body.clear()
                tag = None
                raise Refused(f"{source.address(path)}: the file changed while it was read.")
            tag = reply.tag
            for piece in _between(reply, first + len(body), stop):
                body.extend(piece)
        if len(body) < stop - first:
            raise Refused(f"{source.address(path)}: {len(body):,} of {stop - first:,} bytes arrived.")

    patiently(attempt, lambda: len(body), source.address(path), transfer)
    return bytes(body)


def file_size(source: ByteSource, path: str, transfer: TransferConfig) -> int:
    """Return the length of a file of the source in bytes, by one request for one byte."""
    if (local := source.local(path)) is not None:
        return local.stat().st_size

    def attempt() -> int:
        try:
            with source.read(path, 0, 1, None) as reply:
                if reply.total is None:
                    raise Refused(f"{source.address(path)}: the source does not say how long the file is.")
                return reply.total
        except RangeRefused:
            return 0  # an empty file has no first byte

    return patiently(attempt, lambda: 0, source.address(path), transfer)


def _download(source: ByteSource, records: Records, partial: Path, asked: np.ndarray, transfer: TransferConfig) -> None:
    """Bring `partial` to its full length, by the requests `asked`."""
    total = int(records.lengths.sum())
    identity = xxhash.xxh3_128_hexdigest(np.stack((records.offsets, records.lengths)).tobytes())
    address = source.address(records.path)

    def attempt() -> None:
        total_then, tag = _recall(partial, identity)
        with partial.open("ab") as file, source.kept_open() as kept:
            while (have := file.tell()) < total:
                at = records.original_offset(have)
                stop = int(asked[np.searchsorted(asked[:, 0], at, "right") - 1, 1])
                with _opened(kept, records.path, at, stop, tag) as reply:
                    if have and not (reply.tag == tag and reply.may_be(total_then, tag)):
                        file.truncate(0)
                        raise Refused(f"{address}: the file changed; it is fetched from its beginning.")
                    total_then, tag = reply.total, reply.tag
                    note_beside(partial).write_text(json.dumps({"records": identity, "total": total_then, "tag": tag}))
                    # A server without ranges sends the whole file: then all selected records are taken from it.
                    last = stop if reply.first == at else int(records.ends[-1])
                    missing = _append(file, reply, records, at, last)
                if missing:
                    raise Refused(f"{address}: the body ended {missing:,} bytes early.")
            os.fsync(file.fileno())

    patiently(attempt, lambda: size_of(partial), address, transfer)


def _append(file: IO[bytes], reply: Reply, records: Records, at: int, stop: int) -> int:
    """Write the reply's part of the selected records between `at` and `stop`; return how many bytes were missing."""
    for piece in _between(reply, at, stop):
        first = int(np.searchsorted(records.ends, at, "right"))
        last = int(np.searchsorted(records.offsets, at + len(piece), "left"))
        for begin, end in zip(records.offsets[first:last], records.ends[first:last], strict=True):
            file.write(piece[max(0, int(begin) - at) : int(end) - at])
        at += len(piece)
    file.flush()
    return stop - at


def _mend(source: ByteSource, records: Records, partial: Path, transfer: TransferConfig) -> None:
    """Verify every record of a complete file, and fetch those again that are no whole gzip member."""
    position = damaged = 0
    with partial.open("r+b") as file:
        for begin, length in zip(records.offsets.tolist(), records.lengths.tolist(), strict=True):
            file.seek(position)
            member = file.read(length)
            if fault := _member_fault(member):
                address = f"{source.address(records.path)}, record at byte {begin:,}"
                _log.warning("%s: %s, fetching it again", address, fault)
                member = _fetched_again(source, records.path, begin, member, transfer)
                file.seek(position)
                file.write(member)
                damaged += _member_fault(member) is not None
            position += length
        os.fsync(file.fileno())
        if damaged == len(records.offsets):
            file.seek(0)
            words = first_words(file.read(4096))
            partial.unlink()
            raise NotAWarc(
                f"{source.address(records.path)}: none of the {damaged:,} places that the index gives holds a WARC"
                f" record; the first begins with: {words!r}. The index is not this crawl's, or the file is damaged."
            )


def _fetched_again(source: ByteSource, path: str, begin: int, member: bytes, transfer: TransferConfig) -> bytes:
    """Return a record that arrives whole, or twice with the same damage, which is then the source's."""
    seen = {member}
    for _fetch in range(transfer.refetches):
        member = read_range(source, path, begin, begin + len(member), transfer)
        if _member_fault(member) is None or member in seen:
            return member
        seen.add(member)
    raise DamagedWarc(never_twice_alike(f"{source.address(path)}, record at byte {begin:,}", transfer))


def _member_fault(member: bytes) -> str | None:
    """Return what is wrong with bytes that should be one gzip member with a WARC record in it."""
    if not member.startswith(GZIP_MAGIC):
        return "no gzip member begins there"
    members = read_members(FileWindow(io.BytesIO(member)), 0, RECORD_BEGIN, ReadLimits())
    begins = next(members)
    if not begins.data.startswith(RECORD_BEGIN) and not begins.damage:
        return "the gzip member holds no WARC record"
    for piece in itertools.chain([begins], members):
        if piece.unended or piece.offset:
            return "the gzip member is longer or shorter than the index says"
        if piece.damage == "damaged_gzip":
            return piece.detail
    return None


@contextlib.contextmanager
def _opened(source: ByteSource, path: str, first: int, stop: int, tag: str | None) -> Iterator[Reply]:
    """Open bytes that the index promises: a file that ends before them is not the index's."""
    shorter = f"{source.address(path)}: the file ends before byte {stop:,}: it is not the file of the index."
    try:
        with source.read(path, first, stop, tag) as reply:
            if reply.total is not None and reply.total < stop:
                raise PermanentError(shorter)
            yield reply
    except RangeRefused as error:
        raise PermanentError(shorter) from error


def _between(reply: Reply, first: int, stop: int) -> Iterator[bytes]:
    """Yield the reply's part of the bytes [first, stop)."""
    position = reply.first
    for piece in reply.chunks:
        if wanted := piece[max(0, first - position) : max(0, stop - position)]:
            yield wanted
        position += len(piece)
        if position >= stop:
            return


def _recall(partial: Path, identity: str) -> tuple[int | None, str | None]:
    """Return length and tag of the file whose records `partial` begins with; it is removed if they are others."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = parse_json(note_beside(partial).read_bytes())
        if note["records"] == identity:
            return note["total"], note["tag"]
    partial.unlink(missing_ok=True)
    return None, None
