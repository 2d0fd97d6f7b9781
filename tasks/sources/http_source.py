"""A crawl read from an HTTP mirror.

Notable:
- Only the configured base is ever contacted. A redirect is not followed but reported, with its target.
- Bytes are taken as they are sent (no content decoding), so the members of a WARC keep their offsets.
- 403 is a rate rule at Common Crawl, so it is worth another try.
"""

import contextlib
import functools
import os
import re
import ssl
import sys
from collections.abc import Iterator
from netrc import NetrcParseError
from pathlib import Path
from urllib.parse import quote

import httpx

from tasks.base.errors import PermanentError
from tasks.base.messages import first_words
from tasks.sources.rate_limits import RateLimiter
from tasks.sources.retry_after import date_of, retry_after, servers_time
from tasks.sources.transfer import ByteSource, NotFound, RangeRefused, Refused, Reply, TransferConfig, Unreachable

_QUIET_SECONDS = 60.0


class HttpSource:
    """A mirror; see `ByteSource`."""

    def __init__(self, base: str, transfer: TransferConfig, kept: httpx.Client | None = None) -> None:
        self._base = base
        self._transfer = transfer
        self._timeout = httpx.Timeout(transfer.read_timeout_seconds, connect=transfer.connect_timeout_seconds)
        self._rate_limiter = RateLimiter("/".join(base.lower().split("/")[:3]), transfer)
        self._kept = kept

    def address(self, path: str) -> str:
        return f"{self._base}/{quote(path, safe='/=')}"

    def local(self, path: str) -> Path | None:
        return None

    def folders(self, path: str) -> list[str]:
        return []

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[ByteSource]:
        with self._connected() as client:
            yield HttpSource(self._base, self._transfer, client)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[httpx.Client]:
        if self._kept is not None:
            yield self._kept
            return
        one = httpx.Limits(max_connections=1)
        with (
            self._rate_limiter.connection(),
            httpx.Client(
                timeout=self._timeout, limits=one, verify=_trust(), follow_redirects=False, auth=_credentials()
            ) as client,
        ):
            yield client

    @contextlib.contextmanager
    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> Iterator[Reply]:
        address = self.address(path)
        headers = {"User-Agent": "sluice", "Accept-Encoding": "identity"}
        if first or stop is not None:
            headers["Range"] = f"bytes={first}-{'' if stop is None else stop - 1}"
            if first and tag:
                headers["If-Range"] = tag
        try:
            with self._connected() as client:
                asked_at = self._rate_limiter.await_turn()
                with client.stream("GET", address, headers=headers) as response:
                    self._check(address, response, asked_at)
                    begins, total = _extent(response)
                    if begins not in (0, first):
                        raise Refused(f"{address}: asked for bytes from {first} on, got them from {begins} on.")
                    yield Reply(response.iter_raw(), begins, total, _tag(response))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"{self._base}: no connection ({error}).") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise PermanentError(f"source.base {self._base!r} is no usable address: {error}.") from error
        except httpx.HTTPError as error:
            raise Refused(f"{address}: the transfer broke off ({str(error) or type(error).__name__}).") from error

    def _check(self, address: str, response: httpx.Response, asked_at: float) -> None:
        """Raise what the status means, and tell all workers whether the server is overloaded."""
        status = response.status_code
        refused = status in (403, 408, 425, 429) or status >= 500
        pause = retry_after(response.headers)
        if refused:
            self._rate_limiter.refused(asked_at, pause)
        else:
            self._rate_limiter.answered()
        if status in (200, 206):
            return
        where = f"{address}: the server answered {status} {response.reason_phrase}"
        if status in (404, 410):
            raise NotFound(f"{where}: there is no such file.")
        if status == 416:
            raise RangeRefused(f"{where}.")
        if 300 <= status < 400:
            raise PermanentError(
                f"{where} and points to {response.headers.get('Location', 'nowhere')}. Redirects are not followed:"
                " set source.base to the address that really holds the crawl."
            )
        described = f"{where} ({_beginning(response)})."
        raise Refused(described, pause) if refused else PermanentError(described)


@functools.cache
def _trust() -> ssl.SSLContext:
    """Return the trusted certificates, loaded once for this process because that takes long."""
    return httpx.create_ssl_context()


def _credentials() -> httpx.NetRCAuth | None:
    """Return the user's ~/.netrc, for mirrors that want a password; None where there is none."""
    try:
        return httpx.NetRCAuth(os.environ.get("NETRC"))
    except (OSError, NetrcParseError):
        return None


def _beginning(response: httpx.Response) -> str:
    with contextlib.suppress(httpx.HTTPError, StopIteration):
        return first_words(next(response.iter_raw(4096)))
    return "no text"


def _tag(response: httpx.Response) -> str | None:
    """Return what names this version of the file, as If-Range takes it: a tag that promises equal bytes, or a date.

    A date does so only where the file did not change in the minute before (RFC 9110, section 8.8.2.2).
    """
    tag: str | None = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    changed: str | None = response.headers.get("Last-Modified")
    with contextlib.suppress(ValueError, OverflowError):
        if changed and date_of(changed) + _QUIET_SECONDS <= servers_time(response.headers):
            return changed
    return None


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """Return the offset of the body's first byte, and the whole file's length."""
    if response.status_code == 206:
        extent = response.headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", extent)
        if found is None or not int(found[1]) <= int(found[2]) < (sys.maxsize if found[3] == "*" else int(found[3])):
            raise Refused(f"{response.url}: a partial answer that does not say which part it is ({extent!r}).")
        return int(found[1]), None if found[3] == "*" else int(found[3])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch("[0-9]{1,18}", length) else None
