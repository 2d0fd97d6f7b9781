"""The bytes of a page out of an HTTP response: chunks joined, content coding undone, digest checked.

Notable:
- Archives keep a body as it was sent, decoded, or decoded under headers that still say otherwise. So each coding is
  undone only where the body carries it, and of a body that breaks off, what could be decoded is marked as incomplete.
- A payload digest may be that of the body as stored, of the joined chunks or of the decoded page; any match counts.
"""

import base64
import contextlib
import hashlib
import io
import re
import zlib
from typing import Any, NamedTuple

from fastwarc.stream_io import BrotliReader, ZstdReader

from tasks.base.messages import is_text
from tasks.warc.gzip_inflating import GZIP, GZIP_MAGIC, RAW_DEFLATE, ZLIB, inflate
from tasks.warc.header_lines import HEAD_END, HeaderLines

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
MAX_HTTP_HEAD_BYTES = 1 << 18
TRANSFER_CODINGS = frozenset(("gzip", "x-gzip", "deflate"))
"""Those of a Transfer-Encoding header that are undone after the chunks are joined."""
_STATUS_LINE = re.compile(rb"HTTP/|(?:HTTP|ICY)[ \t]+[0-9]{3}(?![0-9])", re.IGNORECASE)
_SWITCHING_PROTOCOLS = 101  # the one status below 200 that no other response follows
_EMPTY_LINES = re.compile(rb"(?:\r?\n){0,2}")
_MOST_INTERIM_HEADS = 10
_READ_BYTES = 1 << 16
_DIGESTS = {"sha1": 20, "sha256": 32, "sha512": 64, "md5": 16}


class UndecodableBodyError(ValueError):
    """A body whose content coding is unknown, or broken from its first byte on."""


class Body(NamedTuple):
    """A decoded body."""

    data: bytes  # the page's bytes, at most as many as were allowed
    complete: bool  # False where a chunk or a compressed stream broke off
    too_large: bool  # True where it went on past the limit; `data` is then cut there


def split_http(block: memoryview) -> tuple[HeaderLines | None, memoryview]:
    """Return the head, without fields where the block is no HTTP response, None where it has no end; and the body."""
    for _interim in range(_MOST_INTERIM_HEADS):
        empty = _EMPTY_LINES.match(block)
        if not _STATUS_LINE.match(block, begin := empty.end() if empty else 0):
            return HeaderLines(), block
        block = block[begin:]
        end = HEAD_END.search(block, 0, MAX_HTTP_HEAD_BYTES)
        if end is None:
            return (HeaderLines(bytes(block)) if len(block) < MAX_HTTP_HEAD_BYTES else None), block[:0]
        head, body = HeaderLines(bytes(block[: end.end()])), block[end.end() :]
        status = head.status_code or 0
        if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS or not _STATUS_LINE.match(body):
            break
        block = body
    return head, body


def join_chunks(body: bytes) -> tuple[bytes, bool]:
    """Return the body without its chunk sizes, and whether the last chunk was there; a body without chunks as it is."""
    joined = bytearray()
    position = 0
    while match := _CHUNK_SIZE.match(body, position):
        size, position = int(match[1], 16), match.end()
        if size == 0:
            return bytes(joined), True
        joined += body[position : position + size]
        position += size
        if position > len(body):
            return bytes(joined), False
        position += 2 if body.startswith(b"\r\n", position) else body.startswith(b"\n", position)
    return (bytes(joined), False) if joined else (body, True)


def decode_content(body: bytes, coding: str, max_bytes: int) -> Body:
    """Undo the codings of a Content-Encoding header, the last one first, up to `max_bytes`."""
    complete = True
    for name in reversed([part.partition(";")[0].strip().lower() for part in coding.split(",")]):
        if not body or name in ("", "identity", "none", "utf-8"):
            continue
        body, well_ended = _decode_one(body, name, max_bytes + 1)
        complete &= well_ended
    return Body(body[:max_bytes], complete, len(body) > max_bytes)


def hash_and_value(digest: str) -> tuple[Any, bytes | None] | None:
    """Return an empty hash for a digest such as `sha1:BASE32`, and the digest's bytes, None where they are unreadable.

    Return None where the algorithm is not known.
    """
    algorithm, _, value = digest.strip().partition(":")
    algorithm = algorithm.strip().lower().replace("-", "")
    if algorithm not in _DIGESTS:
        return None
    return hashlib.new(algorithm, usedforsecurity=False), _digest_bytes(value.strip(), _DIGESTS[algorithm])


def digest_agrees(digest: str, *bodies: bytes | memoryview) -> bool | None:
    """Whether a digest such as `sha1:BASE32` is that of one of the bodies; None where its algorithm is not known."""
    if (found := hash_and_value(digest)) is None:
        return None
    empty, wanted = found
    different = {id(body): body for body in bodies}.values() if wanted else ()  # where nothing was to undo, one object
    return any(hashlib.new(empty.name, body, usedforsecurity=False).digest() == wanted for body in different)


def _decode_one(body: bytes, coding: str, max_bytes: int) -> tuple[bytes, bool]:
    if body.startswith(GZIP_MAGIC):
        return _inflate(body, GZIP, max_bytes)
    # Decoded before it was stored, or the coding is none, such as a charset's name, which browsers ignore too.
    if coding in ("gzip", "x-gzip") or (is_text(body) and b"<" in body):
        return body, True
    if coding == "deflate":
        try:
            return _inflate(body, ZLIB, max_bytes)
        except UndecodableBodyError:
            return _inflate(body, RAW_DEFLATE, max_bytes)
    if coding in ("br", "zstd"):
        return _read_coded((BrotliReader if coding == "br" else ZstdReader)(io.BytesIO(body)), coding, max_bytes)
    raise UndecodableBodyError(f'the content coding "{coding}" is not known')


def _read_coded(reader: Any, coding: str, max_bytes: int) -> tuple[bytes, bool]:
    """Return what a reader of fastwarc makes of a body, and whether it ended well."""
    decoded = bytearray()
    try:
        while len(decoded) < max_bytes and (piece := reader.read(min(_READ_BYTES, max_bytes - len(decoded)))):
            decoded += piece
    except OSError as error:
        if decoded:
            return bytes(decoded), False
        raise UndecodableBodyError(f"the body is not {coding}: {error}") from error
    return bytes(decoded), True


def _inflate(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, bool]:
    """Return all members of a body inflated, and whether the last one ended well."""
    try:
        return inflate(body, wbits, max_bytes)[:2]
    except zlib.error as error:
        raise UndecodableBodyError(f"the body cannot be inflated: {error}") from error


def _digest_bytes(value: str, size: int) -> bytes | None:
    """Return the digest's bytes, from hexadecimal, base32 or base64, whichever has the right length."""
    base32 = value.upper() + "=" * (-len(value) % 8)
    for decode, text in ((base64.b32decode, base32), (bytes.fromhex, value), (base64.b64decode, value)):
        with contextlib.suppress(ValueError):
            if len(digest := decode(text)) == size:
                return digest
    return None
