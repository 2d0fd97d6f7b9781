"""Take out the line breaks between Chinese or Japanese characters, which are written without spaces.

Notable: the source of a page breaks its lines anywhere, and the extractor makes a space of each break. A break goes
where both its neighbours are such characters, with or without tags between them. Korean has spaces.
"""

import re

from lxml import etree

_CJK = (
    "\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffdc\U00020000-\U0003ffff"
)
_BETWEEN = re.compile(f"(?<=[{_CJK}])[ \t\r]*+\n[ \t\r\n]*+(?=[{_CJK}])")
_BEFORE = re.compile(f"\n[ \t\r\n]*+(?=[{_CJK}])")
_STARTS = re.compile(f"\\s*+[{_CJK}]")
_LAST = re.compile(f"[{_CJK}]")
_FIRST = "\u2e80"
_SIGNS = "。、，の的是一人"
"""Characters of which every Chinese or Japanese text has one."""
_TEXTS = etree.XPath("//text()")
_KEPT_AS_WRITTEN = frozenset(("pre", "script", "style", "textarea"))


def has_break_between_cjk(text: str) -> bool:
    """Return whether a text has such a break, looking at its line breaks only, which are rare."""
    if not any(sign in text for sign in _SIGNS):
        return False
    places = (found.start() for found in _BEFORE.finditer(text))
    return any(text[max(0, place - 4) : place].rstrip(" \t\r")[-1:] >= _FIRST for place in places)


def drop_breaks_between_cjk(tree: etree._Element) -> None:
    """Take the breaks out of a page's texts."""
    texts = [text for text in _TEXTS(tree) if not text.isspace()]
    for before, text, after in zip(["", *texts], texts, [*texts[1:], ""], strict=False):
        if "\n" in text and (changed := _without_breaks(before, text, after)) != text and not _is_kept(text):
            set_text(text, changed)


def _without_breaks(before: str, text: str, after: str) -> str:
    changed = _BETWEEN.sub("", text)
    stripped = changed.lstrip()
    if "\n" in changed[: len(changed) - len(stripped)] and _ends(before) and _STARTS.match(stripped):
        changed = stripped
    stripped = changed.rstrip()
    return stripped if "\n" in changed[len(stripped) :] and _ends(stripped) and _STARTS.match(after) else changed


def _is_kept(text: etree._ElementUnicodeResult) -> bool:
    element = text.getparent().getparent() if text.is_tail else text.getparent()
    return any(box.tag in _KEPT_AS_WRITTEN for box in (element, *element.iterancestors()))


def _ends(text: str) -> bool:
    return _LAST.match(text.rstrip()[-1:]) is not None


def set_text(old: etree._ElementUnicodeResult, new: str) -> None:
    """Replace a text of the tree that an XPath expression found."""
    element = old.getparent()
    if old.is_tail:
        element.tail = new
    else:
        element.text = new
