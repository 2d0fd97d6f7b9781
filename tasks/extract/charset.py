"""Decode a page: its text, its character set, and which evidence named that.

Notable:
- Bytes above ASCII that form UTF-8 but for few are UTF-8 whatever the headers say: no other character set gives such
  bytes by chance over more than a few characters. So pages that a server labels Latin-1 by default are right.
- Otherwise the order is that of browsers: byte order mark, HTTP header, meta tag, then detection. A claim is judged by
  how much of the text breaks under it, not by its first broken byte; those bytes become U+FFFD. Latin-1 in the header
  yields to a meta tag that says otherwise.
- Labels and decoders are the Encoding Standard's (`tasks.extract.encodings`); the search for a meta tag is the HTML
  Standard's prescan, so comments, scripts and other elements' attributes do not count.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Literal

from resiliparse.parse.encoding import detect_encoding

from tasks.extract.encodings import NOT_DECODED, REPLACEMENT, codec_of, decode_as, is_single_byte
from tasks.extract.meta_charset import declared_charset

Source = Literal["bom", "utf-8", "header", "meta", "detected", "fallback"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HEADER_CHARS = 1000
_HEADER = re.compile(r"""(?<![\w-])charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_SNIFFED_BYTES = 4096
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([IJ])[\x21-\x7e]{2}")
_SHIFTS = re.compile(rb"\x1b[$(]|\x0e|~\{")  # in text of seven bits, what begins characters that are not ASCII
_TAG = re.compile(r"<[a-zA-Z!/?]")
_DETECTION_BYTES = 1 << 16
_ABOVE_ASCII = re.compile(rb"[\x80-\xff]")
_CONTROLS = re.compile("[\x80-\x9f]")
# Share of broken characters among those above ASCII up to which a claim is believed.
_MAX_BROKEN = 0.1
_MAX_BROKEN_UTF_8 = 0.5
"""The same for UTF-8, of which other sets hardly ever have a whole character."""
_REFUSED = "replacement"  # the Encoding Standard's name for what it refuses
# The letters of Latin-2 that windows-1250 has among the control characters or elsewhere, within words.
_LATIN_2_LETTERS = re.compile(rb"(?<=[a-z\xc0-\xff])[\xb1\xb6\xbb\xbc\xbe](?=[a-z\xc0-\xff])")
_WINDOWS_BYTES = re.compile(rb"[\x80-\x9f]")
"""Letters and quotation marks in the code pages of Windows; in ISO 8859 controls, which no page has."""
_WINDOWS_KIN = {
    "iso8859-2": "cp1250",
    "iso8859-7": "cp1253",
    "iso8859-8": "cp1255",
    "iso8859-13": "cp1257",
    "iso8859-16": "cp1250",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page's text and how it was decoded."""

    text: str
    """The text; what cannot be decoded is U+FFFD."""
    charset: str
    """The character set, as Python names it; "replacement" for what browsers refuse to decode."""
    source: Source
    """What named it: bom, utf-8 (the bytes themselves), header, meta, detected, or fallback where nothing did."""


def decode(body: bytes, content_type: str) -> Decoded:
    """Decode a page by its bytes and its Content-Type header; never raises."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return Decoded(body[len(mark) :].decode(charset, "replace"), charset, "bom")
    text = None if b"\0" in body[:_SNIFFED_BYTES] else _utf8(body)
    if text is not None and not (text.isascii() and _SHIFTS.search(body)):
        return Decoded(text, "utf-8", "utf-8")
    claims = _claims(body, content_type)
    if (sniffed := _sniffed(body)) is not None:
        by: Source = next((source for claimed, source in claims if claimed == sniffed), "detected")
        return Decoded(decode_as(body, sniffed), sniffed, by)
    for charset, source in _with_utf_8(body, claims):
        if charset == _REFUSED:
            return Decoded(REPLACEMENT, charset, source)
        claimed = decode_as(body, charset)
        if _is_believable(claimed, charset):
            return Decoded(claimed, charset, source)
    return Decoded(text, "utf-8", "utf-8") if text is not None else _detect(body)


def _utf8(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _with_utf_8(body: bytes, claims: list[tuple[str, Source]]) -> list[tuple[str, Source]]:
    """Return the claims, before them UTF-8 where so few bytes are broken in it that they can be nothing else."""
    text = body.decode(errors="replace")
    if text.isascii() or text.count(REPLACEMENT) > _MAX_BROKEN * _above_ascii(text) or ("utf-8", "header") in claims:
        return claims
    return [("utf-8", "meta" if ("utf-8", "meta") in claims else "utf-8"), *claims]


def _claims(body: bytes, content_type: str) -> list[tuple[str, Source]]:
    """Return the codecs that the header and the page name, in order of trust."""
    labels: list[tuple[str | None, Source]] = []
    # Browsers join repeated headers, and take the last type that has a charset.
    named = [match for part in content_type[:_HEADER_CHARS].split(",") if (match := _HEADER.search(part))]
    if named:
        labels.append((named[-1][1], "header"))
    labels.append((declared_charset(body), "meta"))
    claims = [(codec, source) for label, source in labels if label and (codec := _codec_of_claim(label))]
    # Latin-1 in the header is often only a server's default; it fits any bytes, so another claim goes first.
    return sorted(claims, key=lambda claim: claim == ("cp1252", "header"))


def _codec_of_claim(label: str) -> str | None:
    return _REFUSED if label.strip().lower() in NOT_DECODED else codec_of(label)


def _sniffed(body: bytes) -> str | None:
    """Return UTF-16 or ISO-2022-JP where the bytes leave no doubt, whatever is claimed."""
    escapes = len(_ISO_2022_JP.findall(body)) if b"\x1b" in body else 0
    if escapes and (body.isascii() or len(_ABOVE_ASCII.findall(body)) <= escapes):
        return "iso2022_jp"
    head = body[:_SNIFFED_BYTES]
    shares = [half.count(0) / max(1, len(half)) for half in (head[::2], head[1::2])]
    for codec, (few, many) in (("utf-16-le", shares), ("utf-16-be", shares[::-1])):
        if many > 8 * few and _TAG.search(head.decode(codec, "ignore")):
            return codec
    return None


def _is_believable(text: str, codec: str) -> bool:
    """Return whether so little of the text is broken that its bytes may be in the codec."""
    if text.isascii():
        return True
    above_ascii = _above_ascii(text)
    broken = text.count(REPLACEMENT)
    if is_single_byte(codec):
        broken += len(_CONTROLS.findall(text))
    most = _MAX_BROKEN_UTF_8 if codec == "utf-8" else _MAX_BROKEN
    # One broken character of several proves nothing, but where all are broken no byte is the codec's.
    return not broken or (broken < above_ascii and broken <= max(1, most * above_ascii))


def _above_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _detect(body: bytes) -> Decoded:
    """Decode by the statistics of the bytes; where they say nothing, as the Western pages that browsers expect."""
    first = _ABOVE_ASCII.search(body)
    start = first.start() if first and first.start() > _DETECTION_BYTES else 0
    label = detect_encoding(body[start : start + _DETECTION_BYTES], _DETECTION_BYTES, html5_compatible=False)
    codec = codec_of(label) if label else None
    if codec == "koi8-r":
        codec = "koi8-u"  # the same, with Ukrainian letters instead of eight lines of boxes
    elif codec == "cp1250" and _is_latin_2(body):
        codec = "iso8859-2"
    elif codec in _WINDOWS_KIN and _WINDOWS_BYTES.search(body):
        codec = _WINDOWS_KIN[codec]
    if codec is not None and codec != "utf-8":
        return Decoded(decode_as(body, codec), codec, "detected")
    text = body.decode("utf-8", "replace")
    if body.isascii() or _is_believable(text, "utf-8"):
        return Decoded(text, "utf-8", "fallback")
    return Decoded(decode_as(body, "cp1252"), "cp1252", "fallback")


def _is_latin_2(body: bytes) -> bool:
    """Return whether bytes that look like windows-1250 have its letters where ISO-8859-2 has them."""
    return not _WINDOWS_BYTES.search(body) and _LATIN_2_LETTERS.search(body) is not None
