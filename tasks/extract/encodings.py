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
_ROMAN = str.maketrans("\\~", "¥‾")
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
        return "".join(_iso_2022_jp(body))
    if codec.startswith("utf"):
        return body.decode(codec, "replace")
    if codec == "euc_jp":
        body = body.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")
    text = body.decode(codec, _error_handler(codec))
    if codec not in _OTHER_CHARACTERS or text.isascii():
        return text
    pattern, other = _other_characters(codec)
    return pattern.sub(lambda match: other[match[0]], text)


def _iso_2022_jp(body: bytes) -> list[str]:
    """Decode the runs between escape sequences, each of which says how the next run is to be read."""
    first, *rest = _ESCAPE.split(body)
    pieces = [first.decode("ascii", "replace")]
    for escape, run in zip(rest[::2], rest[1::2], strict=True):
        if escape == b"(I":
            pieces.append(
                bytes(byte | 0x80 if 0x21 <= byte < 0x60 else byte for byte in run).decode("cp932", "replace")
            )
        elif escape.startswith(b"$"):
            pieces.append(decode_as(bytes(byte | 0x80 if 0x21 <= byte < 0x7F else byte for byte in run), "euc_jp"))
        else:
            text = run.decode("ascii", "replace")
            pieces.append(text.translate(_ROMAN) if escape == b"(J" else text)
    return pieces


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

    def handle(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        start = error.start
        pair = error.object[start : start + 2]
        if codec == "euc_jp" and len(pair) == 2 and min(pair) >= 0xA1 and max(pair) <= 0xFE:
            found = _in_shift_jis(pair)
            return found, start + 2
        for length in (2, 1):
            if (character := missing.get(pair[:length])) is not None:
                return character, start + length
        # A lead byte takes the byte after it along, unless that is ASCII.
        takes_two = len(pair) == 2 and 0x81 <= pair[0] <= 0xFE and pair[1] >= 0x80
        return REPLACEMENT, start + 1 + takes_two

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
