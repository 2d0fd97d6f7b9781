"""Where the bytes of a crawl come from: an HTTP mirror, an object store or a folder, behind one way of reading.

Notable:
- Only the configured base is ever asked. A redirect is not followed but reported, with the address it names.
- Bytes are taken as they are sent (no content decoding), so a WARC's members keep their offsets.
- Every refusal is sorted here, once, into "try again" and "no use". 403 is a rate rule at Common Crawl, so temporary.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import fsspec
import httpx
from pydantic import Field

from tasks.config import Config
from tasks.errors import PermanentError, TemporaryError

_CHUNK_BYTES = 1 << 20
_FIRST_WORDS_CHARACTERS = 120


class TransferConfig(Config):
    """How patiently the source is read; none of it changes what comes out."""

    attempts: int = Field(default=8, ge=1)
    """How often in a row a request may fail without a new byte before it is given up."""
    connect_attempts: int = Field(default=4, ge=1)
    """The same where nothing answers at the address at all."""
    first_pause_seconds: float = Field(default=0.5, gt=0)
    """Pause after the first failure, in seconds; it doubles with each further one, less up to half by chance."""
    longest_pause_seconds: float = Field(default=60.0, gt=0)
    """Longest pause between two attempts, in seconds, also where the server's Retry-After asks for more."""
    connect_timeout_seconds: float = Field(default=15.0, gt=0)
    """How long to wait for a connection, in seconds."""
    read_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long to wait for the next bytes of an answer, in seconds."""
    max_file_bytes: int = Field(default=8 * 2**30, gt=0)
    """Largest file accepted, in bytes; Common Crawl's WARC files have about 1.1 GB."""
    refetches: int = Field(default=4, ge=0)
    """How often a WARC file that arrived damaged is fetched again from the damage on."""


class NotFound(PermanentError):
    """The source has no such file."""


class Unreachable(TemporaryError):
    """Nothing answers at the source's address."""


class Refused(TemporaryError):
    """The source is there but did not deliver now."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds the server asked us to wait."""


class RangeRefused(Refused):
    """The source has no bytes from the asked position on: what was kept of the file is of no use."""


@dataclass(frozen=True)
class Reply:
    """An opened file of the source."""

    chunks: Iterator[bytes]
    first: int
    """Offset in the file of the first byte that `chunks` brings; 0 where the server would not start further on."""
    total: int | None
    """Length of the whole file in bytes, where the source tells."""
    tag: str | None
    """What tells this version of the file from another (ETag)."""


class ByteSource(Protocol):
    """A place with Common Crawl's layout."""

    def address(self, path: str) -> str:
        """The full address of a file, for messages."""

    def local(self, path: str) -> Path | None:
        """The file on this machine, None where it is elsewhere. Raises NotFound."""

    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> AbstractContextManager[Reply]:
        """The bytes [first, stop) of a file, from 0 if the file is no longer the version `tag`.

        Raises NotFound, Unreachable, Refused and other PermanentErrors, also while the chunks are read.
        """

    def folders(self, path: str) -> list[str]:
        """The names of the folders under `path`; [] where the source cannot tell."""


def byte_source(base: str, transfer: TransferConfig) -> ByteSource:
    """The source at `base`: http(s):// a mirror, any other URL through fsspec, anything else a folder."""
    if re.match("https?://", base):
        return _HttpSource(base.rstrip("/"), transfer)
    return _FileSource(base.rstrip("/") or "/")


def first_words(head: bytes) -> str:
    """The beginning of a body as one line of plain text without tags, for a message."""
    text = re.sub(r"<[^>]*>|\s+", " ", head[:4096].decode(errors="replace"))
    return " ".join(text.split())[:_FIRST_WORDS_CHARACTERS]


