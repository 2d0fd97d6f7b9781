"""The character set that a page's markup declares, found as the HTML Standard prescribes.

Notable: the search is the standard's prescan, over the beginning of the page instead of its first 1,024 bytes, since a
browser that finds a later meta tag starts again with it. What scripts, styles and titles contain is no tag.
"""

import html
import re

from tasks.extract.encodings import NOT_DECODED, codec_of

_SEARCHED_BYTES = 1 << 15
_NEXT = re.compile(rb"<(?:!--|/?([a-zA-Z][^\s/>]*)|[!/?])")
_COMMENT_END = re.compile(rb"--!?>")
_ATTRIBUTE = re.compile(
    rb"""[\s/]*+(?:([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+))?)?)""",
)
_CHARSET = re.compile(r"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"'][^\s;]*))""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})["']""")
_RAW_TEXT = frozenset((b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes"))


def declared_charset(body: bytes) -> str | None:
    """Return the first known label of a meta tag, or else that of the XML declaration; None where neither has one.

    A page whose meta tag can be read as ASCII is in no 16-bit set, so UTF-16 there means UTF-8.
    """
    if label := _meta_label(body[:_SEARCHED_BYTES]):
        return label
    xml = _XML_ENCODING.match(body)
    return _known(xml[1].decode("ascii", "replace")) if xml else None


def _meta_label(head: bytes) -> str | None:
    place = 0
    while found := _NEXT.search(head, place):
        name = (found[1] or b"").lower()
        if found[0] == b"<!--":
            end_of_comment = _COMMENT_END.search(head, found.start() + 2)
            place = end_of_comment.end() if end_of_comment else 0
        elif not name:
            place = head.find(b">", found.end()) + 1
        else:
            attributes, place = _attributes(head, found.end())
            is_end = found[0].startswith(b"</")
            if name == b"meta" and not is_end and (label := _label(attributes)):
                return label
            if name in _RAW_TEXT and not is_end:
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
    """Return the known label of a meta tag: its charset, or that of a Content-Type in its content."""
    if label := _known(attributes.get("charset", "")):
        return label
    if attributes.get("http-equiv", "").strip().lower() == "content-type":
        found = _CHARSET.search(attributes.get("content", ""))
        return _known(next(filter(None, found.groups()), "")) if found else None
    return None


def _known(label: str) -> str | None:
    """Return what a label in markup means; None for one that browsers pass over."""
    label = html.unescape(label).strip().lower()
    if label == "x-user-defined":
        return "windows-1252"
    codec = codec_of(label)
    if codec and codec.startswith(("utf-16", "utf-32")):
        return "utf-8"
    return label if codec or label in NOT_DECODED else None
