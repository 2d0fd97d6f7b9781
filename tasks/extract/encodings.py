"""Decode bytes as the WHATWG Encoding Standard does: its labels and its decoders.

Notable: Python's codecs are corrected where they differ from the standard. Those of Windows leave bytes undefined that
browsers read as control characters; EUC-JP lacks the characters of NEC and IBM that its pages use; Big5 lacks 192
sequences; and an invalid sequence takes as many bytes as the standard says. Of all sequences of the standard's indexes
two of Big5 still differ: a slash and a backslash that the codec gives in their wide forms.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Final

from resiliparse.parse.encoding import map_encoding_to_html5

REPLACEMENT: Final = "\ufffd"

NOT_DECODED: Final = frozenset(
    ("csiso2022kr", "hz-gb-2312", "iso-2022-cn", "iso-2022-cn-ext", "iso-2022-kr", "replacement")
)
"""Labels of sets that browsers refuse: they show one U+FFFD for the page."""

# By a label or by resiliparse's name for it, the codec that has all characters of the label's pages.
_CODECS = {
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-ukrainian": "mac-cyrillic",
    "cp949": "cp949",
    "mac-cyrillic": "mac-cyrillic",
}
_MULTI_BYTE = frozenset(("gb18030", "cp932", "cp949", "big5hkscs", "euc_jp"))
# Where a codec gives one character and the standard another: (the codec's, the standard's).
_OTHER_CHARACTERS = {
    "euc_jp": ("〜‖−¢£¬", "～∥－￠￡￢"),
    "big5hkscs": ("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡"),
    "gb18030": (
        "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
        "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
        "\u3000︐︒︑︓︔︕︖︗︘︙ḿ龴龵龶龷龸龹龺龻",
    ),
    "koi8-u": ("╝╬", "ўЎ"),
    "cp932": ("\uf8f0\uf8f1\uf8f2\uf8f3", REPLACEMENT * 4),
}
_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B])")
_PAIRS = re.compile(rb"((?:[\x21-\x7e]{2})+)|[\x21-\x7e][^\x1b]?|.", re.DOTALL)
# What the bytes are after an escape sequence that says that each is a character.
_ASCII = dict.fromkeys((0x0E, 0x0F, 0x1B, *range(0x80, 0x100)), REPLACEMENT)
_SEVEN_BITS = {
    b"(B": _ASCII,
    b"(J": _ASCII | {ord("\\"): "¥", ord("~"): "‾"},
    b"(I": {byte: chr(byte + 0xFF40) if 0x21 <= byte < 0x60 else REPLACEMENT for byte in range(0x100)},
}
# The bytes that are one broken character: a lead byte takes the next one along, unless that is ASCII.
_TWO = re.compile(rb"[\x81-\xfe][\x80-\xff]")
_BROKEN = {
    "big5hkscs": _TWO,
    "cp949": _TWO,
    "cp932": re.compile(rb"[\x81-\x9f\xe0-\xfc][\x80-\xff]"),
    "euc_jp": re.compile(rb"\x8f[\xa1-\xfe][\x80-\xff]|[\x8e\x8f\xa1-\xfe][\x80-\xff]"),
    "gb18030": re.compile(rb"(?:[\x81-\xfe][0-9]){2}|[\x81-\xfe][\x80-\xff]|[\x81-\xfe][0-9](?:[\x81-\xfe]?\Z)"),
}
_Handler = Callable[[UnicodeError], tuple[str, int]]


def codec_of(label: str) -> str | None:
    """Return Python's codec for a label as browsers understand it; None for a label that they do not know."""
    label = label.strip().lower()
    if label in ("utf-32", "utf-32le", "utf-32be"):
        return label
    known: str | None = map_encoding_to_html5(label, fallback_utf8=False)
    return _CODECS.get(known or label, known)


def is_single_byte(codec: str) -> bool:
    """Return whether the codec, one of `codec_of`, has one byte a character."""
    return codec not in _MULTI_BYTE and not codec.startswith(("utf", "iso2022"))