class _HttpSource:
    def __init__(self, base: str, transfer: TransferConfig) -> None:
        self._base = base
        self._timeout = httpx.Timeout(transfer.read_timeout_seconds, connect=transfer.connect_timeout_seconds)

    def address(self, path: str) -> str:
        return f"{self._base}/{quote(path, safe='/=')}"

    def local(self, path: str) -> Path | None:
        return None

    def folders(self, path: str) -> list[str]:
        return []

    @contextlib.contextmanager
    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> Iterator[Reply]:
        headers = {"User-Agent": "sluice", "Accept-Encoding": "identity"}
        if first or stop is not None:
            headers["Range"] = f"bytes={first}-{'' if stop is None else stop - 1}"
            if first and tag:
                headers["If-Range"] = tag
        try:
            with (
                httpx.Client(timeout=self._timeout, follow_redirects=False) as client,
                client.stream("GET", self.address(path), headers=headers) as response,
            ):
                self._check(path, response)
                begins, total = _extent(response)
                if begins not in (0, first):
                    raise Refused(f"{self.address(path)}: asked for bytes from {first} on, got them from {begins} on.")
                tag_now = response.headers.get("ETag")
                # A weak tag promises no equal bytes, so it must not be used to continue a file.
                strong = tag_now if tag_now and not tag_now.startswith("W/") else None
                yield Reply(response.iter_raw(), begins, total, strong)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"{self._base}: no connection ({error}).") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise PermanentError(f"source.base {self._base!r} is no usable address: {error}.") from error
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise Refused(f"{self.address(path)}: the transfer broke off ({what}).") from error

    def _check(self, path: str, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        where = f"{self.address(path)}: the server answered {status} {response.reason_phrase}"
        if status in (404, 410):
            raise NotFound(f"{where}: there is no such file.")
        if status == 416:
            raise RangeRefused(f"{where}.")
        if 300 <= status < 400:
            raise PermanentError(
                f"{where} and points to {response.headers.get('Location', 'nowhere')}. Redirects are not followed:"
                " set source.base to the address that really holds the crawl."
            )
        if status in (403, 408, 425, 429) or status >= 500:
            raise Refused(f"{where} ({_beginning(response)}).", _retry_after(response.headers.get("Retry-After")))
        raise PermanentError(f"{where} ({_beginning(response)}).")


def _beginning(response: httpx.Response) -> str:
    with contextlib.suppress(httpx.HTTPError, StopIteration):
        return first_words(next(response.iter_raw(4096)))
    return "no text"


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """Offset of the first byte of the body, and the whole file's length."""
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if found is None:
            raise Refused(f"{response.url}: an answer in part that does not say which part (no Content-Range).")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _retry_after(text: str | None) -> float:
    """Seconds asked for by a Retry-After header, a number or a date (RFC 9110, section 10.2.3)."""
    if not text:
        return 0.0
    if text.strip().isdecimal():
        return float(text)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0


class _FileSource:
    def __init__(self, base: str) -> None:
        self._base = base
        try:
            self._fs, self._root = fsspec.core.url_to_fs(base)
        except (ImportError, ValueError) as error:
            raise PermanentError(
                f"source.base {base!r} cannot be opened: {error}. For s3:// install sluice[s3]."
            ) from error
        self._is_local = "file" in self._protocols()

    def _protocols(self) -> tuple[str, ...]:
        protocol: Any = self._fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

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
            entries = self._fs.ls(f"{self._root}/{path}", detail=True)
        except (OSError, NotImplementedError):
            return []
        return sorted(Path(entry["name"]).name for entry in entries if entry["type"] == "directory")

    @contextlib.contextmanager
    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> Iterator[Reply]:
        name = f"{self._root}/{path}"
        with _reading(self.address(path)):
            info = self._fs.info(name)
            file = self._fs.open(name, "rb")
        with file:
            total = int(info["size"])
            tag_now = str(info.get("ETag") or f"{total}-{info.get('mtime') or info.get('LastModified')}")
            begins = 0 if tag not in (None, tag_now) or first > total else first
            end = total if stop is None else min(stop, total)
            yield Reply(_pieces(file, begins, end, self.address(path)), begins, total, tag_now)


def _pieces(file: Any, begins: int, end: int, address: str) -> Iterator[bytes]:
    with _reading(address):
        file.seek(begins)
    while begins < end:
        with _reading(address):
            piece = file.read(min(end - begins, _CHUNK_BYTES))
        if not piece:
            return
        begins += len(piece)
        yield piece


@contextlib.contextmanager
def _reading(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{address}: there is no such file.") from error
    except PermissionError as error:
        raise PermanentError(f"{address}: not allowed ({error}); check the credentials.") from error
    except OSError as error:
        raise Refused(f"{address}: reading failed ({error}).") from error
