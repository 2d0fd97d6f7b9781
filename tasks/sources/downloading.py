"""Fetch WARC files whole and intact: retried, resumed, verified, and put in place in one step.

Notable:
- What has arrived is kept: a cut body, a full disk or a kill leaves `NAME.partial`, and the next attempt, even of
  another run, resumes from its end (an ETag makes sure that it is still the same file).
- A WARC is verified before it gets its name, and fetched again only from the first damaged record on. What arrives
  damaged twice in the same way is damaged at the source, and accepted: the reader decides on what it cost.
"""

import contextlib
import errno
import json
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import fsspec
import xxhash

from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.plain_data import parse_json
from tasks.base.private_folder import private_folder
from tasks.dataset.store import explaining_failed_writes
from tasks.sources.byte_source import byte_source
from tasks.sources.transfer import (
    ByteSource,
    RangeRefused,
    Refused,
    Reply,
    TransferConfig,
    Unreachable,
    never_twice_alike,
)
from tasks.warc.content import NotAWarc
from tasks.warc.verification import WarcCheck, verify_warc

_log = logging.getLogger(__name__)
_DISK_RESERVE_BYTES = 64 << 20
_DIGEST_BYTES = 1 << 20

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Fetched:
    """A WARC file that is now where it can be read."""

    path: str  # local path, or the URL it was asked to be stored at
    bytes: int
    digest: str  # xxh3-128 of the content, 32 hexadecimal digits (see `tasks.warc.content`)
    check: WarcCheck  # what verification found


class DamagedWarc(PermanentError):
    """No record of the file can be read, or it arrives damaged differently each time."""


def fetch_warc(
    base: str, path: str, destination: str | Path, transfer: TransferConfig, first_bytes: int | None = None
) -> Fetched:
    """Fetch the WARC file `path` below `base` to `destination`, a local path or a URL that fsspec knows.

    Only the whole records of the first `first_bytes` are fetched where that is given. An existing destination is
    replaced. Files of a local base are left where they are, unless only their first bytes are wanted. Damage at the
    source is no error as long as a record can be read: it is in the result's `check`.

    Raises:
        TemporaryError: All attempts are used up.
        PermanentError: Trying again is no use: NotFound; DamagedWarc; NotAWarc; it is too large; the disk is full.
    """
    source = byte_source(base, transfer)
    if first_bytes is None and (local := source.local(path)) is not None:
        check = _verified(local, str(local))
        if not check.records:
            raise DamagedWarc(f"{local}: no record in it can be read; copy the file there again.")
        return Fetched(str(local), local.stat().st_size, check.digest, check)
    with landing(destination) as partial:
        check = _download_verified(source, path, partial, transfer, first_bytes)
        if check.cut_at is not None and first_bytes is not None and partial.stat().st_size >= first_bytes:
            if check.cut_at == 0:
                raise PermanentError(
                    f"{source.address(path)}: its first record alone is longer than the first bytes asked for; raise"
                    " source.bytes_per_warc."
                )
            os.truncate(partial, check.cut_at)
            check = verify_warc(partial)
        return land(partial, destination, check)


def fetch_plain(
    base: str, path: str, destination: str | Path, transfer: TransferConfig
) -> tuple[Path | None, int, str]:
    """Fetch a file that is no WARC, whole; return it if it is on this machine's disk, its bytes, and their xxh3-128.

    A file of a local base is left where it is. Raises as `fetch_warc` does, but for what is wrong with a WARC.
    """
    source = byte_source(base, transfer)
    if (local := source.local(path)) is not None:
        with local.open("rb") as file:
            return local, local.stat().st_size, bytes_digest(file)
    with landing(destination) as partial:
        _download(source, path, partial, transfer, None)
        with partial.open("rb") as file:
            digest = bytes_digest(file)
        size = partial.stat().st_size
        put(partial, destination)
        return None, size, digest


