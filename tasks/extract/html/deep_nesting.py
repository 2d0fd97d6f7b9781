"""Flatten markup that is nested too deep for the parser.

Notable: libxml2 stops at a depth of 256, and with it ends the page's text. What brings pages there is markup that is
never closed, such as a font tag for each paragraph, so the tags beyond a depth are left out and their text stays.
"""

import re
from typing import Final

MAX_INLINE_DEPTH: Final = 40
MAX_BLOCK_DEPTH: Final = 100
"""Open elements that are kept, without those of `_CLOSED_BY_THE_NEXT`; more than a page needs."""

_TAG = re.compile(
    r"""<(?:!--|(/?)([a-zA-Z][a-zA-Z0-9:-]{0,50}+)((?:[^<>"']++|"[^"]{0,1000}+"|'[^']{0,1000}+'){0,100}+)>)"""
)
_VOID = frozenset(
    ("area", "base", "basefont", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param")
) | {"source", "track", "wbr"}
_CLOSED_BY_THE_NEXT = frozenset(("p", "li", "tr", "td", "th", "option"))
_INLINE = frozenset(("a", "b", "big", "code", "em", "font", "i", "s", "small", "span", "strike", "strong", "tt", "u"))
_RAW_TEXT = frozenset(("script", "style", "textarea", "title"))
_MISNESTED = 20
"""Open elements among which an end tag finds its own."""


def flatten(html: str) -> str:
    """Return the HTML without the tags of elements that are nested too deep."""
    kept: list[str] = []
    inline, blocks = _Open(MAX_INLINE_DEPTH), _Open(MAX_BLOCK_DEPTH)
    done = place = 0
    while found := _TAG.search(html, place):
        place = found.end()
        name = (found[2] or "").lower()
        if found[0] == "<!--":
            end_of_comment = html.find("-->", found.start() + 2)
            place = len(html) if end_of_comment < 0 else end_of_comment
            continue
        if name in _RAW_TEXT and not found[1]:
            end = re.compile(f"</{name}", re.IGNORECASE).search(html, place)
            place = end.start() if end else len(html)
            continue
        if name in _VOID or name in _CLOSED_BY_THE_NEXT or found[3].endswith("/"):
            continue
        if not (inline if name in _INLINE else blocks).passes(name, ends=bool(found[1])):
            kept.append(html[done : found.start()] + ("" if name in _INLINE else " "))
            done = found.end()
    return "".join((*kept, html[done:]))


class _Open:
    """The open elements of a kind, of which only so many are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: list[str] = []

    def passes(self, name: str, ends: bool) -> bool:
        """Note what a tag opens or closes; return whether the tag is kept."""
        depth = len(self._names)
        if not ends:
            self._names.append(name)
            return depth < self._most
        for place in range(depth - 1, max(-1, depth - 1 - _MISNESTED), -1):
            if self._names[place] == name:
                del self._names[place:]
                return place < self._most
        return depth <= self._most
