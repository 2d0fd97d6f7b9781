"""Fetch WARC files whole and intact: retried, resumed, verified, and put in place in one step.

Notable:
- What has arrived is kept: a cut body, a full disk or a kill leaves `NAME.partial`, and the next attempt, even of
  another run, resumes from its end (an ETag makes sure that it is still the same file).
- `TransferConfig.attempts` counts failures without a single new byte, so a large file arrives over a poor line too.
- A WARC is verified before it gets its name, and fetched again only from the first damaged record on. What arrives
  damaged twice in the same way is damaged at the source: it is accepted, as it would be in a folder, and the reader
  steps over the damage with a decision for what it cost.
- A small file without checksums is read twice.
- Where only the first bytes of a WARC are fetched, the last, incomplete record is cut off: readers see whole records.
- A file that is on this machine already is read where it is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import fsspec
import tenacity
import xxhash

from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.store import explaining_full_disk
from tasks.sources.file_source import FileSource
from tasks.sources.http_source import HttpSource
from tasks.sources.transfer import ByteSource, RangeRefused, Refused, Reply, TransferConfig, Unreachable
from tasks.warc.content import NotAWarc
from tasks.warc.verification import WarcCheck, verify_warc

_log = logging.getLogger(__name__)
_DISK_RESERVE_BYTES = 64 << 20

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Fetched:
    """A WARC file that is now where it can be read."""

    path: str
    """Local path, or the URL it was asked to be stored at."""
    bytes: int
    digest: str
    """xxh3-128 of the content, 32 hexadecimal digits (see `tasks.warc.content`)."""
    check: WarcCheck
    """What verification found."""


class DamagedWarc(PermanentError):
    """No record of the file can be read, or it arrives damaged differently each time."""


def byte_source(base: str, transfer: TransferConfig) -> ByteSource:
    """Return the source at `base`: http(s):// a mirror, any other URL through fsspec, anything else a folder."""
    if base.startswith(("http://", "https://")):
        return HttpSource(base.rstrip("/"), transfer)
    return FileSource(base.rstrip("/") or "/", transfer)


def fetch_warc(
    base: str, path: str, destination: str | Path, transfer: TransferConfig, first_bytes: int | None = None
) -> Fetched:
    """Fetch the WARC file `path` below `base` (see `byte_source`) to `destination`, a local path or a URL that fsspec
    knows. It is verified record by record, and what arrived damaged is fetched again.

    Only the whole records of the first `first_bytes` are fetched where that is given. An existing destination is
    replaced. Files of a local base are left where they are, unless only their first bytes are wanted.

    Damage at the source is no error as long as a record can be read, nor are single records whose digest is wrong
    there: both are in the result's `check`.

    Raises:
        TemporaryError: All attempts are used up.
        PermanentError: Trying again is no use: NotFound; DamagedWarc; NotAWarc, with its first words, for an error
            page in a WARC's place; the file is too large; the disk is full.
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
            check = _cut_to_whole_records(source.address(path), partial, check)
        return land(partial, destination, check)


def read_small(
    base: str,
    path: str,
    transfer: TransferConfig,
    parse: Callable[[bytes], Parsed],
    limit: int,
    has_checksum: bool = True,
) -> Parsed:
    """Return what `parse` makes of the file at `path`, of at most `limit` bytes.

    A TemporaryError from `parse` means that the body arrived damaged: it is fetched again. A file without a checksum of
    its own must arrive twice alike, unless it is on this machine. Errors as in `fetch_warc`.
    """
    source = byte_source(base, transfer)
    seen: set[bytes] = set()

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
        parsed = parse(body)
        if not has_checksum and body not in seen and source.local(path) is None:
            seen.add(body)
            body = once()
            if body not in seen:
                seen.add(body)
                raise TemporaryError(f"{source.address(path)}: it arrived twice, differently each time.")
            parsed = parse(body)
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
    raise DamagedWarc(
        f"{source.address(path)}: arrived damaged {1 + transfer.refetches} times, each time differently. Something"
        " between the source and this machine changes bytes: try another network or mirror."
    )


def _first_suspect(check: WarcCheck, whole: bool) -> int | None:
    """Return the offset of the first record that may have been damaged on the way, None if the file looks right."""
    faults = [check.broken_at]
    if whole:
        faults.append(check.cut_at)
    if not check.compressed:
        # Without gzip's checksums a flipped byte shows only in a digest.
        faults += check.wrong_digests
    return min((at for at in faults if at is not None), default=None)


def _cut_to_whole_records(address: str, partial: Path, check: WarcCheck) -> WarcCheck:
    assert check.cut_at is not None
    if check.cut_at == 0:
        raise PermanentError(
            f"{address}: its first record alone is longer than the first bytes asked for; raise source.bytes_per_warc."
        )
    os.truncate(partial, check.cut_at)
    return verify_warc(partial)


def _verified(file: Path, address: str) -> WarcCheck:
    """Verify a file; the error for one that is no WARC names its address."""
    try:
        return verify_warc(file)
    except NotAWarc as error:
        raise NotAWarc(f"{address}: {error}.") from None


def _download(source: ByteSource, path: str, partial: Path, transfer: TransferConfig, first_bytes: int | None) -> None:
    """Bring `partial` to the file's full length, or to `first_bytes`."""

    def attempt() -> None:
        known = _recall(partial)
        have = partial.stat().st_size if partial.exists() else 0
        if have and known is None:
            _discard(partial)  # there is no telling which file it is the beginning of
            have = 0
        complete = _wanted(known[0], first_bytes) if known is not None else None
        if complete is not None and partial.exists() and have >= complete:
            os.truncate(partial, complete)
            return
        try:
            with source.read(path, have, first_bytes, known[1] if known else None) as reply:
                if reply.first and known is not None and not _is_same_file(known, reply):
                    _discard(partial)
                    raise Refused(f"{source.address(path)}: the file changed; it is fetched from its beginning.")
                wanted = _wanted(reply.total, first_bytes)
                if wanted is not None and wanted > transfer.max_file_bytes:
                    raise PermanentError(
                        f"{source.address(path)}: {wanted:,} bytes are more than source.transfer.max_file_bytes"
                        f" ({transfer.max_file_bytes:,}) allows."
                    )
                _append(reply, partial, wanted, transfer.max_file_bytes)
        except RangeRefused:
            _discard(partial)
            raise
        if first_bytes is not None and partial.stat().st_size > first_bytes:
            os.truncate(partial, first_bytes)  # a source without ranges and without a length
        if (have := partial.stat().st_size) != (wanted or have):
            raise Refused(f"{source.address(path)}: the body ended at {have:,} of {wanted:,} bytes.")

    def arrived() -> int:
        return partial.stat().st_size if partial.exists() else 0

    patiently(attempt, arrived, source.address(path), transfer)