def bytes_digest(file: BinaryIO) -> str:
    """Return the xxh3-128 of a file's bytes, 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    while data := file.read(_DIGEST_BYTES):
        digest.update(data)
    return digest.hexdigest()


def read_small(
    base: str,
    path: str,
    transfer: TransferConfig,
    parse: Callable[[bytes], Parsed],
    limit: int,
    has_checksum: bool = True,
) -> Parsed:
    """Return what `parse` makes of the file at `path`, of at most `limit` bytes.

    It is fetched again where `parse` raises a TemporaryError; without a checksum of its own it must arrive twice alike.
    Raises PermanentError where what arrives twice alike cannot be parsed.
    """
    source = byte_source(base, transfer)
    seen: set[bytes] = set()
    refused: set[bytes] = set()

    def once() -> bytes:
        with source.read(path, 0, None, None) as reply:
            body = bytearray()
            for piece in reply.chunks:
                body += piece
                if len(body) > limit:
                    raise PermanentError(f"{source.address(path)}: larger than the {limit:,} bytes expected there.")
        if reply.total is not None and len(body) != reply.total:
            raise Refused(f"{source.address(path)}: {len(body):,} of {reply.total:,} bytes arrived.")
        return bytes(body)

    def attempt() -> Parsed:
        body = once()
        try:
            parsed = parse(body)
        except TemporaryError as error:
            if has_checksum or body not in refused:
                refused.add(body)
                raise
            raise PermanentError(f"{source.address(path)}: {error} It arrives so each time: look at it.") from error
        if not has_checksum and body not in seen and source.local(path) is None:
            seen.add(body)
            if (again := once()) not in seen:
                seen.add(again)
                raise TemporaryError(f"{source.address(path)}: it arrived twice, differently each time.")
            parsed = parse(again)
        return parsed

    return patiently(attempt, lambda: len(seen), source.address(path), transfer)


def _download_verified(
    source: ByteSource, path: str, partial: Path, transfer: TransferConfig, first_bytes: int | None
) -> WarcCheck:
    seen: set[str] = set()
    for _fetch in range(1 + transfer.refetches):
        _download(source, path, partial, transfer, first_bytes)
        try:
            check = _verified(partial, source.address(path))
        except NotAWarc:
            _discard(partial)
            raise
        suspect = _first_suspect(check, first_bytes is None)
        if suspect is None:
            return check
        if check.digest in seen:
            if check.records:
                return check
            _discard(partial)
            raise DamagedWarc(f"{source.address(path)}: no record in it can be read, at the source itself.")
        seen.add(check.digest)
        _log.warning("%s: damaged at byte %d, fetching it again from there", source.address(path), suspect)
        os.truncate(partial, suspect)
    raise DamagedWarc(never_twice_alike(source.address(path), transfer))


def _first_suspect(check: WarcCheck, whole: bool) -> int | None:
    """Return the offset of the first record that may have been damaged on the way, None if the file looks right."""
    # Without gzip's checksums a flipped byte shows only in a digest.
    wrong = () if check.compressed else check.wrong_digests
    faults = [check.broken_at, check.cut_at if whole else None, *wrong]
    return min((at for at in faults if at is not None), default=None)


def _verified(file: Path, address: str) -> WarcCheck:
    """Verify a file; the error for one that is not a WARC file names its address."""
    try:
        return verify_warc(file)
    except NotAWarc as error:
        raise NotAWarc(f"{address}: {error}.") from None


def _download(source: ByteSource, path: str, partial: Path, transfer: TransferConfig, first_bytes: int | None) -> None:
    """Bring `partial` to the file's full length, or to `first_bytes`."""
    address = source.address(path)

    def attempt() -> None:
        known, have = _recall(partial), size_of(partial)
        if have and known is None:
            _discard(partial)  # there is no telling which file it is the beginning of
            have = 0
        complete = _wanted(known[0], first_bytes) if known is not None else None
        if complete is not None and partial.exists() and have >= complete:
            os.truncate(partial, complete)
            return
        try:
            with source.read(path, have, first_bytes, known[1] if known else None) as reply:
                if reply.first and known is not None and not reply.may_be(*known):
                    _discard(partial)
                    raise Refused(f"{address}: the file changed; it is fetched from its beginning.")
                wanted = _wanted(reply.total, first_bytes)
                if wanted is not None and wanted > transfer.max_file_bytes:
                    raise PermanentError(
                        f"{address}: {wanted:,} bytes are more than source.transfer.max_file_bytes"
                        f" ({transfer.max_file_bytes:,}) allows."
                    )
                _append(reply, partial, wanted, transfer.max_file_bytes)
        except RangeRefused:
            _discard(partial)
            raise
        if first_bytes is not None and size_of(partial) > first_bytes:
            os.truncate(partial, first_bytes)  # a source without ranges and without a length
        if (have := size_of(partial)) != (wanted or have):
            raise Refused(f"{address}: the body ended at {have:,} of {wanted:,} bytes.")

    patiently(attempt, lambda: size_of(partial), address, transfer)


