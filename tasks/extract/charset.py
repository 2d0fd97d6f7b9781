"""Decode a page: its text, its character set, and which evidence named that.

Notable:
- A claim is checked before it is believed. Bytes above ASCII that form valid UTF-8 are UTF-8 whatever the headers
  say: no other character set gives such bytes by chance over more than a few characters. So pages that a server
  labels Latin-1 by default are decoded correctly.
- Otherwise the order is byte order mark, HTTP header, meta tag, detection; a claim under which the bytes cannot be
  decoded is skipped. A claim of UTF-8 with a few broken bytes is kept, and those bytes become U+FFFD. Latin-1 in the
  header yields to a meta tag that says otherwise.
- Labels mean what they mean to browsers (WHATWG Encoding): "iso-8859-1" is windows-1252, "gb2312" is gb18030.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

Source = Literal["bom", "utf-8", "header", "meta", "detected", "fallback"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_BYTES = 4096
_HEADER_CHARS = 1000
_META = re.compile(
    rb"""<(?:meta\b[^>]{0,400}?\bcharset|\?xml\b[^>]{0,200}?\bencoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""",
    re.IGNORECASE,
)
_HEADER = re.compile(r"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_ESCAPED_CHARSETS = frozenset(("iso-2022-jp", "iso2022_jp", "hz", "hz-gb-2312", "utf-7"))
# Python's strict decoders refuse characters that pages of these labels have and browsers show.
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs"}
_DETECTION_BYTES = 1 << 16
# Share of U+FFFD among a text's characters above ASCII up to which a claim of UTF-8 is believed.
_MAX_BROKEN = 0.1


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page's text and how it was decoded."""

    text: str
    """The text; what cannot be decoded is U+FFFD."""
    charset: str
    """The character set, as Python names it."""
    source: Source
    """What named it: bom, utf-8 (the bytes themselves), header, meta, detected, or fallback where nothing did."""


def decode(body: bytes, content_type: str) -> Decoded:
    """Decode a page by its bytes and its Content-Type header; never raises."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return Decoded(body[len(mark) :].decode(charset, "replace"), charset, "bom")
    claims = _claims(body, content_type)
    if body.isascii() and not any(charset in _ESCAPED_CHARSETS or "utf-16" in charset for charset, _ in claims):
        return Decoded(body.decode("ascii"), "utf-8", "utf-8")
    utf8 = _strictly(body, "utf-8")
    if utf8 is not None and "\0" not in utf8[:_META_BYTES] and not body.isascii():
        return Decoded(utf8, "utf-8", "utf-8")
    for charset, source in claims:
        if charset == "utf-8" and utf8 is None:
            text = body.decode("utf-8", "replace")
            if _is_barely_broken(text):
                return Decoded(text, charset, source)
        elif (text_or_none := _strictly(body, charset)) is not None:
            return Decoded(text_or_none, charset, source)
    return _detect(body)


def _claims(body: bytes, content_type: str) -> list[tuple[str, Source]]:
    """Return the character sets that the header and the page name, in order of trust."""
    claims: list[tuple[str, Source]] = []
    if header := _HEADER.search(content_type, 0, _HEADER_CHARS):
        claims.append((header[1], "header"))
    if meta := _META.search(body, 0, _META_BYTES):
        claims.append((meta[1].decode("ascii"), "meta"))
    named = [(_python_name(label), source) for label, source in claims]
    # A page that can be read as ASCII up to its meta tag is in no 16-bit set, whatever the tag says.
    known = [
        (charset, source)
        for charset, source in named
        if charset is not None and not (source == "meta" and charset.startswith(("utf-16", "utf-32")))
    ]
    # Latin-1 in the header is often only a server's default; it fits any bytes, so another claim goes first.
    return sorted(known, key=lambda claim: claim == ("cp1252", "header"))


def _python_name(label: str) -> str | None:
    """Return Python's name for a label as browsers understand it; None where it is unknown."""
    charset = label if label.lower().startswith("utf-32") else map_encoding_to_html5(label, fallback_utf8=False)
    if charset is None:
        return None
    charset = _WIDER.get(charset.lower(), charset.lower())
    try:
        codecs.lookup(charset)
        return charset
    except LookupError:
        return None


def _strictly(body: bytes, charset: str) -> str | None:
    try:
        return body.decode(charset)
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _is_barely_broken(text: str) -> bool:
    broken = text.count("\ufffd")
    above_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return broken <= max(1, _MAX_BROKEN * above_ascii)


def _detect(body: bytes) -> Decoded:
    """Decode by the statistics of the bytes, or as UTF-8 with replacements where they say nothing."""
    label = detect_encoding(body, _DETECTION_BYTES, html5_compatible=True)
    charset = _python_name(label) if label else None
    if charset is not None and charset != "utf-8":
        return Decoded(body.decode(charset, "replace"), charset, "detected")
    return Decoded(body.decode("utf-8", "replace"), "utf-8", "fallback")