def _append(reply: Reply, partial: Path, wanted: int | None, most: int) -> None:
    with explaining_full_disk(str(partial)):
        with partial.open("ab") as file:
            if file.tell() > reply.first:
                file.truncate(reply.first)
            _remember(partial, reply)
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
    sizes = [size for size in (total, first_bytes) if size is not None]
    return min(sizes) if total is not None else None


def note_beside(partial: Path) -> Path:
    """Return the file that says what `partial` is the beginning of; `land` removes it."""
    return partial.with_name(partial.name + ".json")


def _remember(partial: Path, reply: Reply) -> None:
    note_beside(partial).write_text(json.dumps({"total": reply.total, "tag": reply.tag}))


def _recall(partial: Path) -> tuple[int | None, str | None] | None:
    """Return the length and tag of the file that `partial` is the beginning of; None if they are not known."""
    try:
        note = json.loads(note_beside(partial).read_text())
        return note["total"], note["tag"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_same_file(known: tuple[int | None, str | None], reply: Reply) -> bool:
    """Whether a resumed reply may be of the file of that length and tag, as far as both are known."""
    pairs = zip(known, (reply.total, reply.tag), strict=True)
    return all(before == now for before, now in pairs if before is not None and now is not None)


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    note_beside(partial).unlink(missing_ok=True)


@contextlib.contextmanager
def landing(destination: str | Path) -> Iterator[Path]:
    """Give the place where the file arrives before it gets its name: beside it, or a scratch folder for a URL."""
    if _is_remote(destination):
        scratch = Path(tempfile.gettempdir()) / f"sluice-{xxhash.xxh3_64_hexdigest(str(destination))}"
    else:
        scratch = Path(destination).parent
    with explaining_full_disk(str(scratch)):
        scratch.mkdir(parents=True, exist_ok=True)
    yield scratch / (Path(destination).name + ".partial")
    if _is_remote(destination):
        shutil.rmtree(scratch, ignore_errors=True)


def _is_remote(destination: str | Path) -> bool:
    return "://" in str(destination)


def land(partial: Path, destination: str | Path, check: WarcCheck) -> Fetched:
    """Give the finished file its name, or upload it to the URL where it is to be stored."""
    fetched = Fetched(str(destination), partial.stat().st_size, check.digest, check)
    if _is_remote(destination):
        fs, name = fsspec.core.url_to_fs(str(destination))
        fs.makedirs(fs._parent(name), exist_ok=True)
        fs.put_file(str(partial), name)
    else:
        partial.replace(destination)
    _discard(partial)
    return fetched


def patiently(attempt: Callable[[], Parsed], arrived: Callable[[], int], what: str, transfer: TransferConfig) -> Parsed:
    """Call `attempt` until it succeeds or `transfer` allows no further try; `arrived` returns the bytes so far."""
    fruitless = 0
    most = arrived()

    def counted() -> Parsed:
        nonlocal fruitless, most
        try:
            return attempt()
        except TemporaryError:
            now = arrived()
            fruitless = 1 if now > most else fruitless + 1
            most = max(most, now)
            raise

    def give_up(state: tenacity.RetryCallState) -> bool:
        unreachable = isinstance(_error(state), Unreachable)
        return fruitless >= (min(transfer.connect_attempts, transfer.attempts) if unreachable else transfer.attempts)

    def pause(state: tenacity.RetryCallState) -> float:
        backoff = transfer.first_pause_seconds * 2.0 ** min(fruitless - 1, 30) * random.uniform(1.0, 1.5)
        error = _error(state)
        asked = error.retry_after if isinstance(error, Refused) else 0.0
        longest = transfer.longest_pause_seconds, transfer.longest_retry_after_seconds
        return max(min(backoff, longest[0]), min(asked, longest[1]))

    def log(state: tenacity.RetryCallState) -> None:
        _log.info("%s Trying again in %.1f s.", _error(state), state.next_action.sleep if state.next_action else 0)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TemporaryError),
        stop=give_up,
        wait=pause,
        before_sleep=log,
        sleep=time.sleep,
        reraise=True,
    )
    try:
        return retrying(counted)
    except Unreachable as error:
        raise Unreachable(
            f"{error} Nothing answered {fruitless} times: check source.base, the network and any proxy, then run again."
        ) from error
    except TemporaryError as error:
        raise TemporaryError(
            f"{error} Given up after {fruitless} fruitless attempts at {what}: try again later, with fewer"
            " --workers or from another mirror (source.base). What has arrived is kept."
        ) from error


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
