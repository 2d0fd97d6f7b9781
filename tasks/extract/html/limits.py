"""Limits on a page's markup, measured on the stream of its tags before any tree is built.

Notable: for each attribute that libxml2 adds to an element it searches all the others, in C code that no deadline
reaches: 100,000 attributes take minutes. It reports the tags themselves in linear time and constant memory. Measuring
costs half as much as parsing, so only pages that are long enough to do harm are measured.
"""

from collections.abc import Sized

from lxml import etree

_HARMLESS_BYTES = 1 << 17
_MOST_ATTRIBUTES = 5_000
"""Of one element; real pages have up to some fifty."""
_ATTRIBUTES_PER_ELEMENT = 4
"""On average, in a page with as many elements as are allowed; real pages have 1.3."""


class HtmlTooLargeError(ValueError):
    """A page that is over a limit of `ExtractionConfig`; the message says which."""


def check_markup(markup: bytes, max_elements: int) -> None:
    """Raise `HtmlTooLargeError` if HTML in UTF-8 has too many elements or attributes to be parsed safely."""
    if len(markup) > _HARMLESS_BYTES:
        etree.fromstring(markup, etree.HTMLParser(target=_TagCount(max_elements), encoding="utf-8"))


class _TagCount:
    """A parser's target that counts, and stops the parser at a limit."""

    def __init__(self, max_elements: int) -> None:
        self._elements_left = max_elements
        self._attributes_left = _ATTRIBUTES_PER_ELEMENT * max_elements

    def start(self, _tag: str, attributes: Sized) -> None:
        """Count an element and its attributes."""
        n_attributes = len(attributes)
        self._elements_left -= 1
        self._attributes_left -= n_attributes
        if n_attributes > _MOST_ATTRIBUTES:
            raise HtmlTooLargeError(f"an element has {n_attributes} attributes, over {_MOST_ATTRIBUTES}")
        if self._elements_left < 0:
            raise HtmlTooLargeError("the page has more elements than are allowed")
        if self._attributes_left < 0:
            raise HtmlTooLargeError(f"the page has over {_ATTRIBUTES_PER_ELEMENT} attributes for each allowed element")

    def close(self) -> None:
        """Do nothing; the parser calls this at the end of the page."""
