"""The character set that a page's markup declares, found as the HTML Standard prescribes.

Notable: the search is the standard's prescan, over the beginning of the page instead of its first 1,024 bytes, since a
browser that finds a later meta tag starts again with it. What scripts, styles and titles contain is no tag.
"""

import re

_SEARCHED_BYTES = 1 << 15
_NEXT = re.compile(rb"<(?:!--|/?([a-zA-Z][^\s/>]*)|[!/?])")
_ATTRIBUTE = re.compile(
    rb"""[\s/]*+(?:([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+))?)?)""",
)
_CHARSET = re.compile(r"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"'][^\s;]*))""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})["']""")
_RAW_TEXT = frozenset((b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes"))


def declared_charset(body: bytes) -> str | None:
    """Return the label that a meta tag names, or else the XML declaration; None where neither does.

    A page whose meta tag can be read as ASCII is in no 16-bit set, so UTF-16 there means UTF-8.
    """
    label = _meta_label(body[:_SEARCHED_BYTES])
    if label is None and (xml := _XML_ENCODING.match(body)):
        label = xml[1].decode("ascii", "replace")
    if label is None:
        return None
    label = label.strip().lower()
    if label.startswith(("utf-16", "utf-32", "ucs-2", "unicode", "iso-10646-ucs-2", "csunicode")):
        return "utf-8"
    return "windows-1252" if label == "x-user-defined" else label


def _meta_label(head: bytes) -> str | None:
    place = 0
    while found := _NEXT.search(head, place):
        name = (found[1] or b"").lower()
        if found[0] == b"<!--":
            end_of_comment = head.find(b"-->", found.start() + 2)
            place = end_of_comment + len(b"-->") if end_of_comment >= 0 else 0
        elif not name:
            place = head.find(b">", found.end()) + 1
        else:
            attributes, place = _attributes(head, found.end())
            if name == b"meta" and (label := _label(attributes)):
                return label
            if name in _RAW_TEXT and not found[0].startswith(b"</"):
                end = re.compile(b"</" + name + rb"[\s/>]", re.IGNORECASE).search(head, place)
                place = end.start() if end else len(head)
        if place <= found.start():  # what is open here does not end
            return None
    return None


def _attributes(head: bytes, place: int) -> tuple[dict[str, str], int]:
    """Return the attributes of the tag whose name ends at `place`, the first of each name, and where they end."""
    attributes: dict[str, str] = {}
    while found := _ATTRIBUTE.match(head, place):
        value = found[2] or found[3] or found[4] or b""
        attributes.setdefault(found[1].decode("latin-1").lower(), value.decode("latin-1"))
        place = found.end()
    return attributes, place


def _label(attributes: dict[str, str]) -> str | None:
    """Return the label of a meta tag: its charset, or that of a Content-Type in its content."""
    if label := attributes.get("charset"):
        return label
    if attributes.get("http-equiv", "").strip().lower() == "content-type":
        found = _CHARSET.search(attributes.get("content", ""))
        return next(filter(None, found.groups()), None) if found else None
    return None
