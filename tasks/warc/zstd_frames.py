"""Read the zstd frames of an archive one after another, as far as they can be read.

Notable:
- A `.warc.zst` has a frame for each record, so a record's address is where its frame begins, as in gzip. Its first
  frame may be a skippable one that holds the dictionary of all others (IIPC's convention), itself perhaps compressed.
- A frame is fed to the decoder block by block, each of which gives at most 128 KiB: a bomb is seen while it is small.
- zstd's frames need no checksum of their own: where one has none, a flipped bit may show in a record's digest only.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import zstandard

from tasks.base.errors import PermanentError
from tasks.warc.gzip_members import Damage, FileWindow, Piece
from tasks.warc.limits import ReadLimits

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
_SKIPPABLE = (0x184D2A50, 0x184D2A5F)
_PIECE_BYTES = 4 << 20
_MOST_WINDOW_BYTES = 128 << 20  # what every decoder is to accept, `zstd --long=27` included
_MOST_DICTIONARY_BYTES = 16 << 20
_LONGEST_HEADER = 18
_RLE = 1


class _Block(NamedTuple):
    """Where a block of a frame ends in the file, and whether it is the last one."""

    end: int
    last: bool


def read_frames(window: FileWindow, start: int, limits: ReadLimits) -> Iterator[Piece]:
    """Yield all frames from `start` on, in pieces; after damage, from the next that can be read."""
    position, dictionary = start, None
    while window.fill(position + 4):
        window.drop(position)
        magic = window.read(position, position + 4)
        number = int.from_bytes(magic, "little")
        if _SKIPPABLE[0] <= number <= _SKIPPABLE[1]:
            length = int.from_bytes(window.read(position + 4, position + 8), "little")
            if magic == DICTIONARY_MAGIC and position == start:
                dictionary = _dictionary(window.read(position + 8, position + 8 + min(length, _MOST_DICTIONARY_BYTES)))
            _skip_to(window, position + 8 + length)
            position += 8 + length
        elif magic == ZSTD_MAGIC:
            position, is_sound = yield from _read_frame(window, position, dictionary, limits)
            if not is_sound:
                position = window.find(ZSTD_MAGIC, position)
                if position < 0:
                    return
        else:
            yield Piece(position, b"", True, True, "junk", "bytes that belong to no zstd frame")
            position = window.find(ZSTD_MAGIC, position + 1)
            if position < 0:
                return
    if window.read(position, position + 4):
        yield Piece(position, b"", True, True, "junk", "bytes that belong to no zstd frame")


def _read_frame(
    window: FileWindow, start: int, dictionary: zstandard.ZstdCompressionDict | None, limits: ReadLimits
) -> Generator[Piece, None, tuple[int, bool]]:
    """Yield the pieces of one frame; return the place in the file up to which it was read, and whether it is sound."""
    decoder = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=_MOST_WINDOW_BYTES)
    unpacked: list[bytes] = []
    total, held, is_first = 0, 0, True
    damage: Damage | None = None
    detail = ""
    position = start
    ends, stream = _blocks(window, start), decoder.decompressobj()
    try:
        for block in ends:
            data = stream.decompress(window.read(position, block.end))
            position = block.end
            unpacked.append(data)
            total, held = total + len(data), held + len(data)
            if total > limits.max_record_bytes and total > limits.max_inflation * (position - start):
                damage, detail = "decompression_bomb", f"{position - start} bytes unpacked to {total} and more"
                break
            if held >= _PIECE_BYTES and not block.last:
                yield Piece(start, b"".join(unpacked), is_first, False)
                unpacked, held, is_first = [], 0, False
                window.drop(position)
        else:
            if not stream.eof:
                raise zstandard.ZstdError("it has no end")
    except EOFError:
        damage, detail = "clipped", "the file ends inside a zstd frame"
    except (zstandard.ZstdError, MemoryError) as error:
        damage, detail = "damaged_zstd", f"the zstd frame cannot be unpacked: {error}"
    if damage:
        position = max(position, start + 1)
    yield Piece(start, b"".join(unpacked), is_first, True, damage, detail, damage == "clipped")
    return position, damage is None


def _blocks(window: FileWindow, start: int) -> Iterator[_Block]:
    """Yield a frame's blocks, the first with the header, the last with the checksum. Raises EOFError, ZstdError."""
    header = window.read(start, start + _LONGEST_HEADER)
    if len(header) < 5:
        raise EOFError
    position = start + zstandard.frame_header_size(header)
    has_checksum = zstandard.get_frame_parameters(header).has_checksum
    last = False
    while not last:
        head = window.read(position, position + 3)
        if len(head) < 3:
            raise EOFError
        number = int.from_bytes(head, "little")
        last, kind, size = bool(number & 1), number >> 1 & 3, number >> 3
        position += 3 + (1 if kind == _RLE else size) + (4 if last and has_checksum else 0)
        if not window.fill(position):
            raise EOFError
        yield _Block(position, last)


def _dictionary(data: bytes) -> zstandard.ZstdCompressionDict:
    if data.startswith(ZSTD_MAGIC):
        try:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_DICTIONARY_BYTES)
        except zstandard.ZstdError as error:
            raise PermanentError(f"the dictionary of the .warc.zst cannot be unpacked: {error}") from error
    return zstandard.ZstdCompressionDict(data)


def _skip_to(window: FileWindow, position: int) -> None:
    """Read on to a place in the file without holding what lies before it."""
    while window.end < position and window.fill(window.end + 1):
        window.drop(min(window.end, position))
