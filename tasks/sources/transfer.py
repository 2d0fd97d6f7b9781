"""What all sources of bytes have in common: their settings, their replies and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import PermanentError, TemporaryError


class TransferConfig(Config):
    """How the source is reached, its rate limits and retries; none of it changes what comes out."""

    connections: int = Field(default=4, ge=1)
    """Most connections to the source open at a time, those of all workers of this machine together."""
    requests_per_second: float = Field(default=5.0, gt=0)
    """Most requests to the source in a second, those of all workers of this machine together."""
    anonymous: bool | None = None
    """Whether s3:// is asked without signing; null: where this machine has no credentials. Public buckets may want
    either."""
    attempts: int = Field(default=10, ge=1)
    """How often in a row a request may fail without a new byte before the file is given up."""
    connect_attempts: int = Field(default=4, ge=1)
    """The same where nothing answers at the address at all."""
    first_pause_seconds: float = Field(default=1.0, gt=0)
    """Pause after the first failure, in seconds; it doubles with each further one, plus up to half at random. A refusal
    (503, 429, 403, any 5xx) makes all workers pause."""
    longest_pause_seconds: float = Field(default=60.0, gt=0)
    """Longest pause between two attempts, in seconds, unless the server asks for more."""
    longest_retry_after_seconds: float = Field(default=600.0, ge=0)
    """Longest pause that the server may ask for by Retry-After, in seconds; a longer one is cut to this."""
    connect_timeout_seconds: float = Field(default=15.0, gt=0)
    """How long to wait for a connection, in seconds."""
    read_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long to wait for the next bytes of an answer, in seconds."""
    max_file_bytes: int = Field(default=8 * 2**30, gt=0)
    """Largest file accepted, in bytes; Common Crawl's WARC files have about 1.1 GB."""
    refetches: int = Field(default=4, ge=0)
    """How often a WARC file that arrived damaged is fetched again, from the damage on."""


class NotFound(PermanentError):
    """The source has no such file."""


class Unreachable(TemporaryError):
    """Nothing answers at the source's address."""


class Refused(TemporaryError):
    """The source answered, but did not deliver the file this time."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds that the server asked us to wait


class RangeRefused(Refused):
    """The source has no bytes from the requested position on, so what has arrived is not the beginning of its file."""


def never_twice_alike(what: str, transfer: TransferConfig) -> str:
    """Return the message about bytes that arrived damaged as often as `transfer` allows, each time differently."""
    return (
        f"{what}: arrived damaged {1 + transfer.refetches} times, each time differently. Something between the source"
        " and this machine changes bytes: try another network or mirror."
    )


@dataclass(frozen=True)
class Reply:
    """A file of the source, opened for reading."""

    chunks: Iterator[bytes]
    first: int  # offset in the file of the first byte of `chunks`; 0 where the server ignores ranges
    total: int | None  # length of the whole file in bytes, where the source reports it
    tag: str | None  # identifies this version of the file (ETag, Last-Modified)

    def may_be(self, total: int | None, tag: str | None) -> bool:
        """Whether this may be the file of that length and tag, as far as both are known."""
        pairs = ((total, self.total), (tag, self.tag))
        return all(before == now for before, now in pairs if before is not None and now is not None)


class ByteSource(Protocol):
    """A place with Common Crawl's layout."""

    def address(self, path: str) -> str:
        """Return the full address of a file, for messages."""

    def local(self, path: str) -> Path | None:
        """Return the file on this machine, None where it is elsewhere. Raises NotFound."""

    def read(self, path: str, first: int, stop: int | None, tag: str | None) -> AbstractContextManager[Reply]:
        """Open the bytes [first, stop) of a file, from 0 if it is no longer the version `tag`; chunks may raise too."""

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders under `path`; [] where the source cannot list them. Raises Refused."""

    def kept_open(self) -> AbstractContextManager[ByteSource]:
        """Return the same source for several reads in a row, on one of the few connections that all workers share."""