def size_of(partial: Path) -> int:
    """Return how many bytes have arrived."""
    return partial.stat().st_size if partial.exists() else 0


def _append(reply: Reply, partial: Path, wanted: int | None, most: int) -> None:
    with explaining_failed_writes(str(partial)):
        with partial.open("ab") as file:
            if file.tell() > reply.first:
                file.truncate(reply.first)
            note_beside(partial).write_text(json.dumps({"total": reply.total, "tag": reply.tag}))
            missing = (wanted or 0) - reply.first
            if missing > 0 and shutil.disk_usage(partial.parent).free < missing + _DISK_RESERVE_BYTES:
                raise OSError(errno.ENOSPC, f"{missing:,} bytes are still to come")
        # Opened again: after a truncation an append handle must find the new end.
        with partial.open("ab") as file:
            for piece in reply.chunks:
                file.write(piece if wanted is None else piece[: max(0, wanted - file.tell())])
                if file.tell() > most:
                    raise PermanentError(f"{partial}: more than source.transfer.max_file_bytes ({most:,}) arrived.")
                if file.tell() == wanted:
                    break
            file.flush()
            os.fsync(file.fileno())


def _wanted(total: int | None, first_bytes: int | None) -> int | None:
    return total if total is None or first_bytes is None else min(total, first_bytes)


def note_beside(partial: Path) -> Path:
    """Return the file that says what `partial` is the beginning of; `land` removes it."""
    return partial.with_name(partial.name + ".json")


def _recall(partial: Path) -> tuple[int | None, str | None] | None:
    """Return the length and tag of the file that `partial` is the beginning of; None if they are not known."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = parse_json(note_beside(partial).read_bytes())
        return note["total"], note["tag"]
    return None


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    note_beside(partial).unlink(missing_ok=True)


@contextlib.contextmanager
def landing(destination: str | Path) -> Iterator[Path]:
    """Give the place where the file arrives before it gets its name: beside it, or a scratch folder for a URL."""
    is_remote = "://" in str(destination)
    scratch = Path(destination).parent
    if is_remote:
        scratch = private_folder("downloads") / xxhash.xxh3_64_hexdigest(str(destination))
    with explaining_failed_writes(str(scratch)):
        scratch.mkdir(parents=True, exist_ok=True)
    yield scratch / (Path(destination).name + ".partial")
    if is_remote:
        shutil.rmtree(scratch, ignore_errors=True)


def land(partial: Path, destination: str | Path, check: WarcCheck) -> Fetched:
    """Put the finished WARC file in place and return what came."""
    fetched = Fetched(str(destination), partial.stat().st_size, check.digest, check)
    put(partial, destination)
    return fetched


def put(partial: Path, destination: str | Path) -> None:
    """Give what has arrived its name, or upload it to the URL where it is to be stored."""
    if "://" in str(destination):
        fs, name = fsspec.core.url_to_fs(str(destination))
        fs.makedirs(fs._parent(name), exist_ok=True)
        fs.put_file(str(partial), name)
    else:
        partial.replace(destination)
    _discard(partial)


def patiently(attempt: Callable[[], Parsed], arrived: Callable[[], int], what: str, transfer: TransferConfig) -> Parsed:
    """Call `attempt` until it succeeds or `transfer` allows no further try; `arrived` returns the bytes so far."""
    fruitless, most = 0, arrived()
    while True:
        try:
            return attempt()
        except TemporaryError as error:
            now = arrived()
            fruitless, most = 1 if now > most else fruitless + 1, max(most, now)
            unreachable = isinstance(error, Unreachable)
            if unreachable and fruitless >= min(transfer.connect_attempts, transfer.attempts):
                raise Unreachable(
                    f"{error} Nothing answered {fruitless} times: check source.base, the network and any proxy, then"
                    " run again."
                ) from error
            if not unreachable and fruitless >= transfer.attempts:
                raise TemporaryError(
                    f"{error} Given up after {fruitless} fruitless attempts at {what}: try again later, with fewer"
                    " --workers or from another mirror (source.base). What has arrived is kept."
                ) from error
            backoff = transfer.first_pause_seconds * 2.0 ** min(fruitless - 1, 30) * random.uniform(1.0, 1.5)
            asked = error.retry_after if isinstance(error, Refused) else 0.0
            pause = max(min(backoff, transfer.longest_pause_seconds), min(asked, transfer.longest_retry_after_seconds))
            _log.info("%s Trying again in %.1f s.", error, pause)
            time.sleep(pause)
