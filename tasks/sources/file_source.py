"""A crawl read through fsspec: from a folder of this machine, or from an object store such as s3://commoncrawl.

Notable:
- An object store is read in large pieces, each a request of its own that waits for its turn. s3fs and botocore are
  told not to retry and not to keep idle connections, since the rate limits would not count those.
- Requests to s3:// are unsigned where this machine has no credentials, so that a public bucket needs no account.
"""

import contextlib
import copy
import errno
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractBufferedFile

from tasks.base.errors import PermanentError
from tasks.sources.rate_limits import RateLimiter
from tasks.sources.transfer import ByteSource, NotFound, Refused, Reply, TransferConfig

_LOCAL_PIECE_BYTES = 1 << 20
_REMOTE_PIECE_BYTES = 32 << 20
_WITHOUT_NETWORK = {"file", "local", "memory"}
_OVERLOADED = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)}  # what s3fs raises for 503 and 500


class FileSource:
    """A folder or an object store; see `ByteSource`."""

    def __init__(self, base: str, transfer: TransferConfig) -> None:
        self._base = base
        try:
            options = _s3_options(transfer) if base.startswith(("s3://", "s3a://")) else {}
            self._fs, self._root = fsspec.core.url_to_fs(base, **options)
        except (ImportError, ValueError) as error:
            raise PermanentError(
                f"source.base {base!r} cannot be opened: {error}. For s3:// install sluice[s3]."
            ) from error
        protocol: Any = self._fs.protocol
        protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self._is_local = "file" in protocols
        self._rate_limiter: RateLimiter | None = None
        if not protocols & _WITHOUT_NETWORK:
            self._fs.retries = 1
            bucket = self._root.strip("/").partition("/")[0]
            self._rate_limiter = RateLimiter(f"{min(protocols)}://{bucket}", transfer)
        self._kept: dict[str, tuple[Any, dict[str, Any]]] | None = None

    def address(self, path: str) -> str:
        return f"{self._base}/{path}"

    def local(self, path: str) -> Path | None:
        if not self._is_local:
            return None
        file = Path(self._root) / path
        if not file.is_file():
            raise NotFound(f"{file}: there is no such file.")
        return file

    def folders(self, path: str) -> list[str]:
        try:
            with self._connected(), self._request(self.address(path)):
                entries = self._fs.ls(f"{self._root}/{path}", detail=True)
        except PermanentError:  # no such folder, or a bucket that may be read but not listed
            return []
        return sorted(Path(entry["name"]).name for entry in entries if entry["type"] == "directory")

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[ByteSource]:
        with self._connected():
            kept = copy.copy(self)
            kept._kept = {}
            try:
                yield kept
            finally:
                for file, _ in kept._kept.values():
                    file.close()

    @contextlib.contextmanager
    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> Iterator[Reply]:
        with self._connected(), self._opened(path) as (file, info):
            total = int(info["size"])
            tag_now = str(info.get("ETag") or f"{total}-{info.get('mtime') or info.get('LastModified')}")
            begins = 0 if tag not in (None, tag_now) or first > total else first
            end = total if stop is None else min(stop, total)
            yield Reply(self._pieces(file, begins, end, self.address(path)), begins, total, tag_now)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        if self._kept is None:
            file, info = self._open(path)
            with file:
                yield file, info
            return
        if path not in self._kept:
            self._kept[path] = self._open(path)
        yield self._kept[path]

    def _open(self, path: str) -> tuple[Any, dict[str, Any]]:
        """Return the file, and what its source says about it."""
        name = f"{self._root}/{path}"
        with self._request(self.address(path)):
            if self._rate_limiter is None:
                return self._fs.open(name, "rb"), self._fs.info(name)
            file = self._fs.open(name, "rb", cache_type="none")
            return file, file.details if isinstance(file, AbstractBufferedFile) else self._fs.info(name)

    def _pieces(self, file: Any, begins: int, end: int, address: str) -> Iterator[bytes]:
        most = _REMOTE_PIECE_BYTES if self._rate_limiter else _LOCAL_PIECE_BYTES
        while begins < end:
            with self._request(address):
                file.seek(begins)
                piece = file.read(min(end - begins, most))
            if not piece:
                return
            begins += len(piece)
            yield piece

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        if self._rate_limiter is None or self._kept is not None:
            yield
        else:
            with self._rate_limiter.connection():
                yield

    @contextlib.contextmanager
    def _request(self, address: str) -> Iterator[None]:
        """Wait for the turn, make the request inside, and classify its error."""
        limiter = self._rate_limiter
        asked_at = limiter.await_turn() if limiter else 0.0
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(f"{address}: there is no such file.") from error
        except PermissionError as error:
            raise PermanentError(
                f"{address}: not allowed ({error}): check the credentials and source.transfer.anonymous. Common Crawl's"
                " own bucket is open to signed requests only; https://data.commoncrawl.org needs none."
            ) from error
        except OSError as error:
            if limiter and error.errno in _OVERLOADED:
                limiter.refused(asked_at)
            raise Refused(f"{address}: reading failed ({error}).") from error
        except Exception as error:
            # The libraries behind fsspec have errors of their own for a broken connection.
            if limiter is None:
                raise
            raise Refused(f"{address}: reading failed ({type(error).__name__}: {error}).") from error
        if limiter:
            limiter.answered()


def _s3_options(transfer: TransferConfig) -> dict[str, Any]:
    """Return s3fs's options: signed or not, one try, and each connection closed after its request."""
    once = {
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "connect_timeout": transfer.connect_timeout_seconds,
        "read_timeout": transfer.read_timeout_seconds,
        "connector_args": {"force_close": True, "keepalive_timeout": None},
    }
    anonymous = transfer.anonymous if transfer.anonymous is not None else not _has_credentials()
    # Not the cached instance: fsspec would share it with a store that has the same options and needs its retries.
    return {"anon": anonymous, "config_kwargs": once, "skip_instance_cache": True}


@functools.cache
def _has_credentials() -> bool:
    """Whether this machine has AWS credentials, wherever botocore looks for them."""
    from botocore.session import Session  # type: ignore[import-untyped]

    return Session().get_credentials() is not None
