"""Write what stands high or low so that it does not run together with what it belongs to.

Notable: digits become the characters that stand high or low themselves, since 10<sup>6</sup> is no 106. Letters of
abbreviations and ordinals (1<sup>st</sup>, M<sup>me</sup>) stay as they are, other letters follow ^ or _.
"""

import re

from lxml import etree

_HIGH = str.maketrans("0123456789+-−–‐‒=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁻⁻⁼⁽⁾")
_LOW = str.maketrans("0123456789+-−–‐‒=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₋₋₌₍₎")
_SIGNED_DIGITS = re.compile(r"[+\-−–‐‒=()\s]*\d[\d+\-−–‐‒=()\s]*|[+\-−–]")
_EXPONENT = re.compile(r"[b-cf-np-qt-zA-Z]|(?=.*[\d+\-−–*/·=])[\w+\-−–*/·=().,\s]+")
_LOW_LETTERS = re.compile(r"[\w+\-−–*/·=().,\s]+")
_BASE = re.compile(r"(?:(?:^|[^^\W\d_]|.)?[)\]\d]|(?:^|[^\w])\w)\Z")
_GREEK = re.compile(r"[a-z]?[α-ω]")  # as in e to the power of i times pi; after digits they are Greek ordinals
_LETTER = re.compile(r"(?:^|[^\w])[a-zA-Z]\Z")
_NOTES = re.compile(r"[\da-z](?:[\d\s,;–-]|[a-z](?![a-z]))*")
_SENTENCE_MARKS = tuple(".,;:!?”»’)。")
_MOST_CHARS = 40


def write_indexes(elements: list[etree._Element]) -> None:
    """Replace the texts of sup and sub elements; inner ones first, so that what is around them sees how they end."""
    for element in reversed(elements):
        text = "".join(element.itertext()).strip()
        if text and len(text) <= _MOST_CHARS and element.getparent() is not None:
            index = _index(text, element.tag == "sup", _text_before(element))
            if index is not None:
                for child in list(element):
                    element.remove(child)
                element.text = index


def _index(text: str, is_high: bool, before: str) -> str | None:
    """Return what to write for a raised or lowered text after the text before; None where it may stay."""
    table = _HIGH if is_high else _LOW
    if _SIGNED_DIGITS.fullmatch(text):
        return text.translate(table)
    if (_EXPONENT if is_high else _LOW_LETTERS).fullmatch(text) and _BASE.search(before):
        return ("^" if is_high else "_") + _grouped(text)
    if is_high and _GREEK.fullmatch(text) and _LETTER.search(before):
        return "^" + _grouped(text)
    if is_high and _NOTES.fullmatch(text) and (text[0].isdigit() or before.endswith(_SENTENCE_MARKS)):
        return text.translate(_HIGH) if text[0].isdigit() else "^" + _grouped(text)
    return None


def _text_before(element: etree._Element) -> str:
    previous = element.getprevious()
    if previous is None:
        return element.getparent().text or ""
    return previous.tail or "".join(previous.itertext())[-3:]


def _grouped(text: str) -> str:
    """Return the text in brackets unless it is one number or word."""
    return text if len(text) <= 1 or text.isalpha() or text.isdigit() else f"({text})"