def decode_as(body: bytes, codec: str) -> str:
    """Return the text of bytes in one of the codecs of `codec_of`; U+FFFD where the standard has no character."""
    if codec == "iso2022_jp":
        return _iso_2022_jp(body)
    if codec.startswith("utf"):
        return body.decode(codec, "replace")
    if codec == "euc_jp":
        body = body.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")
    text = body.decode(codec, _error_handler(codec))
    if codec not in _OTHER_CHARACTERS or text.isascii():
        return text
    pattern, other = _other_characters(codec)
    return pattern.sub(lambda match: other[match[0]], text)


def _iso_2022_jp(body: bytes) -> str:
    """Decode the runs between escape sequences, each of which says how the next run is to be read."""
    first, *rest = _ESCAPE.split(body)
    pieces = [first.decode("latin-1").translate(_SEVEN_BITS[b"(B"])]
    for place in range(0, len(rest), 2):
        escape, run = rest[place : place + 2]
        if not run and place + 2 < len(rest):
            pieces.append(REPLACEMENT)  # two escape sequences together can hide markup
        elif escape in _SEVEN_BITS:
            pieces.append(run.decode("latin-1").translate(_SEVEN_BITS[escape]))
        else:
            pieces += (
                decode_as(bytes(byte | 0x80 for byte in found[0]), "euc_jp") if found[1] else REPLACEMENT
                for found in _PAIRS.finditer(run)
            )
    return "".join(pieces)


@cache
def _other_characters(codec: str) -> tuple[re.Pattern[str], Mapping[str, str]]:
    codecs_own, standard = _OTHER_CHARACTERS[codec]
    return re.compile(f"[{codecs_own}]"), dict(zip(codecs_own, standard, strict=True))


@cache
def _error_handler(codec: str) -> str:
    """Register what the standard does where the codec finds no character; return its name."""
    name = f"sluice.{codec}"
    codecs.register_error(name, _multi_byte(codec) if codec in _MULTI_BYTE else _single_byte(codec))
    return name


def _single_byte(codec: str) -> _Handler:
    has_controls = codec.startswith("cp")

    def handle(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        byte, end = error.object[error.start], error.start + 1
        if codec == "cp1255" and byte == 0xCA:
            return "\u05ba", end
        return chr(byte) if has_controls and byte < 0xA0 else REPLACEMENT, end

    return handle


def _multi_byte(codec: str) -> _Handler:
    missing = _big5_additions() if codec == "big5hkscs" else {b"\x80": "€"} if codec == "gb18030" else {}
    broken = _BROKEN[codec]

    def handle(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        start = error.start
        pair = error.object[start : start + 2]
        if codec == "euc_jp" and len(pair) == 2 and min(pair) >= 0xA1 and max(pair) <= 0xFE:
            return _in_shift_jis(pair), start + 2
        for sequence in (pair, pair[:1]):
            if (character := missing.get(sequence)) is not None:
                return character, start + len(sequence)
        found = broken.match(error.object, start)
        return REPLACEMENT, found.end() if found else start + 1

    return handle


def _in_shift_jis(pair: bytes) -> str:
    """Return the character of EUC-JP's row and cell, by way of Shift_JIS, whose codec has them all."""
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead, trail = divmod(row * 94 + cell, 188)
    shifted = bytes((lead + (0x81 if lead < 0x1F else 0xC1), trail + (0x40 if trail < 0x3F else 0x41)))
    return shifted.decode("cp932", "replace")[:1]


@cache
def _big5_additions() -> Mapping[bytes, str]:
    listed = (resources.files("tasks") / "lists" / "big5-additions.txt").read_text(encoding="utf-8")
    found = {}
    for line in listed.split("\n"):
        if line and not line.startswith("#"):
            pointer, characters = line.split(" ", 1)
            for place, character in enumerate(characters, int(pointer)):
                lead, trail = divmod(place, 157)
                found[bytes((lead + 0x81, trail + (0x40 if trail < 0x3F else 0x62)))] = character
    return found
