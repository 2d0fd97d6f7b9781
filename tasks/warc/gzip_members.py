"""Read the gzip members of an archive one after another, as far as they can be read.

Notable:
- A damaged member costs only itself: reading goes on at the next gzip header that unpacks to the beginning of a record.
- A member comes in pieces of bounded size, so a huge one needs no more memory than a small one.
- A bomb is recognised by its ratio, once it has unpacked to more than a record may have.
"""

import contextlib
import zlib
from collections.abc import Generator, Iterator
from typing import BinaryIO, Literal, NamedTuple

from tasks.warc.gzip_inflating import GZIP_MAGIC, LARGEST_WINDOW_BYTES, Inflater
from tasks.warc.limits import ReadLimits

_READ_BYTES = 1 << 18
_PIECE_BYTES = 4 << 20
_PROBE_BYTES = 512
_FIRST_WINDOW_BYTES = 1 << 14
_DEFLATED = GZIP_MAGIC + b"\x08"
_RESERVED_FLAGS = 0xE0

Damage = Literal["clipped", "damaged_gzip", "damaged_zstd", "decompression_bomb", "junk"]


class Piece(NamedTuple):
    """Some bytes of an archive, unpacked."""

    offset: int  # byte offset in the file: of the gzip member, or of these very bytes where the file is not compressed
    data: bytes  # unpacked bytes
    first: bool  # whether the member begins here
    last: bool  # whether the member ends here, well or not
    damage: Damage | None = None  # why the member ends early; `data` is then what could be unpacked
    detail: str = ""  # the damage in words
    unended: bool = False  # whether the file ends before the member does, which is sound as far as it goes


class FileWindow:
    """A sliding view of a stream that need not be seekable, addressed by byte offsets in the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._data = bytearray()
        self.start = 0  # offset of the first byte still held

    @property
    def end(self) -> int:
        """Offset after the last byte read so far."""
        return self.start + len(self._data)

    def fill(self, offset: int) -> bool:
        """Read on until bytes up to `offset` are held; False where the file ends before."""
        while self.end < offset:
            chunk = self._stream.read(_READ_BYTES)
            if not chunk:
                return False
            self._data += chunk
        return True

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes held from `start` to `end`, fewer where the file ends."""
        self.fill(end)
        return bytes(memoryview(self._data)[start - self.start : end - self.start])

    def find(self, needle: bytes, start: int) -> int:
        """Offset of the first `needle` at or after `start`, -1 where there is none; what lies before is dropped."""
        while True:
            found = self._data.find(needle, start - self.start)
            if found >= 0:
                return self.start + found
            start = max(start, self.end - len(needle) + 1)
            self.drop(start)
            if not self.fill(self.end + 1):
                return -1

    def drop(self, offset: int) -> None:
        """Forget the bytes before `offset`, which is at most `end`."""
        if offset > self.start:
            del self._data[: offset - self.start]
            self.start = offset


def find_member(window: FileWindow, start: int, begins_with: bytes) -> int:
    """Return the offset of the next gzip member at or after `start` whose content begins so, or -1."""
    while (found := window.find(_DEFLATED, start)) >= 0:
        probe = window.read(found, found + _PROBE_BYTES)
        if len(probe) > len(_DEFLATED) and not probe[len(_DEFLATED)] & _RESERVED_FLAGS:
            with contextlib.suppress(zlib.error):
                if Inflater().inflate(probe, len(begins_with))[0] == begins_with:
                    return found
        start = found + 1
    return -1


def read_members(window: FileWindow, start: int, begins_with: bytes, limits: ReadLimits) -> Iterator[Piece]:
    """Yield all members from `start` on, in pieces; after damage, from the next that begins with `begins_with`."""
    position = start
    while position >= 0 and window.fill(position + 1):
        window.drop(position)
        if _DEFLATED.startswith(window.read(position, position + len(_DEFLATED))):
            position = yield from _read_member(window, position, begins_with, limits)
        elif not _only_zeros_follow(window):
            yield Piece(position, b"", True, True, "junk", "bytes that belong to no gzip member")
            position = find_member(window, max(position, window.start), begins_with)
        else:
            return


def _only_zeros_follow(window: FileWindow) -> bool:
    """Whether the rest of the file is padding; zeros are dropped on the way, as they hold no member."""
    while window.fill(window.start + 1):
        rest = window.read(window.start, window.end)
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        window.drop(window.start + zeros)
        if zeros < len(rest):
            return False
    return True


def _read_member(window: FileWindow, start: int, begins_with: bytes, limits: ReadLimits) -> Generator[Piece, None, int]:
    """Yield the pieces of one member; return where the next one begins, or -1."""
    inflater = Inflater(first_window_bytes=_FIRST_WINDOW_BYTES)
    sound, sound_at = None, start  # for another try up to the damaged byte
    position, total, given = start, 0, 0
    unpacked, sound_pieces = list[bytes](), 0
    damage: Damage | None = None
    detail = ""
    while not inflater.ended and damage is None:
        packed = window.read(position, position + inflater.window_bytes)
        try:
            data, used = inflater.inflate(packed, _PIECE_BYTES)
        except zlib.error as error:
            damaged = window.read(sound_at, position + len(packed))
            unpacked[sound_pieces:] = [_inflate_to_error(sound or Inflater(), damaged)]
            damage, detail = "damaged_gzip", f"the gzip member cannot be unpacked: {error}"
            break
        if not (packed or data):
            break
        unpacked.append(data)
        position += used
        total += len(data)
        if inflater.ended:
            break
        if total > limits.max_record_bytes and total > limits.max_inflation * (position - start):
            damage, detail = "decompression_bomb", f"{position - start} bytes unpacked to {total} and more"
        elif total - given >= _PIECE_BYTES:
            yield Piece(start, b"".join(unpacked), given == 0, False)
            given = total
            unpacked.clear()
            window.drop(position - limits.max_record_bytes)
            sound, sound_at, sound_pieces = inflater.copy(), position, 0
        elif inflater.window_bytes == LARGEST_WINDOW_BYTES:
            sound, sound_at, sound_pieces = inflater.copy(), position, len(unpacked)
    if inflater.ended:
        yield Piece(start, b"".join(unpacked), given == 0, True)
        return position
    unended = damage is None
    following = find_member(window, max(start + 1, window.start), begins_with)
    if unended and following < 0:
        damage, detail = "clipped", "the file ends inside a gzip member"
    elif unended:
        damage, detail = "damaged_gzip", f"the gzip member breaks off before the next one at byte {following}"
    yield Piece(start, b"".join(unpacked), given == 0, True, damage, detail, unended)
    return following


def _inflate_to_error(inflater: Inflater, packed: bytes) -> bytes:
    """Return what can be unpacked before the damage; zlib only yields it when given a byte at a time."""
    unpacked = bytearray()
    with contextlib.suppress(zlib.error):
        for position in range(len(packed)):
            unpacked += inflater.inflate(packed[position : position + 1], _PIECE_BYTES)[0]
    return bytes(unpacked)
